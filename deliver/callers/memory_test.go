package callers

import (
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestCoversWantsEveryPageWithThePermission(t *testing.T) {
	const maps = "1000-2000 r--p 0 00:00 0\n2000-4000 rw-p 0 00:00 0 [heap]\n5000-6000 rw-p 0 00:00 0\nff000-ff800 --xp 0 00:00 0\n"
	for _, tt := range []struct {
		from, to uint64
		perms    string
		want     bool
	}{
		{0x2000, 0x4000, "w", true},
		{0x1ff0, 0x2010, "r", true},
		{0x1ff0, 0x2010, "w", false},
		{0x3ff0, 0x4010, "r", false},
		{0x4ff0, 0x5010, "r", false},
		{0x5fff, 0x6000, "w", true},
		{0xff000, 0xff008, "r", false},
		{0x100000, 0x100001, "r", false},
		{0x1ff0, 0x2010, "rw", true},
		{0xff000, 0xff008, "rw", false},
	} {
		got, err := covers(strings.NewReader(maps), tt.from, tt.to, tt.perms)
		require.NoError(t, err)
		assert.Equal(t, tt.want, got, "%x-%x %s", tt.from, tt.to, tt.perms)
	}
	_, err := covers(strings.NewReader("rubbish\n"), 1, 2, "r")
	assert.Error(t, err)
}

// Where process_vm_readv is refused, the mem file must not do more than the caller itself could.
func TestMemFileKeepsToTheCallersProtection(t *testing.T) {
	self, err := OpenThread(os.Getpid())
	require.NoError(t, err)
	defer self.Close()
	pages, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(pages)) }()
	copy(pages, "argument")
	require.NoError(t, unix.Mprotect(pages[:4096], unix.PROT_READ))
	addr := uint64(uintptr(unsafe.Pointer(&pages[0])))

	read := func(p []byte, at uint64) (int, error) {
		return self.throughMem(p, at, "r", func(fd int) (int, error) { return unix.Pread(fd, p, int64(at)) })
	}
	write := func(p []byte, at uint64) (int, error) {
		return self.throughMem(p, at, "w", func(fd int) (int, error) { return unix.Pwrite(fd, p, int64(at)) })
	}
	got := make([]byte, 8)
	n, err := read(got, addr)
	require.NoError(t, err)
	assert.Equal(t, "argument", string(got[:n]))
	_, err = write([]byte("x"), addr)
	assert.ErrorIs(t, err, unix.EFAULT, "the page is read-only")
	n, err = write([]byte("there"), addr+4096)
	require.NoError(t, err)
	assert.Equal(t, "there", string(pages[4096:4096+n]))
	_, err = read(got, 8)
	assert.ErrorIs(t, err, unix.EFAULT)
	_, err = read(got, ^uint64(0)-3)
	assert.ErrorIs(t, err, unix.EFAULT)
}

// The processor has no page that can be written and not read.
func TestAPageForWritingOnlyIsReadAsTheKernelReadsIt(t *testing.T) {
	self, err := OpenThread(os.Getpid())
	require.NoError(t, err)
	defer self.Close()
	pages, err := unix.Mmap(-1, 0, 3*4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(pages)) }()
	copy(pages[4092:], "argument")
	addr := uint64(uintptr(unsafe.Pointer(&pages[4092])))
	require.NoError(t, unix.Mprotect(pages[4096:8192], unix.PROT_WRITE))
	got := make([]byte, 8)
	n, err := self.ReadMemory(got, addr)
	require.NoError(t, err)
	assert.Equal(t, "argument", string(got[:n]), "the second half lies on a page for writing only")
	require.NoError(t, unix.Mprotect(pages[4096:8192], unix.PROT_NONE))
	_, err = self.ReadMemory(got, addr+4)
	assert.ErrorIs(t, err, unix.EFAULT)
}
