package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench() error {
	rounds := flag.Int("rounds", 15, "how often each figure and its floor are measured in turn")
	asJSON := flag.Bool("json", false, "print JSON")
	machine := flag.String("vm", "", "measure in a virtual machine of this `kernel` instead, beside its own heap, and print the table of docs/performance.md")
	flag.Parse()
	if *rounds < 1 {
		return fmt.Errorf("--rounds %d: at least 1 is needed", *rounds)
	}
	bin := os.Getenv("HEAPFS_BIN")
	if bin == "" {
		return errors.New("HEAPFS_BIN is not set; run make bench, or set it to the heapfs binary")
	}
	s, err := newSite(bin)
	if err != nil {
		return err
	}
	defer s.close()

	if *machine != "" {
		return inMachine(s, *machine, os.Stdout)
	}

	// What could be measured is printed also when something else could not.
	var r result
	var failed error
	for _, measure := range []func(*site, int) ([]figure, error){calls, traces, launches, boards} {
		figures, err := measure(s, *rounds)
		r.Figures = append(r.Figures, figures...)
		failed = errors.Join(failed, err)
	}
	r.Kernel, r.CPUs, r.Rounds = kernel(), cpus(), *rounds
	if *asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return errors.Join(failed, enc.Encode(r))
	}
	return errors.Join(failed, r.print(os.Stdout))
}

// site is a folder that every user may enter, with copies of heapfs and the client: an ordinary user may have no way into the
// checkout.
type site struct {
	dir    string
	heapfs string
	client string
}

func newSite(bin string) (*site, error) {
	dir, err := os.MkdirTemp("", "heapfs-bench-")
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir, heapfs: filepath.Join(dir, "heapfs"), client: filepath.Join(dir, "client")}
	if err := s.furnish(bin); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *site) furnish(bin string) error {
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	program, err := os.ReadFile(bin)
	if err != nil {
		return fmt.Errorf("HEAPFS_BIN: %w", err)
	}
	if err := os.WriteFile(s.heapfs, program, 0o755); err != nil {
		return err
	}
	return s.compile()
}

func (s *site) close() {
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench: left behind:", err)
	}
}
