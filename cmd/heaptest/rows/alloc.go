package rows

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/heapfs/heapfs/internal/sys"
	"github.com/heapfs/heapfs/uapi"
)

// args is struct dma_heap_allocation_data.
type args struct {
	length    uint64
	fd        uint32
	flags     uint32
	heapFlags uint64
}

// usual is what most programs ask for.
var usual = args{length: 4096, flags: unix.O_RDWR | unix.O_CLOEXEC}

func (a args) bytes() []byte {
	b := binary.LittleEndian.AppendUint64(nil, a.length)
	b = binary.LittleEndian.AppendUint32(b, a.fd)
	b = binary.LittleEndian.AppendUint32(b, a.flags)
	return binary.LittleEndian.AppendUint64(b, a.heapFlags)
}

// sized is the struct as a program of other headers has it: cut, or with a tail of bytes that are not zero.
func (a args) sized(n int) []byte {
	b := bytes.Repeat([]byte{0xA5}, n)
	copy(b, a.bytes())
	return b
}

// ask sends a command to an open node and says all that came of it: the errno, the descriptor, what changed in memory. n is how
// many bytes at addr can be looked at afterwards, 0 for none.
func ask(heap int, cmd uapi.Cmd, addr uintptr, n int) string {
	return askRaw(uintptr(heap), uintptr(cmd), addr, n)
}

// askRaw is ask with whole registers.
func askRaw(fd, cmd, addr uintptr, n int) string {
	var before []byte
	if n > 0 {
		before = bytes.Clone(at(addr, n))
	}
	open := openNow()
	result, errno := sys.RawCall(unix.SYS_IOCTL, fd, cmd, addr)
	fresh := open.since()
	answer := errName(errno)
	if errno == 0 && result != 0 {
		answer = fmt.Sprintf("returns %d", result)
	}
	if errno == 0 || len(fresh) > 0 {
		answer += ": " + open.describeAll()
	}
	if n > 0 {
		answer += changes(before, at(addr, n), fresh)
	}
	return answer
}

// changes says what a call did to its struct: nothing, told the descriptor, as far as the struct reaches, or something else.
func changes(before, after []byte, fresh []int) string {
	if bytes.Equal(before, after) {
		return ""
	}
	if len(fresh) == 1 {
		want := bytes.Clone(before)
		uapi.PutAllocFD(want, uint32(fresh[0]))
		if bytes.Equal(want, after) {
			return ", told"
		}
	}
	if bytes.Count(after, []byte{0}) == len(after) {
		return ", struct zeroed"
	}
	n := min(len(after), 32)
	return fmt.Sprintf(", struct %x -> %x", before[:n], after[:n])
}

// askUsual asks with a struct at an ordinary place.
func (c *Case) askUsual(a args) string {
	data := a.bytes()
	return ask(c.RW(), uapi.HeapIoctlAlloc, newArea(1).putFirst(data), len(data))
}
