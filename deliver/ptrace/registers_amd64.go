package ptrace

import (
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

const (
	supported  = true
	nativeArch = unix.AUDIT_ARCH_X86_64

	sysIoctl      = unix.SYS_IOCTL
	sysSocketpair = unix.SYS_SOCKETPAIR
	sysRecvmsg    = unix.SYS_RECVMSG
	sysDup3       = unix.SYS_DUP3
	sysClose      = unix.SYS_CLOSE
	sysCloseRange = unix.SYS_CLOSE_RANGE
	sysFcntl      = unix.SYS_FCNTL
	sysMmap       = unix.SYS_MMAP
	sysMunmap     = unix.SYS_MUNMAP
	sysPrlimit    = unix.SYS_PRLIMIT64

	// redZone is how many bytes below the stack pointer a function may use (System V ABI).
	redZone = 128
)

// syscallInstruction is what entered the kernel, right before the instruction pointer.
var syscallInstruction = []byte{0x0f, 0x05}

// thread's registers on the way out of a system call, by their meaning.
func number(r *sys.Registers) uint64 { return r.Orig_rax }
func argument(r *sys.Registers, i int) uint64 {
	return [...]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9}[i]
}
func result(r *sys.Registers) int64       { return int64(r.Rax) }
func setResult(r *sys.Registers, n int64) { r.Rax = uint64(n) }
func stack(r *sys.Registers) uint64       { return r.Rsp }
func instruction(r *sys.Registers) uint64 { return r.Rip - uint64(len(syscallInstruction)) }

// again gives the registers of a thread that is about to make the same call once more, by the instruction it came by. Orig_rax -1 says
// that it is in no call, so that the kernel restarts none when it goes on.
func again(r *sys.Registers) *sys.Registers {
	c := *r
	c.Rip = instruction(r)
	c.Rax, c.Orig_rax = number(r), ^uint64(0)
	return &c
}

// entering gives the registers of a thread that has just entered call nr by that instruction.
func entering(r *sys.Registers, nr uint64, args [6]uint64) *sys.Registers {
	c := *r
	c.Orig_rax = nr
	c.Rdi, c.Rsi, c.Rdx, c.R10, c.R8, c.R9 = args[0], args[1], args[2], args[3], args[4], args[5]
	return &c
}
