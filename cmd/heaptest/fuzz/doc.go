// Package fuzz compares two directories of heap nodes call by call. From a seed it makes sequences of operations that a program could
// do with heaps and buffers, has a peer process on either side execute them, and wants the same answers: results, errnos,
// descriptor numbers and bytes.
//
// One side is the kernel's own heap, the other whatever the command behind "--" shows to the programs that it starts. The package owns
// the operations (op.go), the generator (gen*.go, model.go), the peer that executes (proc*.go), the judge with the list of answers that
// may differ (judge.go, excuses.go), the shrinker (shrink.go) and the statistics that a run must reach (stats.go, rows.go).
//
// It knows nothing of how the other side works. What is expected of one behaviour at a time is the affair of the conformance suite
// beside it; docs/conformance.md has the rows that the excuses name.
package fuzz
