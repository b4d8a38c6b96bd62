package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/control"
	"github.com/heapfs/heapfs/devices"
)

// policyEntry is a line of the policy, and the answer of "policy --json" for one usage.
type policyEntry struct {
	Usage string `json:"usage"`
	Heap  string `json:"heap"`
}

// policyTable is the answer of "policy --json" without a usage.
type policyTable struct {
	Board  string        `json:"board"`
	Policy []policyEntry `json:"policy"`
}

func newPolicyCommand() *cobra.Command {
	var boardName, heapNames, socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "policy [--board B] [--heap-names SET] [--socket S] [--json] [USAGE]",
		Short: "Print the heap that the board's policy has for a usage",
		Long: `policy looks a usage ("camera", "video-decode") up in the board's table of usages and heaps, which system integrators write as
they write fstab, and prints the name of the heap: what is to be opened in /dev/dma_heap. Without USAGE it prints the table.

The board is that of --board. Without --board it is that of the running instance that --socket or $HEAPFS_SOCKET names, so that
a program under heapfs run gets the policy of the board that it sees.

Exit status: 0 with a heap, else 1.`,
		Example: `  heapfs policy --board imx8mq-evk video-decode
  heapfs run --board imx8mq-evk -- sh -c 'exec ./decoder --heap "$(heapfs policy video-decode)"'`,
		DisableFlagsInUseLine: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("policy: %d usages given, one is needed; without any the whole table is printed", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			table, err := findPolicy(cmd.Context(), boardName, heapNames, socket)
			if err != nil {
				return fmt.Errorf("policy: %w", err)
			}
			if len(args) == 0 {
				return writePolicy(cmd, table, asJSON)
			}
			platform := devices.Platform{Policy: map[string]string{}}
			for _, e := range table.Policy {
				platform.Policy[e.Usage] = e.Heap
			}
			heap, err := platform.HeapFor(args[0])
			if err != nil {
				return fmt.Errorf("policy: %w on board %s; %s", err, table.Board, table.has(args[0]))
			}
			if asJSON {
				return writeState(cmd.OutOrStdout(), policyEntry{args[0], heap})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), heap)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&boardName, "board", "", "a built-in `board` (heapfs board list), or a board file: a path with a slash or ending in .yaml")
	addHeapNamesFlag(cmd, &heapNames)
	addSocketFlag(cmd, &socket)
	flags.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// findPolicy gives the table of a board, or of the running instance that is named or the only one.
func findPolicy(ctx context.Context, boardName, heapNames, socket string) (*policyTable, error) {
	if boardName != "" {
		b, err := loadBoard(boardName, heapNames)
		if err != nil {
			return nil, err
		}
		return newPolicyTable(boardName, b.Policy), nil
	}
	if heapNames != "" {
		return nil, errors.New("--heap-names: a running instance has its names already; give --board too")
	}
	client, err := control.Find(socket)
	if err != nil {
		return nil, fmt.Errorf("no board: %w; or give --board", err)
	}
	defer client.Close()
	inst, err := client.Instance(ctx)
	if err != nil {
		return nil, err
	}
	return newPolicyTable(inst.Board, inst.Policy), nil
}

func newPolicyTable(board string, policy map[string]string) *policyTable {
	t := &policyTable{Board: board, Policy: []policyEntry{}}
	for _, usage := range slices.Sorted(maps.Keys(policy)) {
		t.Policy = append(t.Policy, policyEntry{usage, policy[usage]})
	}
	return t
}

// has says what there is in place of an unknown usage.
func (t *policyTable) has(usage string) string {
	if len(t.Policy) == 0 {
		return "it has no policy (see docs/boards.md)"
	}
	known := make([]string, len(t.Policy))
	for i, e := range t.Policy {
		known[i] = printable(e.Usage)
	}
	return "it has " + strings.Join(known, ", ") + suggest(usage, known)
}

func writePolicy(cmd *cobra.Command, table *policyTable, asJSON bool) error {
	if asJSON {
		return writeState(cmd.OutOrStdout(), table)
	}
	t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "USAGE\tHEAP")
	for _, e := range table.Policy {
		fmt.Fprintf(t, "%s\t%s\n", printable(e.Usage), printable(e.Heap))
	}
	return t.Flush()
}
