package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/heapfs/heapfs/heapnodes/events"
)

// ClientCommand is the subcommand under which a heapfs binary is the client.
const ClientCommand = "demo-client"

// shown is how many extents of a buffer fit the screen.
const shown = 3

var stories = []struct{ title, board, why string }{
	{"i.MX 8M Quad: nothing translates addresses for the decoder, it needs contiguous memory", "imx8mq-evk", "contiguous"},
	{"RK3399: the same decoder sits behind an IOMMU, any pages will do", "rk3399-rockpro64", "scattered"},
}

// Run shows the demo on w, by running the heapfs binary self.
func Run(ctx context.Context, self string, w io.Writer) error {
	dir, err := os.MkdirTemp("", "heapfs-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory
	var screen bytes.Buffer
	screen.WriteString("One small client wants a 1080p frame that the video decoder can write. It asks the decoder's heap node.\n")
	for i, s := range stories {
		log := fmt.Sprintf("%s/%d.jsonl", dir, i)
		said, err := runClient(ctx, self, s.board, log)
		if err != nil {
			return err
		}
		alloc, err := findAlloc(log)
		if err != nil {
			return err
		}
		fmt.Fprintf(&screen, "\n%s\n  $ heapfs run --board %s -- client\n  client: %s\n  heapfs: %s\n",
			s.title, s.board, strings.TrimSpace(said), describe(alloc, s.why))
	}
	screen.WriteString("\nThe client did not change, and needed no privilege. Try your own: heapfs run --board rk3399-rockpro64 -- YOUR-PROGRAM\n")
	_, err = screen.WriteTo(w)
	return err
}

func runClient(ctx context.Context, self, board, log string) (string, error) {
	cmd := exec.CommandContext(ctx, self, "run", "--board", board, "--events", log, "--", self, ClientCommand)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if said := strings.TrimPrefix(strings.TrimSpace(stderr.String()), "heapfs: "); said != "" {
			return "", errors.New(said)
		}
		return "", fmt.Errorf("run --board %s: %w", board, err)
	}
	return string(out), nil
}

// findAlloc reads the one ALLOC in an event file.
func findAlloc(log string) (events.Event, error) {
	data, err := os.ReadFile(log)
	if err != nil {
		return events.Event{}, err
	}
	for line := range bytes.Lines(data) {
		var e events.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return e, fmt.Errorf("%s: %w", log, err)
		}
		if e.Event == events.Alloc {
			return e, nil
		}
	}
	return events.Event{}, fmt.Errorf("%s: no ALLOC in it", log)
}

func describe(alloc events.Event, why string) string {
	n := len(alloc.Extents)
	var b strings.Builder
	if n == 1 {
		fmt.Fprintf(&b, "1 %s extent of physical memory", why)
	} else {
		fmt.Fprintf(&b, "%d %s extents of physical memory", n, why)
	}
	for i, e := range alloc.Extents {
		if i == shown {
			fmt.Fprintf(&b, "\n          … and %d more", n-shown)
			break
		}
		fmt.Fprintf(&b, "\n          %v %4d KiB", e, e.Len>>10)
	}
	return b.String()
}
