package dtb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The sizes beyond which a blob is refused before it is parsed.
const (
	// MaxBlob is the largest blob, in bytes: what arm64 takes from a boot loader (MAX_FDT_SIZE in arch/arm64/include/asm/boot.h).
	MaxBlob = 2 << 20
	// maxDepth is the deepest nesting (FDT_MAX_DEPTH in drivers/of/fdt.c).
	maxDepth = 64
	// maxWord is the longest name of a node or property, in bytes. Both become file names below /proc/device-tree.
	maxWord = 255
)

// ErrBlob is the reason of every refusal by Parse: what was given is no device tree blob, or not a whole one.
var ErrBlob = errors.New("no usable device tree blob")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBlob, fmt.Sprintf(format, args...))
}

// The header and the tokens of the structure block (Devicetree Specification, chapter 5).
const (
	magic      = 0xd00dfeed
	headerSize = 40

	tokenBeginNode = 1
	tokenEndNode   = 2
	tokenProp      = 3
	tokenNop       = 4
	tokenEnd       = 9
)

// checkShape refuses what the parser would answer with much time or memory, or not notice at all: it adds up names byte by byte,
// copies the name of each property, nests as deep as it is told, and reads a tree that ends early as one that ends.
func checkShape(data []byte) error {
	word := func(at int) int { return int(binary.BigEndian.Uint32(data[at:])) }
	if len(data) > MaxBlob {
		return refuse("larger than %d bytes, which is the most that a kernel takes", MaxBlob)
	}
	if len(data) < headerSize {
		return refuse("%d bytes, and the header alone has %d", len(data), headerSize)
	}
	if word(0) != magic {
		return refuse("it begins with %#08x, not with %#08x", word(0), magic)
	}
	total, structs, names, version := word(4), word(8), word(12), word(20)
	namesSize, structsSize := word(32), word(36)
	switch {
	case total > len(data):
		return refuse("truncated: the header says %d bytes, and there are %d", total, len(data))
	case total < headerSize:
		return refuse("the header says %d bytes, and has %d itself", total, headerSize)
	case version < 17 || word(24) > 17:
		return refuse("format version %d (compatible down to %d): only 17 is read; convert it with dtc -I dtb -O dtb", version, word(24))
	case structs+structsSize > total || structs < headerSize || structs%4 != 0:
		return refuse("the structure block (%d bytes from %d) is not inside its %d bytes, or not aligned", structsSize, structs, total)
	case names+namesSize > total || names < headerSize:
		return refuse("the strings block (%d bytes from %d) is not inside its %d bytes", namesSize, names, total)
	}
	return checkStructure(data[structs:structs+structsSize], data[names:names+namesSize])
}

// checkStructure walks the tokens of a structure block.
func checkStructure(block, names []byte) error {
	depth, roots := 0, 0
	at := 0
	word := func() (uint32, bool) {
		if len(block)-at < 4 {
			return 0, false
		}
		v := binary.BigEndian.Uint32(block[at:])
		at += 4
		return v, true
	}
	for {
		start := at
		token, ok := word()
		if !ok {
			return refuse("the structure block ends in the middle, at byte %d, with %d nodes open", start, depth)
		}
		switch token {
		case tokenBeginNode:
			name, ok := wordAt(block, at)
			if !ok {
				return refuse("a node at byte %d of the structure block has a name of more than %d bytes", start, maxWord)
			}
			at = roundUp4(at + len(name) + 1)
			if depth == 0 {
				roots++
			}
			if depth++; depth > maxDepth || roots > 1 {
				return refuse("nodes nest deeper than %d, or there is more than one root, at byte %d of the structure block", maxDepth, start)
			}
		case tokenEndNode:
			if depth--; depth < 0 {
				return refuse("a node ends that did not begin, at byte %d of the structure block", start)
			}
		case tokenProp:
			size, ok := word()
			nameAt, ok2 := word()
			if !ok || !ok2 || int64(size) > int64(len(block)-at) {
				return refuse("a property at byte %d of the structure block is longer than the block", start)
			}
			if _, ok := wordAt(names, int(nameAt)); !ok || depth == 0 {
				return refuse("a property at byte %d of the structure block is outside a node or has no name of up to %d bytes", start, maxWord)
			}
			at = roundUp4(at + int(size))
		case tokenNop:
		case tokenEnd:
			if depth != 0 || roots != 1 {
				return refuse("the structure block ends with %d nodes open and %d roots", depth, roots)
			}
			return nil
		default:
			return refuse("token %d at byte %d of the structure block is unknown", token, start)
		}
	}
}

// wordAt gives the text that ends in a zero byte, or false when there is no such end within maxWord bytes.
func wordAt(block []byte, at int) ([]byte, bool) {
	if at < 0 || at >= len(block) {
		return nil, false
	}
	end := bytes.IndexByte(block[at:min(at+maxWord+1, len(block))], 0)
	if end < 0 {
		return nil, false
	}
	return block[at : at+end], true
}

func roundUp4(n int) int { return (n + 3) &^ 3 }
