package rows

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
)

// mostDescriptors is how far open descriptors are looked for.
const mostDescriptors = 512

// openSet is which descriptors are open.
type openSet [mostDescriptors]bool

func openNow() (s openSet) {
	for fd := range s {
		s[fd] = isOpen(fd)
	}
	return s
}

func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// lowest is the lowest number that is free.
func (s openSet) lowest() int {
	for fd, open := range s {
		if !open {
			return fd
		}
	}
	return len(s)
}

// since gives the descriptors that are open now and were not then.
func (s openSet) since() []int {
	var fresh []int
	for fd, open := range openNow() {
		if open && !s[fd] {
			fresh = append(fresh, fd)
		}
	}
	return fresh
}

// place tells a number by where it lies.
func (s openSet) place(fd int) string {
	switch low := s.lowest(); {
	case fd == low:
		return "lowest"
	case fd > low:
		return fmt.Sprintf("lowest+%d", fd-low)
	}
	return fmt.Sprint(fd)
}

// left says what descriptors a call left behind: nothing, or how many.
func (s openSet) left() string {
	if n := len(s.since()); n > 0 {
		return fmt.Sprintf(", left %d open", n)
	}
	return ""
}

// describe says what a new buffer's descriptor is.
func (s openSet) describe(fd int) string {
	var st unix.Stat_t
	size := "no size"
	if err := unix.Fstat(fd, &st); err == nil {
		size = fmt.Sprintf("%d bytes", st.Size)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	must("F_GETFL", err)
	cloexec, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	must("F_GETFD", err)
	text := fmt.Sprintf("fd %s, %s, %s", s.place(fd), size, accessName(flags))
	if cloexec&unix.FD_CLOEXEC != 0 {
		text += "|cloexec"
	}
	return text
}

// closeAll closes the descriptors.
func closeAll(fds []int) {
	for _, fd := range fds {
		sys.Close(fd)
	}
}

// opened says how many descriptors a call opened.
func (s openSet) opened(fresh []int) string {
	if len(fresh) == 0 {
		return "no fd"
	}
	return fmt.Sprintf("%d fd", len(fresh))
}

// describeAll describes every descriptor that is new, and closes it.
func (s openSet) describeAll() string {
	fresh := s.since()
	defer closeAll(fresh)
	var texts []string
	for _, fd := range fresh {
		texts = append(texts, s.describe(fd))
	}
	if len(texts) == 0 {
		return "no fd"
	}
	return strings.Join(texts, "; ")
}
