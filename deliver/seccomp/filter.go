package seccomp

import (
	"fmt"
	"slices"

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

// imports are the commands that give a buffer to a driver, which a door with Bound wants to see.
var imports = []commands{
	{uapi.DRMPrimeFDToHandle.TypeNR(), uapi.DRMPrimeFDToHandle.TypeNR()},
	{uapi.VIDIOCQBuf.TypeNR(), uapi.VIDIOCQBuf.TypeNR()},
}

// Filter is the program for this machine's architecture, with its 32-bit callers. Everything but our commands is allowed; the
// kernel sees that without running the program for any system call of the machine's own ABI but ioctl. The command is compared by
// its low half only: musl passes it sign-extended, and the kernel ignores the upper half.
func Filter() ([]bpf.RawInstruction, error) { return assemble(abis, trapped) }

// ImportFilter is Filter that traps the commands too by which drivers are given buffers.
func ImportFilter() ([]bpf.RawInstruction, error) { return assemble(abis, withImports()) }

// withImports is trapped and imports, from the highest command down.
func withImports() []commands {
	all := slices.Concat(trapped, imports)
	slices.SortFunc(all, func(a, b commands) int { return int(b.first) - int(a.first) })
	return all
}

// assemble orders the questions so that an ioctl of the machine's own ABI that is none of ours, which is what a program makes most,
// leaves after five instructions: the number of the call, then one look at the command. What the number means depends on the
// architecture, but that is asked only about a command that looks like ours.
func assemble(abis []abi, trapped []commands) ([]bpf.RawInstruction, error) {
	const (
		command = "command"
		ours    = "ours"
		allow   = "allow"
		notify  = "notify"
	)
	var p program
	p.add(bpf.LoadAbsolute{Off: dataNR, Size: 4})
	p.jump(bpf.JumpEqual, abis[0].nrs[0], command, "")
	p.callIsOneOf(abis, command)

	p.label(command)
	p.add(bpf.LoadAbsolute{Off: dataCmd, Size: 4})
	p.jump(bpf.JumpBitsSet, foreignBits(trapped), allow, "")
	p.add(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xffff})
	// Two comparisons a run; above a run is none of ours, as those above were seen to.
	for _, run := range trapped {
		p.jump(bpf.JumpGreaterThan, uint32(run.last), allow, "")
		p.jump(bpf.JumpGreaterOrEqual, uint32(run.first), ours, "")
	}
	p.add(bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})

	p.label(ours)
	p.callIsOneOf(abis, notify)

	p.label(allow)
	p.add(bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
	p.label(notify)
	p.add(bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF})
	return p.assemble()
}

// callIsOneOf goes on at yes for an ioctl of one of the abis, and allows any other call.
func (p *program) callIsOneOf(abis []abi, yes string) {
	for _, a := range abis {
		next := fmt.Sprint("next ", len(p.code))
		p.add(bpf.LoadAbsolute{Off: dataArch, Size: 4})
		p.jump(bpf.JumpEqual, a.arch, "", next)
		p.add(bpf.LoadAbsolute{Off: dataNR, Size: 4})
		for _, nr := range a.nrs {
			p.jump(bpf.JumpEqual, nr, yes, "")
		}
		p.add(bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
		p.label(next)
	}
	p.add(bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
}

// foreignBits are the bits of a command's type and number that none of the trapped ones has.
func foreignBits(trapped []commands) uint32 {
	var used uint16
	for _, run := range trapped {
		for cmd := run.first; cmd <= run.last; cmd++ {
			used |= cmd
		}
	}
	return uint32(^used)
}

// program is instructions with jumps by name. A jump to "" goes on with the next instruction.
type program struct {
	code   []bpf.Instruction
	jumps  map[int][2]string // by the jump's place: where to if the test holds, and if not
	labels map[string]int
}

func (p *program) add(i bpf.Instruction) { p.code = append(p.code, i) }

func (p *program) jump(test bpf.JumpTest, val uint32, ifTrue, ifFalse string) {
	if p.jumps == nil {
		p.jumps = map[int][2]string{}
	}
	p.jumps[len(p.code)] = [2]string{ifTrue, ifFalse}
	p.add(bpf.JumpIf{Cond: test, Val: val})
}

func (p *program) label(name string) {
	if p.labels == nil {
		p.labels = map[string]int{}
	}
	p.labels[name] = len(p.code)
}

func (p *program) assemble() ([]bpf.RawInstruction, error) {
	for at, to := range p.jumps {
		j := p.code[at].(bpf.JumpIf)
		for k, skip := range []*uint8{&j.SkipTrue, &j.SkipFalse} {
			if to[k] == "" {
				continue
			}
			distance := p.labels[to[k]] - at - 1
			if distance < 0 || distance > 255 {
				return nil, fmt.Errorf("seccomp filter: no way from instruction %d to %q", at, to[k])
			}
			*skip = uint8(distance)
		}
		p.code[at] = j
	}
	raw, err := bpf.Assemble(p.code)
	if err != nil {
		return nil, fmt.Errorf("seccomp filter: %w", err)
	}
	return raw, nil
}
