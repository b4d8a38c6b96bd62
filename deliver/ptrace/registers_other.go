//go:build !amd64

package ptrace

import (
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// No injection on this machine: every order fails before its thread is touched.
const (
	supported  = false
	nativeArch = 0

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

	redZone = 0
)

var syscallInstruction []byte

func number(*sys.Registers) uint64                                    { return 0 }
func argument(*sys.Registers, int) uint64                             { return 0 }
func result(*sys.Registers) int64                                     { return 0 }
func setResult(*sys.Registers, int64)                                 {}
func stack(*sys.Registers) uint64                                     { return 0 }
func instruction(*sys.Registers) uint64                               { return 0 }
func again(r *sys.Registers) *sys.Registers                           { return r }
func entering(r *sys.Registers, _ uint64, _ [6]uint64) *sys.Registers { return r }
