// Command testreport reads the JSON stream of `go test -json` on standard input and prints what a person wants to see of it:
// the line of every package, everything that a failed test said, every skip with its reason, and a closing line with the
// counts. It exits 1 when something failed, when nothing ran, and under CI=true when a test was skipped for any other reason
// than a feature that the running kernel does not have.
//
// It owns the judgement of a test run. Which packages run, and how, stands in scripts/test.sh.
package main

import (
	"fmt"
	"os"
)

func main() {
	report := newReport(os.Stdout, os.Getenv("CI") == "true")
	if err := report.read(os.Stdin); err != nil {
		fmt.Fprintf(os.Stderr, "testreport: reading the stream of go test -json: %v\n", err)
		os.Exit(1)
	}
	ok := report.finish()
	if path := os.Getenv("HEAPFS_TEST_TOTALS"); path != "" {
		if err := report.appendTotals(path); err != nil {
			fmt.Fprintf(os.Stderr, "testreport: %v\n", err)
			os.Exit(1)
		}
	}
	if !ok {
		os.Exit(1)
	}
}
