package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heapfs/heapfs/devices"
	"github.com/heapfs/heapfs/devices/dtb"
)

func newBoardImportCommand() *cobra.Command {
	var name, cma string
	var memory []string
	cmd := &cobra.Command{
		Use:   "import FILE.dtb",
		Short: "Print a board made of a device tree blob",
		Long: `import reads a device tree blob, as a kernel package or a boot partition has it, and prints a board file: the memory, what
is reserved of it, and every enabled device that takes media buffers, with comments on where each comes from, what was left
out and what the tree leaves to the boot loader.`,
		Example: `  heapfs board import imx8mq-evk.dtb >imx8mq-evk.yaml
  heapfs board import --memory 0x200000+0xf7e00000 --cma 128MiB rk3399-rockpro64.dtb`,
		DisableFlagsInUseLine: true,
		Args:                  oneArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			o := dtb.Options{Name: name}
			if o.Name == "" {
				o.Name = strings.TrimSuffix(filepath.Base(args[0]), ".dtb")
			}
			var err error
			if o.Memory, err = parseMemory(memory); err != nil {
				return err
			}
			if o.CMA, err = parseCMA(cma); err != nil {
				return err
			}
			im, err := importBlob(args[0], o)
			if err != nil {
				return err
			}
			out, err := im.Marshal("Made by `heapfs board import` of " + filepath.Base(args[0]) + ".")
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "`name` of the board (default: that of the file)")
	flags.StringArrayVar(&memory, "memory", nil, "physical memory as `BASE+SIZE`, instead of what the tree says; may be given again")
	flags.StringVar(&cma, "cma", "", "`size` of the default CMA area, where the tree has none (default 256MiB, or what fits)")
	return cmd
}

// importBlob makes a board of a file. A blob has at most dtb.MaxBlob bytes; one more is read to see that it has not.
func importBlob(file string, o dtb.Options) (*dtb.Imported, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("board import: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, dtb.MaxBlob+1))
	if err != nil {
		return nil, fmt.Errorf("board import: %w", err)
	}
	tree, err := dtb.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("board import: %s: %w", file, err)
	}
	im, err := tree.Import(o)
	if err != nil {
		return nil, fmt.Errorf("board import: %s: %w", file, err)
	}
	return im, nil
}

// parseMemory reads --memory.
func parseMemory(args []string) ([]dtb.Range, error) {
	var list []dtb.Range
	for _, arg := range args {
		base, size, ok := strings.Cut(arg, "+")
		b, err := devices.ParseBytes(base)
		s, err2 := devices.ParseBytes(size)
		if err = errors.Join(err, err2); !ok || err != nil || s < 1<<20 {
			return nil, fmt.Errorf("--memory %q: expected BASE+SIZE with at least 1 MiB, as in 0x40000000+2GiB", arg)
		}
		list = append(list, dtb.Range{Base: uint64(b), Size: uint64(s)})
	}
	return list, nil
}

// parseCMA reads --cma; zero is what the importer chooses.
func parseCMA(arg string) (uint64, error) {
	if arg == "" {
		return 0, nil
	}
	n, err := devices.ParseBytes(arg)
	if err != nil {
		return 0, fmt.Errorf("--cma: %w", err)
	}
	if n < 1<<20 || n%(1<<20) != 0 {
		return 0, fmt.Errorf("--cma %s: expected a multiple of 1MiB", arg)
	}
	return uint64(n), nil
}
