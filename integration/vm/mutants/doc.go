// Package mutants makes heapfs with deliberate defects, one at a time: what tests heapfs is tested by whether it finds them.
//
// It owns the table of defects and how they are built. Who runs the programs, and against what, is integration/vm/judge's affair.
package mutants
