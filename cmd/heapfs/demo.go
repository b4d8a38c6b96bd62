package main

import "github.com/spf13/cobra"

func newDemoCommand() *cobra.Command {
	return &cobra.Command{Use: "demo", Short: "x", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return nil }}
}

func maybeDemoClient() {}
