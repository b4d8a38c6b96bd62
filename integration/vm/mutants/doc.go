// Package mutants makes a heapfs with deliberate defects, of which each process has one: what tests heapfs is tested by whether it finds
// them.
//
// It owns the table of defects and how they are built. Who runs the program, and against what, is integration/vm/judge's affair.
package mutants
