// Package answers has the recorded runs: what real kernels answered to every row, and what heapfs did. Each file is the output of
// heaptest --json as its header says, without the verdicts.
package answers

import "embed"

// Files has the runs, one in each file.
//
//go:embed *.jsonl
var Files embed.FS
