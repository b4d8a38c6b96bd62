package ptrace

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/sys/unix"
)

func TestACallerAtItsLimitGetsNoDescriptor(t *testing.T) {
	s := open(t, change{})
	r := s.once(t, "limit", "0", "100")
	assert.EqualValues(t, unix.EMFILE, r.Errno)
	assert.Equal(t, r.Before, r.After)
	assert.Empty(t, r.Fault)
	assert.Contains(t, s.reason(), "EMFILE")
	soon(t, 1, s.files.discarded.Load)
}

func TestAnArgumentThatCantBeWrittenLeavesNoDescriptor(t *testing.T) {
	s := open(t, change{})
	r := s.once(t, "readonly")
	assert.EqualValues(t, unix.EFAULT, r.Errno)
	assert.Equal(t, r.Before, r.After)
	assert.Contains(t, s.reason(), "EFAULT")
	soon(t, 1, s.files.discarded.Load)
}

func TestACallerGetsTheDescriptor(t *testing.T) {
	s := open(t, change{})
	for _, flags := range []int{unix.O_RDWR | unix.O_CLOEXEC, unix.O_RDWR, unix.O_RDONLY, unix.O_WRONLY | unix.O_CLOEXEC} {
		r := s.once(t, "once", fmt.Sprint(flags))
		assert.Zero(t, r.Errno)
		assert.Empty(t, r.Fault)
		assert.Contains(t, r.Link, "memfd:buffer")
		assert.Equal(t, flags&unix.O_CLOEXEC != 0, r.Cloexec)
		assert.Equal(t, r.Before, r.After, "stray descriptors")
		assert.Equal(t, "0000000000000000", r.Blocked)
		assert.Empty(t, s.reason())
	}
	soon(t, 4, s.files.delivered.Load)
}

// The injection needs some descriptors for itself; a kernel needs one.
func TestRoomForOneDescriptorIsEnough(t *testing.T) {
	s := open(t, change{})
	for free := 1; free <= 4; free++ {
		r := s.once(t, "limit", fmt.Sprint(free), "100")
		assert.Zero(t, r.Errno, "%d free: %s", free, s.reason())
		assert.Empty(t, r.Fault)
		assert.Equal(t, r.Before, r.After)
	}
}

// Nobody raises a hard limit for a caller, which could make itself a higher one of that.
func TestAHardLimitStaysWhatItIs(t *testing.T) {
	s := open(t, change{})
	r := s.once(t, "limit", "1", "0")
	assert.EqualValues(t, unix.EMFILE, r.Errno)
	assert.Empty(t, r.Fault)
	assert.Equal(t, r.Before, r.After)
	assert.Contains(t, s.reason(), "hard limit")
	soon(t, 1, s.files.discarded.Load)
}
