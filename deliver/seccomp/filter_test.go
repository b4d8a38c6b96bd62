package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// both are two architectures in one program, so that the test is the same on every machine.
var both = []abi{
	{arch: unix.AUDIT_ARCH_X86_64, nrs: []uint32{16, 0x40000000 | 514}},
	{arch: unix.AUDIT_ARCH_I386, nrs: []uint32{54}},
}

var machine = sync.OnceValues(func() (*bpf.VM, error) {
	raw, err := assemble(both, trapped)
	if err != nil {
		return nil, err
	}
	prog, ok := bpf.Disassemble(raw)
	if !ok {
		return nil, errors.New("unknown instructions")
	}
	return bpf.NewVM(prog)
})

// judge runs the program. The virtual machine reads big-endian words, as network filters do; seccomp's are the machine's.
func judge(t *testing.T, arch, nr uint32, cmd uint64) uint32 {
	t.Helper()
	vm, err := machine()
	require.NoError(t, err)
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[dataNR:], nr)
	binary.BigEndian.PutUint32(data[dataArch:], arch)
	binary.BigEndian.PutUint32(data[dataCmd:], uint32(cmd))
	binary.BigEndian.PutUint32(data[dataCmd+4:], uint32(cmd>>32))
	verdict, err := vm.Run(data)
	require.NoError(t, err)
	return uint32(verdict)
}

func TestFilterTrapsOurCommandsOnly(t *testing.T) {
	ours := []uint64{
		uint64(uapi.HeapIoctlAlloc), 0xC0104800, 0xC0304800, 0x4800, // any size and direction
		uint64(uapi.BufIoctlSync), uint64(uapi.BufIoctlSetNameA), uint64(uapi.BufIoctlSetNameB),
		uint64(uapi.BufIoctlExportSyncFile), uint64(uapi.BufIoctlImportSyncFile),
		uint64(uapi.SyncIoctlMerge), uint64(uapi.SyncIoctlFileInfo), uint64(uapi.SyncIoctlSetDeadline),
		0xFFFFFFFFC0184800, 0x12345678C0184800, // sign bits or garbage above
	}
	others := []uint64{0x5401, 0xC0184801, 0x40086204, 0xC0303E02, 0xC0303E06, 0xC0185800, 0x4800_00000000, 0}
	ways := []struct {
		arch, nr uint32
		ioctl    bool
	}{
		{unix.AUDIT_ARCH_X86_64, 16, true},
		{unix.AUDIT_ARCH_X86_64, 0x40000000 | 514, true},
		{unix.AUDIT_ARCH_I386, 54, true},
		{unix.AUDIT_ARCH_X86_64, 54, false},
		{unix.AUDIT_ARCH_X86_64, 0, false},
		{unix.AUDIT_ARCH_I386, 16, false},
		{unix.AUDIT_ARCH_AARCH64, 29, false},
	}
	for _, way := range ways {
		t.Run(fmt.Sprintf("arch %x nr %d", way.arch, way.nr), func(t *testing.T) {
			for _, cmd := range ours {
				want := uint32(unix.SECCOMP_RET_ALLOW)
				if way.ioctl {
					want = unix.SECCOMP_RET_USER_NOTIF
				}
				assert.Equal(t, want, judge(t, way.arch, way.nr, cmd), "command %#x", cmd)
			}
			for _, cmd := range others {
				assert.Equal(t, uint32(unix.SECCOMP_RET_ALLOW), judge(t, way.arch, way.nr, cmd), "command %#x", cmd)
			}
		})
	}
}

func TestEveryCommandIsJudgedAsTheTableSays(t *testing.T) {
	for cmd := range uint64(1 << 16) {
		want := uint32(unix.SECCOMP_RET_ALLOW)
		for _, run := range trapped {
			if uint64(run.first) <= cmd && cmd <= uint64(run.last) {
				want = unix.SECCOMP_RET_USER_NOTIF
			}
		}
		if got := judge(t, unix.AUDIT_ARCH_X86_64, 16, 0xC0180000|cmd); got != want {
			assert.Equal(t, want, got, "command %#x", cmd)
		}
	}
}

func TestFilterOfThisMachineAssembles(t *testing.T) {
	prog, err := Filter()
	require.NoError(t, err)
	assert.Less(t, len(prog), 64)
}

func TestImportsAreTrappedOnlyIfAskedFor(t *testing.T) {
	raw, err := assemble(both, withImports())
	require.NoError(t, err)
	prog, ok := bpf.Disassemble(raw)
	require.True(t, ok)
	vm, err := bpf.NewVM(prog)
	require.NoError(t, err)
	plain, err := Filter()
	require.NoError(t, err)
	more, err := ImportFilter()
	require.NoError(t, err)
	assert.Less(t, len(plain), len(more))
	for cmd := range uint32(1 << 16) {
		want := judge(t, unix.AUDIT_ARCH_X86_64, 16, uint64(cmd))
		if cmd == 0x560F || cmd == 0x642E {
			assert.Equal(t, uint32(unix.SECCOMP_RET_ALLOW), want)
			want = unix.SECCOMP_RET_USER_NOTIF
		}
		data := make([]byte, 64)
		binary.BigEndian.PutUint32(data[dataNR:], 16)
		binary.BigEndian.PutUint32(data[dataArch:], unix.AUDIT_ARCH_X86_64)
		binary.BigEndian.PutUint32(data[dataCmd:], 0xC0580000|cmd)
		got, err := vm.Run(data)
		require.NoError(t, err)
		if uint32(got) != want {
			assert.Equal(t, want, uint32(got), "command %#x", cmd)
		}
	}
}
