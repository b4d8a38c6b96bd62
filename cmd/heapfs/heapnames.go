package main

import (
	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/devices/board"
)

// addHeapNamesFlag adds --heap-names of the commands that take a board.
func addHeapNamesFlag(cmd *cobra.Command, set *string) {
	cmd.Flags().StringVar(set, "heap-names", "",
		"show the heaps by the names of this kernel or vendor, instead of the board's own: `SET` is "+joined(board.NameSets()))
}

// loadBoard gives a board by the names of a set, "" for its own.
func loadBoard(name, heapNames string) (*board.Board, error) {
	b, err := board.Load(name)
	if err != nil {
		return nil, err
	}
	return b.WithNames(board.NameSet(heapNames))
}
