package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/heapfs/heapfs/devices/dtb"
)

// maxDepth is the deepest nesting of a device tree (FDT_MAX_DEPTH in drivers/of/fdt.c).
const maxDepth = 64

// tree reads the device tree that the kernel shows as folders and files; nil without one.
func (m *machine) tree() (*dtb.Tree, error) {
	for _, at := range []string{"proc/device-tree", "sys/firmware/devicetree/base"} {
		// A folder, or a link to one.
		at = m.path(at)
		if info, err := os.Stat(at); err != nil || !info.IsDir() {
			continue
		}
		root, err := readNode(at, "", 0)
		if err != nil {
			return nil, fmt.Errorf("board probe: %w", err)
		}
		if len(root.Children) == 0 {
			continue // a PC with an empty tree, as some have for their overlays
		}
		return dtb.NewTree(root), nil
	}
	return nil, nil
}

func readNode(dir, name string, depth int) (*dtb.Node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: nested deeper than %d", dir, maxDepth)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	n := &dtb.Node{Name: name}
	for _, e := range entries {
		at := filepath.Join(dir, e.Name())
		if e.IsDir() {
			c, err := readNode(at, e.Name(), depth+1)
			if err != nil {
				return nil, err
			}
			n.Children = append(n.Children, c)
			continue
		}
		value, err := os.ReadFile(at)
		if errors.Is(err, fs.ErrPermission) {
			continue // a few hold secrets, none of which matters here
		}
		if err != nil {
			return nil, err
		}
		n.Properties = append(n.Properties, dtb.Property{Name: e.Name(), Value: value})
	}
	return n, nil
}
