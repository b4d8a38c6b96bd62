package main

import (
	"fmt"
	"io"
	"slices"
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
	var asJSON, allExtents, phys bool
	cmd := &cobra.Command{
		Use:   "buffers [--socket S] [--json] [--extents] [--phys]",
		Short: "List the live buffers of a running instance",
		Long: `buffers prints one line for each buffer that something still has open or mapped:
its id, heap and pool, its size, the process that asked for it (command[pid]; it may have
ended since), its physical extents as address+length, and the name given to it. Where a device
has a buffer, DEVICES says which (device:attachment@address, as the device sees it).

With --phys it also says how the buffer really lies in the memory of this machine: the number
of contiguous runs, and the length of the longest. That takes the udmabuf export, where bytes
lie where the extents say, and an instance that root started.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := control.Find(socket)
			if err != nil {
				return err
			}
			defer client.Close()
			ask := client.Buffers
			if phys {
				ask = client.BuffersPhys
			}
			bufs, err := ask(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				err = writeState(cmd.OutOrStdout(), bufs)
			} else {
				err = writeBuffers(cmd.OutOrStdout(), bufs, allExtents, phys)
			}
			if err != nil {
				return err
			}
			return physError(bufs)
		},
	}
	addSocketFlag(cmd, &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array, sizes and addresses in bytes, all extents")
	cmd.Flags().BoolVar(&allExtents, "extents", false, fmt.Sprintf("print all extents, not only the first %d", shownExtents))
	cmd.Flags().BoolVar(&phys, "phys", false, "show how the buffers lie in this machine's memory")
	return cmd
}

// physError is the first reason why a buffer's place could not be told.
func physError(bufs []control.Buffer) error {
	for _, b := range bufs {
		if b.Phys != nil && b.Phys.Error != "" {
			return fmt.Errorf("buffers: --phys: buffer %d: %s", b.ID, b.Phys.Error)
		}
	}
	return nil
}

func writeBuffers(w io.Writer, bufs []control.Buffer, allExtents, phys bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	head := "NAME"
	if phys {
		head = "RUNS\tLONGEST\tNAME"
	}
	attached := slices.ContainsFunc(bufs, func(b control.Buffer) bool { return len(b.Attachments) > 0 })
	if attached {
		head = "DEVICES\t" + head
	}
	fmt.Fprintln(t, "ID\tHEAP\tPOOL\tSIZE\tOWNER\tEXTENTS\t"+head)
	for _, b := range bufs {
		limit := shownExtents
		if allExtents {
			limit = len(b.Extents)
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s[%d]\t%s\t", b.ID, printable(b.Heap), printable(b.Pool), roundSize(b.Len), printable(b.Comm),
			b.PID, formatExtents(b.Extents, limit))
		if attached {
			fmt.Fprint(t, formatAttachments(b.Attachments)+"\t")
		}
		switch {
		case phys && b.Phys != nil && b.Phys.Error == "":
			fmt.Fprintf(t, "%d\t%s\t", b.Phys.Runs, exactSize(b.Phys.Longest))
		case phys:
			fmt.Fprint(t, "-\t-\t")
		}
		fmt.Fprintln(t, printable(b.Name))
	}
	return t.Flush()
}

// formatAttachments writes attachments as device:id@address, or "-".
func formatAttachments(all []control.Attachment) string {
	if len(all) == 0 {
		return "-"
	}
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = fmt.Sprintf("%s:%d", printable(a.Device), a.ID)
		if a.Segments > 0 {
			words[i] += fmt.Sprintf("@%#x", a.DMAAddr)
		}
	}
	return strings.Join(words, ",")
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
