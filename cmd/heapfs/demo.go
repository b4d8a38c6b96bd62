package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/demo"
)

func newDemoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show what one client gets for the video decoder of two boards",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			if err := demo.Run(cmd.Context(), self, cmd.OutOrStdout()); err != nil {
				return fmt.Errorf("demo: %w", err)
			}
			return nil
		},
	}
}

// newDemoClientCommand is the demo's client. It is hidden: on its own it needs heaps, like any client.
func newDemoClientCommand() *cobra.Command {
	return &cobra.Command{
		Use: demo.ClientCommand, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return demo.Client(cmd.OutOrStdout()) },
	}
}
