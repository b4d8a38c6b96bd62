package vm

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
)

// Where a bzImage's header says what is in it (Documentation/arch/x86/boot.rst): bytes from the file's begin.
const (
	setupSectors  = 0x1f1 // u8, of 512 bytes behind the first one
	headerMagic   = 0x202
	payloadOffset = 0x248 // u32, bytes from the end of the sectors
	payloadLength = 0x24c // u32, with the size of what is packed, a u32, at its end
	headerEnd     = 0x250
)

// packers are tools that unpack a payload from their standard input, by how it begins.
var packers = map[string]string{"\x1f\x8b": "gzip", "\xfd7zXZ\x00": "xz", "\x28\xb5\x2f\xfd": "zstd"}

// vmlinux unpacks the kernel that is in a bzImage, because a guest under tcg takes a second to do so. nil: it is packed in another way, or
// can't be entered without the code around it.
func vmlinux(ctx context.Context, bzImage []byte) ([]byte, error) {
	if len(bzImage) < headerEnd || string(bzImage[headerMagic:headerMagic+4]) != "HdrS" {
		return nil, nil
	}
	le := binary.LittleEndian
	from := (uint64(bzImage[setupSectors])+1)*512 + uint64(le.Uint32(bzImage[payloadOffset:]))
	length := uint64(le.Uint32(bzImage[payloadLength:]))
	if length < 4 || from+length > uint64(len(bzImage)) {
		return nil, fmt.Errorf("vmlinuz: its payload of %d bytes at %#x is beyond its end", length, from)
	}
	payload := bzImage[from : from+length-4]
	for magic, tool := range packers {
		if !bytes.HasPrefix(payload, []byte(magic)) {
			continue
		}
		unpack := command(ctx, tool, "-dc")
		unpack.Stdin = bytes.NewReader(payload)
		kernel, err := unpack.Output()
		if err != nil {
			return nil, fmt.Errorf("vmlinuz: %s -dc: %w", tool, err)
		}
		if !hasEntry(kernel) {
			return nil, nil
		}
		return kernel, nil
	}
	return nil, nil
}

// hasEntry: the note by which an emulator finds the way into an unpacked kernel (XEN_ELFNOTE_PHYS32_ENTRY, include/xen/interface/elfnote.h).
func hasEntry(kernel []byte) bool {
	const entry = 18
	f, err := elf.NewFile(bytes.NewReader(kernel))
	if err != nil {
		return false
	}
	section := f.Section(".notes")
	if section == nil {
		return false
	}
	notes, err := section.Data()
	if err != nil {
		return false
	}
	for len(notes) >= 12 {
		names, data, kind := f.ByteOrder.Uint32(notes), f.ByteOrder.Uint32(notes[4:]), f.ByteOrder.Uint32(notes[8:])
		size := 12 + (uint64(names)+3)&^3 + (uint64(data)+3)&^3
		if size > uint64(len(notes)) {
			return false
		}
		if kind == entry && bytes.HasPrefix(notes[12:], []byte("Xen\x00")) {
			return true
		}
		notes = notes[size:]
	}
	return false
}

// unpackKernel puts the kernel beside its vmlinuz, if that can be.
func unpackKernel(ctx context.Context, vmlinuz, out string) error {
	packed, err := os.ReadFile(vmlinuz)
	if err != nil {
		return err
	}
	kernel, err := vmlinux(ctx, packed)
	if err != nil || kernel == nil {
		return err
	}
	return os.WriteFile(out, kernel, 0o644)
}
