package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/cmd/heaptest/rows"
	"github.com/heapfs/heapfs/cmd/heaptest/runner"
)

const (
	// rowCommand is the first argument under which this program tries one row.
	rowCommand = "row"
	// answerFD is where the answer goes.
	answerFD = 3

	self    = "/proc/self/exe"
	dirEnv  = "HEAPTEST_DIR"
	heapEnv = "HEAPTEST_HEAP"
)

// rowEnv is the environment of a row. Without a collector and preemption the runtime makes no calls and sends no signals of its own
// while a row is at it.
func rowEnv(dir, heap string) []string {
	return []string{dirEnv + "=" + dir, heapEnv + "=" + heap, "GOGC=off", "GODEBUG=asyncpreemptoff=1"}
}

func caseOfEnv() *rows.Case {
	return &rows.Case{Dir: os.Getenv(dirEnv), Heap: os.Getenv(heapEnv), Self: self}
}

// tryRow tries the row of an ID in this process.
func tryRow(args []string) int {
	if len(args) != 1 {
		return complain(errors.New("row: must have one ID"))
	}
	row, err := rows.Find(args[0])
	if err != nil {
		return complain(err)
	}
	unix.CloseOnExec(answerFD)
	debug.SetPanicOnFault(true)
	answer, ok := caseOfEnv().Try(row)
	if _, err := unix.Write(answerFD, []byte(answer)); err != nil {
		return complain(fmt.Errorf("row %s: write the answer: %w", row.ID, err))
	}
	if !ok {
		return runner.StatusSetUp
	}
	return statusOK
}

// playHelper plays the second process of a row.
func playHelper(args []string) int {
	if len(args) == 0 {
		return complain(errors.New("row-helper: must have a role"))
	}
	unix.CloseOnExec(answerFD)
	if err := rows.Helper(caseOfEnv(), args[0], args[1:]); err != nil {
		return complain(err)
	}
	return statusOK
}
