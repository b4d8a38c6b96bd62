package sys

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/uapi"
)

// SignalledFence is how the running kernel calls a fence that has signalled.
var SignalledFence = sync.OnceValue(func() uapi.FenceNames {
	if KernelAtLeast(6, 17) {
		return uapi.DetachedFence
	}
	return uapi.StubFence
})

// KernelAtLeast compares the running kernel's version. False also where it can't be read.
func KernelAtLeast(major, minor int) bool {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return false
	}
	var haveMajor, haveMinor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &haveMajor, &haveMinor); err != nil {
		return false
	}
	return haveMajor > major || haveMajor == major && haveMinor >= minor
}
