package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/control"
)

// heapList is the answer of "ls --json".
type heapList struct {
	Instance control.Instance `json:"instance"`
	Heaps    []control.Heap   `json:"heaps"`
}

func newLsCommand() *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls [--socket S] [--json]",
		Short: "List the heap nodes of a running instance and the state of their pools",
		Long: `ls prints one line for each heap node of a running instance: its name, the kind
and the name of its pool, the pool's size and what is free of it, and the number of live
buffers of this heap. Nodes over the same pool share its size.

With --json sizes are in bytes, and the instance is described too: its board and the
export that "auto" was decided to be.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := control.Find(socket)
			if err != nil {
				return err
			}
			defer client.Close()
			heaps, err := client.Heaps(cmd.Context())
			if err != nil {
				return err
			}
			if !asJSON {
				return writeHeaps(cmd.OutOrStdout(), heaps)
			}
			inst, err := client.Instance(cmd.Context())
			if err != nil {
				return err
			}
			return writeState(cmd.OutOrStdout(), heapList{Instance: inst, Heaps: heaps})
		},
	}
	addSocketFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, sizes in bytes")
	return cmd
}

func writeHeaps(w io.Writer, heaps []control.Heap) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tKIND\tPOOL\tSIZE\tFREE\tBUFFERS")
	for _, h := range heaps {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\n",
			printable(h.Name), printable(h.Kind), printable(h.Pool), roundSize(h.PoolSize), roundSize(h.PoolFree), h.Buffers)
	}
	return t.Flush()
}

// addSocketFlag adds --socket of the commands that ask a running instance.
func addSocketFlag(cmd *cobra.Command, socket *string) {
	cmd.Flags().StringVar(socket, "socket", "", "socket of the instance (default $HEAPFS_SOCKET, else that of the only running one)")
}

// writeState prints an answer as JSON for people and scripts alike.
func writeState(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printable returns s as it may stand in a table on a terminal. Names come
// from the programs that run under heapfs and may hold escape sequences.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

var sizeUnits = []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}

// roundSize writes n bytes in the largest unit that it reaches, with one
// decimal if need be.
func roundSize(n uint64) string {
	unit := 0
	for unit+1 < len(sizeUnits) && n>>(10*(unit+1)) > 0 {
		unit++
	}
	whole := uint64(1) << (10 * unit)
	if n%whole == 0 {
		return strconv.FormatUint(n/whole, 10) + sizeUnits[unit]
	}
	return fmt.Sprintf("%.1f%s", float64(n)/float64(whole), sizeUnits[unit])
}

// exactSize writes n bytes in the largest unit that needs no decimals.
func exactSize(n uint64) string {
	unit := 0
	for n != 0 && n%1024 == 0 {
		n /= 1024
		unit++
	}
	return strconv.FormatUint(n, 10) + sizeUnits[unit]
}
