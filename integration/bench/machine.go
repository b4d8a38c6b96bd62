package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/heapfs/heapfs/integration/vm"
)

const (
	cycleRounds  = 5
	cycleSamples = 20
)

// cycleSizes are the names of the client's series.
var cycleSizes = []string{"4 KiB", "1 MiB", "8 MiB"}

// cycleSides are who makes the buffers of a cycle. Each is a command line that the client is put behind.
var cycleSides = []struct{ name, text, command string }{
	{"kernel", "the kernel's `system` heap", "client serve"},
	{"memfd", "`run`, memfd export", "heapfs run -- client serve"},
	{"udmabuf", "`run --export udmabuf`", "heapfs run --export udmabuf -- client serve"},
}

// inMachine measures a buffer's whole life on the kernel's own heap and on heapfs's in one virtual machine, and writes the table of
// docs/performance.md. Only the ratios of one run mean something where a processor is emulated.
func inMachine(s *site, kernel string, w io.Writer) error {
	cfg := vm.Config{
		Kernel:  kernel,
		Files:   map[string]string{"/bin/heapfs": s.heapfs, "/bin/client": s.client},
		Timeout: 10 * time.Minute,
	}
	for round := range cycleRounds {
		for _, side := range cycleSides {
			cfg.Steps = append(cfg.Steps, vm.Step{
				Name:    fmt.Sprint(side.name, round),
				Script:  fmt.Sprintf("echo cycle %d | %s", cycleSamples, side.command),
				Timeout: 2 * time.Minute,
			})
		}
	}
	result, err := vm.Boot(context.Background(), cfg)
	if err != nil {
		return err
	}
	r := records{}
	for round := range cycleRounds {
		for _, side := range cycleSides {
			step := result.Step(fmt.Sprint(side.name, round))
			var a answer
			if !step.OK() {
				return fmt.Errorf("%s, Linux %s: %v: %s", side.text, result.Release, step, strings.TrimSpace(step.Stderr))
			}
			if err := json.Unmarshal([]byte(step.Stdout), &a); err != nil {
				return fmt.Errorf("%s: %w", side.text, err)
			}
			for size, v := range a {
				r.add(side.name+" "+size, v)
			}
		}
	}
	return writeCycles(w, result.Release, r)
}

func writeCycles(w io.Writer, release string, r records) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Linux %s, emulated processor, medians of %d rounds of %d; 1 is the kernel's own heap in the same run.\n\n",
		release, cycleRounds, cycleSamples)
	b.WriteString("| ALLOC + map + fill + close |")
	for _, size := range cycleSizes {
		fmt.Fprintf(&b, " %s |", size)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(cycleSizes)) + "\n")
	for _, side := range cycleSides {
		fmt.Fprintf(&b, "| %s |", side.text)
		for _, size := range cycleSizes {
			fmt.Fprintf(&b, " %.2f |", r.of(side.name+" "+size, 1).Median/r.of(cycleSides[0].name+" "+size, 1).Median)
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
