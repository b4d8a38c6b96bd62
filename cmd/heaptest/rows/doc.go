// Package rows owns the behaviours: what is asked of a heap node, of a buffer and of a sync file, one call or one short story a
// row, and how what happened is put into a line of text that can be compared. A row knows a directory of heap nodes and nothing of
// who answers.
//
// What the answer ought to be is not here (package judge), nor how rows are kept apart from each other (package runner).
package rows
