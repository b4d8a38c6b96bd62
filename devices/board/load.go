package board

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sort"
	"strings"
)

// MaxFileSize is the largest board file that is read, in bytes.
const MaxFileSize = 1 << 20

// ErrUnknown is the reason when no built-in board has the given name.
var ErrUnknown = errors.New("no such built-in board")

//go:embed builtin/*.yaml
var builtin embed.FS

// Builtins gives the names of the built-in boards, sorted.
func Builtins() []string {
	files, err := fs.Glob(builtin, "builtin/*.yaml")
	if err != nil {
		panic(err) // the pattern is constant
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(path.Base(f), ".yaml")
	}
	sort.Strings(names)
	return names
}

// IsPath says whether a --board argument means a file: it has a slash or ends
// in .yaml or .yml.
func IsPath(nameOrPath string) bool {
	return strings.Contains(nameOrPath, "/") ||
		strings.HasSuffix(nameOrPath, ".yaml") || strings.HasSuffix(nameOrPath, ".yml")
}

// Source gives the YAML text of a built-in board, or of a file by the rule of
// IsPath. The error is ErrUnknown for a name that is not built in, else that of
// the file, whose name it carries.
func Source(nameOrPath string) ([]byte, error) {
	if IsPath(nameOrPath) {
		return readFile(nameOrPath)
	}
	data, err := builtin.ReadFile("builtin/" + nameOrPath + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("board %s: %w: use one of %s, or a path with a slash or ending in .yaml",
			quote(nameOrPath), ErrUnknown, strings.Join(Builtins(), ", "))
	}
	return data, nil
}

// Load gives a built-in board or the board of a file by the rule of IsPath.
// Errors are those of Source and Parse.
func Load(nameOrPath string) (*Board, error) {
	if IsPath(nameOrPath) {
		return LoadFile(nameOrPath)
	}
	data, err := Source(nameOrPath)
	if err != nil {
		return nil, err
	}
	return Parse(nameOrPath+".yaml", data)
}

// LoadFile gives the board of a file, whatever its name looks like. Errors are
// those of Parse, or the file's.
func LoadFile(name string) (*Board, error) {
	data, err := readFile(name)
	if err != nil {
		return nil, err
	}
	return Parse(name, data)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	defer f.Close()
	// One byte more than allowed, so that Parse sees that it is too much
	// without reading all of, say, /dev/zero.
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	return data, nil
}
