package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/cmd/heaptest/rows"
	"github.com/heapfs/heapfs/cmd/heaptest/runner"
	"github.com/heapfs/heapfs/internal/sys"
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

// tryRow tries the rows of some IDs in this process.
func tryRow(args []string) int {
	if len(args) == 0 {
		return complain(errors.New("row: must have an ID"))
	}
	var asked []rows.Row
	for _, id := range args {
		row, err := rows.Find(id)
		if err != nil {
			return complain(err)
		}
		asked = append(asked, row)
	}
	unix.CloseOnExec(answerFD)
	debug.SetPanicOnFault(true)
	if len(asked) > 1 {
		return tryTogether(asked)
	}
	answer, ok := caseOfEnv().Try(asked[0])
	if _, err := unix.Write(answerFD, []byte(answer)); err != nil {
		return complain(fmt.Errorf("row %s: write the answer: %w", asked[0].ID, err))
	}
	if !ok {
		return runner.StatusSetUp
	}
	return statusOK
}

// tryTogether tries plain rows one after the other, each with the limit of descriptors and without the descriptors of those before. One that
// could not ask has no answer, and is asked again by itself.
func tryTogether(asked []rows.Row) int {
	if err := startPoller(); err != nil {
		return complain(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return complain(os.NewSyscallError("getrlimit", err))
	}
	for _, row := range asked {
		before, err := descriptors()
		if err != nil {
			return complain(err)
		}
		answer, ok := caseOfEnv().Try(row)
		if !ok {
			continue
		}
		line, err := json.Marshal(runner.Answer{Row: row.ID, Answer: answer})
		if err != nil {
			return complain(err)
		}
		if _, err := unix.Write(answerFD, append(line, '\n')); err != nil {
			return complain(fmt.Errorf("row %s: write the answer: %w", row.ID, err))
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return complain(os.NewSyscallError("setrlimit", err))
		}
		after, err := descriptors()
		if err != nil {
			return complain(err)
		}
		for fd := range after {
			if !before[fd] {
				sys.Close(fd)
			}
		}
	}
	return statusOK
}

// startPoller has the runtime open the descriptors that it keeps. In the midst of a row, they would be taken for the row's.
func startPoller() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	return errors.Join(r.Close(), w.Close())
}

// descriptors are those of this process.
func descriptors() (map[int]bool, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	open := map[int]bool{}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, err
		}
		// The one that they were read by is closed again, and its number is the next row's first.
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			open[fd] = true
		}
	}
	return open, nil
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
