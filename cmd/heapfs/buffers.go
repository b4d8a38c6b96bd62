package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/control"
)

// shownExtents is how many extents of a buffer the table shows.
const shownExtents = 3

func newBuffersCommand() *cobra.Command {
	var socket string
	var asJSON, allExtents bool
	cmd := &cobra.Command{
		Use:   "buffers [--socket S] [--json] [--extents]",
		Short: "List the live buffers of a running instance",
		Long: `buffers prints one line for each buffer that something still has open or mapped:
its id, heap and pool, its size, the process that asked for it (command[pid]; it may have
ended since), its physical extents as address+length, and the name given to it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := control.Find(socket)
			if err != nil {
				return err
			}
			defer client.Close()
			bufs, err := client.Buffers(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return writeState(cmd.OutOrStdout(), bufs)
			}
			return writeBuffers(cmd.OutOrStdout(), bufs, allExtents)
		},
	}
	addSocketFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, sizes and addresses in bytes, all extents")
	cmd.Flags().BoolVar(&allExtents, "extents", false, fmt.Sprintf("print all extents, not only the first %d", shownExtents))
	return cmd
}

func writeBuffers(w io.Writer, bufs []control.Buffer, allExtents bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tHEAP\tPOOL\tSIZE\tOWNER\tEXTENTS\tNAME")
	for _, b := range bufs {
		limit := shownExtents
		if allExtents {
			limit = len(b.Extents)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s[%d]\t%s\t%s\n",
			b.ID, printable(b.Heap), printable(b.Pool), roundSize(b.Len), printable(b.Comm), b.PID, formatExtents(b.Extents, limit), printable(b.Name))
	}
	return t.Flush()
}

// formatExtents writes extents as address+length, at most limit of them and
// then the number of those left out.
func formatExtents(exts []backing.Extent, limit int) string {
	var b strings.Builder
	for i, e := range exts {
		if i == limit {
			fmt.Fprintf(&b, ",…(%d more)", len(exts)-limit)
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%#x+%s", e.Addr, exactSize(e.Len))
	}
	return b.String()
}
