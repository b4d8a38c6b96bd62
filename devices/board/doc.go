// Package board owns board profiles: the schema of a board file
// (apiVersion heapfs/v1), its YAML and JSON forms, the checks with line
// and column, the built-in boards, and the resolution of a board into heap
// nodes and placed pools.
//
// It performs no I/O beyond reading the file that Load is given, and knows no
// heap at work: extents and stores live in backing, nodes that answer ioctls
// in heapnodes, the constraint vocabulary in devices. docs/boards.md is the
// field reference for users.
package board
