// Bench prints the figures of heapfs, each beside its floor: what the same machine needs in the same minutes for the least that
// could do the job. What is timed is a C program (client/client.c) that knows nothing of heapfs; this one starts it with
// and without heapfs, asks both in turn and prints medians of the rounds.
//
//	HEAPFS_BIN=bin/heapfs go run ./integration/bench [--rounds N] [--json] [--vm KERNEL]
//
// It judges nothing: the exit status is 0 whatever the figures are, and 1 only when something could not be measured. gcc is
// needed. As root it measures the launch as an ordinary user too, by way of scripts/as-user.sh below the working directory.
package main
