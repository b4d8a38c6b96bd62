package backing

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// The order of devices, and what happens after one that is of no use. Each file stands for a device; what it says is what it does.
func TestFirstDeviceThatLeadsToASyncFileIsTaken(t *testing.T) {
	const works, refuses = "works", "refuses"
	const closed = "closed" // to root too: a folder
	rows := []struct {
		name  string
		files map[string]string
		want  string // the device taken, "" for none
		tried string // those opened and asked
		err   error
	}{
		{"no device", nil, "", "", unix.ENOENT},
		{"none that works", map[string]string{"udmabuf": refuses, "renderD128": refuses, "card0": refuses}, "", "udmabuf renderD128 card0", unix.EOPNOTSUPP},
		{"one that can't be opened", map[string]string{"renderD128": closed}, "", "", unix.EISDIR},
		{"none of the kind", map[string]string{"controlD64": works, "by-path": works}, "", "", unix.ENOENT},

		{"the first kind", map[string]string{"udmabuf": works, "renderD128": works, "card0": works}, "udmabuf", "udmabuf", nil},
		{"the second kind", map[string]string{"renderD128": works, "card0": works}, "renderD128", "renderD128", nil},
		{"the last kind", map[string]string{"card0": works}, "card0", "card0", nil},
		{"a kind of which one can't be opened", map[string]string{"udmabuf": closed, "card0": works}, "card0", "card0", nil},
		{"a kind that refuses", map[string]string{"udmabuf": refuses, "renderD128": refuses, "card0": works}, "card0", "udmabuf renderD128 card0", nil},
		{"the second of a kind", map[string]string{"renderD128": refuses, "renderD129": works}, "renderD129", "renderD128 renderD129", nil},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, does := range r.files {
				path := filepath.Join(dir, name)
				if does == closed {
					require.NoError(t, os.Mkdir(path, 0o700))
					continue
				}
				require.NoError(t, os.WriteFile(path, []byte(does), 0o600))
			}
			var tried []string
			ask := func(node int) (int, error) {
				link, err := os.Readlink(sys.FDPath(node))
				require.NoError(t, err)
				tried = append(tried, filepath.Base(link))
				flags, err := unix.FcntlInt(uintptr(node), unix.F_GETFD, 0)
				require.NoError(t, err)
				assert.Equal(t, unix.FD_CLOEXEC, flags)
				does, err := os.ReadFile(link)
				require.NoError(t, err)
				if string(does) != works {
					return -1, unix.EOPNOTSUPP
				}
				return unix.Eventfd(0, unix.EFD_CLOEXEC)
			}
			fd, node, err := firstSyncFile([]syncSource{
				{filepath.Join(dir, "udmabuf"), ask}, {filepath.Join(dir, "renderD*"), ask}, {filepath.Join(dir, "card*"), ask},
			})
			defer sys.Close(fd)
			assert.Equal(t, r.tried, strings.Join(tried, " "))
			if r.want == "" {
				assert.Negative(t, fd)
				assert.ErrorIs(t, err, r.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, filepath.Join(dir, r.want), node)
			assert.GreaterOrEqual(t, fd, 0)
		})
	}
}

func TestDevicesAreAskedOnceAndNotBeforeTheFirstSyncFile(t *testing.T) {
	asked := 0
	s, err := newSyncFiles([]syncSource{{os.DevNull, func(int) (int, error) { asked++; return -1, unix.ENODEV }}})
	require.NoError(t, err)
	defer s.Close()
	assert.Zero(t, asked)
	for range 2 {
		fd, err := s.Make("")
		require.NoError(t, err)
		link, info := describe(t, fd)
		assert.True(t, s.StandIn(link, info))
		sys.Close(fd)
	}
	assert.Equal(t, 1, asked)
}

func TestDeviceThatHangsKeepsNobody(t *testing.T) {
	release := make(chan struct{})
	late, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	require.NoError(t, err)
	fd := seedSyncFile([]syncSource{{os.DevNull, func(int) (int, error) { <-release; return late, nil }}}, time.Nanosecond)
	assert.Equal(t, -1, fd)
	close(release)
	require.Eventually(t, func() bool {
		_, err := unix.FcntlInt(uintptr(late), unix.F_GETFD, 0)
		return err == unix.EBADF
	}, 10*time.Second, time.Millisecond, "what comes too late is closed")
}

// A sync file that has not signalled, and a file that is none.
func TestSourceIsRefusedWhoseFileIsNoSignalledSyncFile(t *testing.T) {
	_, err := settled(func(int) (int, error) { return -1, unix.EOPNOTSUPP })(-1)
	assert.ErrorIs(t, err, unix.EOPNOTSUPP)
	_, err = settled(func(int) (int, error) { return unix.Eventfd(1, unix.EFD_CLOEXEC) })(-1)
	assert.ErrorIs(t, err, unix.ENOTTY, "merge knows it")
	idle, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	require.NoError(t, err)
	defer sys.Close(idle)
	assert.ErrorIs(t, waitReadable(idle, time.Nanosecond), unix.ETIMEDOUT)
}

// Each device of this machine that leads to sync files, one by one. It needs /dev/udmabuf or a DRM node.
func TestDevicesOfTheMachineGiveTheKernelsSyncFiles(t *testing.T) {
	some := false
	for _, source := range syncSources {
		nodes, err := filepath.Glob(source.nodes)
		require.NoError(t, err)
		for _, path := range nodes {
			some = true
			t.Run(path, func(t *testing.T) {
				s, err := newSyncFiles([]syncSource{{path, source.make}})
				require.NoError(t, err)
				defer s.Close()
				for _, name := range []string{"", "a name"} {
					fd, err := s.Make(name)
					require.NoError(t, err)
					defer sys.Close(fd)
					link, info := describe(t, fd)
					if link == linkEpoll {
						_, err := source.open(path)
						t.Skipf("this device leads to none: %v", err)
					}
					require.Equal(t, linkSyncFile, link)
					assert.True(t, s.Recognise(link, info))
					assert.False(t, s.StandIn(link, info))
					flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
					require.NoError(t, err)
					assert.Equal(t, unix.FD_CLOEXEC, flags)
					assert.NoError(t, waitReadable(fd, 0))
				}
			})
		}
	}
	if !some {
		t.Skip("kernel lacks: /dev/udmabuf and DRM nodes; to have them: make test-vm")
	}
}

// The way by a dumb buffer is not for render nodes, which is why they have but one way.
func TestRenderNodesMakeNoDumbBuffers(t *testing.T) {
	nodes, err := filepath.Glob("/dev/dri/renderD*")
	require.NoError(t, err)
	if len(nodes) == 0 {
		t.Skip("kernel lacks: a DRM render node; to have one: make test-vm")
	}
	for _, path := range nodes {
		_, err := syncSource{make: func(node int) (int, error) { return sys.DRMDumbBuffer(node, dumbWidth, dumbHeight) }}.open(path)
		assert.ErrorIs(t, err, unix.EACCES, path)
	}
}
