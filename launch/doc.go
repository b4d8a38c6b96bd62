// Package launch wires everything: it makes an instance from a board, puts a program into a private mount namespace in which the
// heap directory lies, and keeps the instance alive as long as a process there needs it.
//
// `heapfs run` is three processes, all of this binary. The front is what the user started: it waits, forwards signals and ends
// with CMD's status. The server is its child and the parent of the rest: it answers FUSE and the listener, and outlives CMD until
// its last descendant is gone. The stage is the server's child in the new namespaces: it mounts, installs the filter and then
// becomes CMD.
//
// `heapfs mount` is one process that mounts the heap directory for others and serves it until it is told to end. Both start an agent (a
// further process of this binary) that puts descriptors into callers by ptrace: mount for every ALLOC, run for what its filter lets pass.
package launch
