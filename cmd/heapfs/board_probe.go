package main

import (
	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/devices/probe"
)

func newBoardProbeCommand() *cobra.Command {
	var o probe.Options
	cmd := &cobra.Command{
		Use:   "probe",
		Short: "Print a board made of the machine that this runs on",
		Long: `probe reads the device tree that the kernel shows, the PCI devices for display, multimedia and acceleration with their IOMMUs,
the physical memory and the machine's own heaps, and prints a board file. It needs no privilege; as root it sees where the
memory lies.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := probe.Probe(o)
			if err != nil {
				return err
			}
			out, err := found.Marshal("Made by `heapfs board probe`.")
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
	cmd.Flags().StringVar(&o.Name, "name", "", "`name` of the board (default: what the machine calls itself)")
	cmd.Flags().StringVar(&o.Root, "root", "/", "`folder` that has proc and sys, such as a copy of another machine's")
	return cmd
}
