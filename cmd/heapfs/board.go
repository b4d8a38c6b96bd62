package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/devices/board"
)

func newBoardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "board",
		Short: "List, show, check and make board profiles",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newBoardListCommand(), newBoardShowCommand(), newBoardCheckCommand(), newBoardImportCommand(),
		newBoardProbeCommand(), newBoardSchemaCommand())
	return cmd
}

func newBoardListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Print the names of the built-in boards, one a line",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range board.Builtins() {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), name); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// shownBoard is the answer of `board show --json`: the board as declared, and
// what follows from it.
type shownBoard struct {
	*board.Board
	Nodes  []board.Node     `json:"nodes"`
	Placed []board.PoolSpec `json:"placed_pools"`
}

func newBoardShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Print a board (built-in name or file) as YAML, or as JSON with its nodes and placed pools",
		Args:  oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := board.Load(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return showBoardJSON(cmd, b)
			}
			source, err := board.Source(args[0])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(source)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: sizes and addresses in bytes, resolved nodes and placed pools included")
	return cmd
}

func showBoardJSON(cmd *cobra.Command, b *board.Board) error {
	nodes, err := b.Nodes()
	if err != nil {
		return err
	}
	placed, err := b.PoolSpecs()
	if err != nil {
		return err
	}
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	return enc.Encode(shownBoard{b, nodes, placed})
}

func newBoardCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a board file: every error with line and column, one a line",
		Args:  oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			// An argument of check is a file whatever its name looks like.
			b, err := board.LoadFile(args[0])
			if err != nil {
				return err
			}
			unserved, err := b.Unserved()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if _, err = fmt.Fprintf(out, "%s: ok (%d heaps, %d devices)\n", args[0], len(b.Heaps), len(b.Devices)); err != nil {
				return err
			}
			// Allowed, and worth knowing.
			for _, u := range unserved {
				if _, err := fmt.Fprintf(out, "%s: device %s: %s\n", args[0], printable(u.Device), u.Reason); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func newBoardSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of board files, for editors",
		Long: `schema prints the JSON schema (2020-12) of board files, so that an editor completes keys and marks mistakes while you type. A
YAML language server takes it by a first line such as

  # yaml-language-server: $schema=heapfs-board.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(board.JSONSchema)
			return err
		},
	}
}

// oneArg is cobra.ExactArgs(1) in words that name what is missing.
func oneArg(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return fmt.Errorf("%s: %d arguments given, one is needed; see %s --help", cmd.UseLine(), len(args), cmd.CommandPath())
}
