package fuzz

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// watch looks after the descriptors of the processes that the other side's command has started: while no sequence runs, nothing of a
// sequence is left, so their number must not grow with the number of sequences.
type watch struct {
	base   int
	starts int // of the right side, when base was taken
	runs   int // since then
}

const (
	watchWarm  = 20  // sequences until what is kept in stock is there
	watchEvery = 10  // sequences between two looks
	watchSlack = 500 // descriptors by which their number may vary: what is kept of recent callers, and files made in advance
)

// look is called after each sequence; it returns what is wrong.
func (w *watch) look(p *pair) error {
	if p.right == nil || w.starts != p.starts {
		*w = watch{starts: p.starts}
		return nil
	}
	if w.runs++; w.runs < watchWarm || w.runs%watchEvery != 0 {
		return nil
	}
	n := descriptorsUnder(p.right.cmd.Process.Pid)
	switch {
	case w.base == 0:
		w.base = n
	case n > w.base+watchSlack:
		return fmt.Errorf("the right side's processes had %d descriptors after %d sequences, and have %d after %d", w.base, watchWarm, n, w.runs)
	}
	return nil
}

// descriptorsUnder counts the descriptors of a process and all its descendants.
func descriptorsUnder(root int) int {
	parents := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (comm) state ppid: comm may hold anything.
		_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
		fields := strings.Fields(rest)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || len(fields) < 2 {
			continue
		}
		parents[pid], _ = strconv.Atoi(fields[1])
	}
	n := 0
	for pid := range parents {
		for p := pid; p > 1; p = parents[p] {
			if p == root {
				entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
				n += len(entries)
				break
			}
		}
	}
	return n
}
