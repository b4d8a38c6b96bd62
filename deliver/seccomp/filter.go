package seccomp

import (
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// Offsets in struct seccomp_data (include/uapi/linux/seccomp.h). The low half of an argument comes first on little-endian.
const (
	dataNR   = 0
	dataArch = 4
	dataCmd  = 24 // args[1]
)

// abi is one way to call ioctl.
type abi struct {
	arch uint32
	nrs  []uint32
}

// commands is a run of commands of one type, by the low 16 bits: type and number.
type commands struct{ first, last uint16 }

// trapped are the commands that are ours, whatever their size and direction, from the highest down. A kernel's heap node looks at
// the number alone; numbers of other types reach it through FUSE.
var trapped = []commands{
	{uapi.BufIoctlSync.TypeNR(), uapi.BufIoctlImportSyncFile.TypeNR()}, // SYNC, SET_NAME, EXPORT_SYNC_FILE, IMPORT_SYNC_FILE
	{uapi.HeapIoctlAlloc.TypeNR(), uapi.HeapIoctlAlloc.TypeNR()},
	{uapi.SyncIoctlMerge.TypeNR(), uapi.SyncIoctlSetDeadline.TypeNR()}, // MERGE, FILE_INFO, SET_DEADLINE
}

// Filter is the program for this machine's architecture, with its 32-bit callers. Everything but our commands is allowed; the
// kernel sees that without running the program for any system call but ioctl. The command is compared by its low half only:
// musl passes it sign-extended, and the kernel ignores the upper half.
func Filter() ([]bpf.RawInstruction, error) { return assemble(abis) }

func assemble(abis []abi) ([]bpf.RawInstruction, error) {
	var prog []bpf.Instruction
	// The tail is the same for all: commands, then the two ends. Sections before it jump to it by distance.
	tail := []bpf.Instruction{
		bpf.LoadAbsolute{Off: dataCmd, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xffff},
	}
	// Two comparisons a run, and most commands are out after few: above a run is none of ours, as those above were seen to.
	for i, run := range trapped {
		left := 2 * (len(trapped) - i - 1)
		tail = append(tail,
			bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: uint32(run.last), SkipTrue: uint8(left + 1)},
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: uint32(run.first), SkipTrue: uint8(left + 1)},
		)
	}
	tail = append(tail,
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
		bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF},
	)

	var sections [][]bpf.Instruction
	after := 0 // instructions between the section at hand and the tail
	for i := len(abis) - 1; i >= 0; i-- {
		a := abis[i]
		section := []bpf.Instruction{
			bpf.LoadAbsolute{Off: dataArch, Size: 4},
			// Another architecture: on to the next section, which begins behind the load, the numbers and the return.
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: a.arch, SkipTrue: uint8(len(a.nrs) + 2)},
			bpf.LoadAbsolute{Off: dataNR, Size: 4},
		}
		for j, nr := range a.nrs {
			section = append(section, bpf.JumpIf{Cond: bpf.JumpEqual, Val: nr, SkipTrue: uint8(len(a.nrs) - j + after)})
		}
		section = append(section, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
		if i == len(abis)-1 {
			// Behind the last section stands the end for unknown architectures.
			section = append(section, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
			for j := range a.nrs {
				jump := section[3+j].(bpf.JumpIf)
				jump.SkipTrue++
				section[3+j] = jump
			}
		}
		after += len(section)
		sections = append(sections, section)
	}
	for i := len(sections) - 1; i >= 0; i-- {
		prog = append(prog, sections[i]...)
	}
	prog = append(prog, tail...)
	raw, err := bpf.Assemble(prog)
	if err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	return raw, nil
}
