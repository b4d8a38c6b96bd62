package backing

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// udmabufParameters has the limits of the module, which root may change at any time.
const udmabufParameters = "/sys/module/udmabuf/parameters"

// ErrUdmabufLimit is a buffer that the module would refuse. The error says what to write where.
var ErrUdmabufLimit = errors.New("beyond a limit of udmabuf")

// udmabufLimits judges buffers before the kernel does, whose answer is the EINVAL of everything else too.
type udmabufLimits struct{}

// UdmabufLimits are the module's limits: megabytes and ranges a buffer. 0 stands for one that can't be read.
func UdmabufLimits() (sizeMB, ranges uint64) { return udmabufLimits{}.read() }

func (udmabufLimits) read() (sizeMB, ranges uint64) {
	return readNumber(filepath.Join(udmabufParameters, "size_limit_mb")), readNumber(filepath.Join(udmabufParameters, "list_limit"))
}

// Below these, which are the defaults of the module, nothing is read. Root may have set less; then explain has the reason.
const (
	usualSize   = 64 << 20
	usualRanges = 1024
)

// check is whether the module takes a buffer of size bytes in that many ranges.
func (l udmabufLimits) check(size uint64, ranges int) error {
	if size <= usualSize && ranges <= usualRanges {
		return nil
	}
	return l.judge(size, uint64(ranges))
}

func (l udmabufLimits) judge(size, ranges uint64) error {
	sizeMB, list := l.read()
	switch {
	case sizeMB != 0 && size > sizeMB<<20:
		return fmt.Errorf("%w: a buffer of %d bytes, and size_limit_mb is %d: echo %d > %s/size_limit_mb",
			ErrUdmabufLimit, size, sizeMB, (size+1<<20-1)>>20, udmabufParameters)
	case list != 0 && ranges > list:
		return fmt.Errorf("%w: a buffer of %d ranges, and list_limit is %d: echo %d > %s/list_limit",
			ErrUdmabufLimit, ranges, list, ranges, udmabufParameters)
	default:
		return nil
	}
}

// explain is the limit behind an EINVAL, if there is one.
func (l udmabufLimits) explain(err error, size uint64, ranges int) error {
	if errors.Is(err, unix.EINVAL) {
		if limit := l.judge(size, uint64(ranges)); limit != nil {
			return limit
		}
	}
	return err
}
