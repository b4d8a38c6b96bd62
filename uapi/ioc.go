package uapi

// Cmd is an ioctl command as the kernel sees it: the low 32 bits of what the caller passed. The C library's prototype takes an
// int in one place and an unsigned long in another, so the upper half of the register holds sign bits or garbage.
type Cmd uint32

// The fields of a command (include/uapi/asm-generic/ioctl.h).
const (
	iocWrite = 1 // the caller writes: the kernel copies in
	iocRead  = 2 // the caller reads: the kernel copies out

	nrBits   = 8
	typeBits = 8
	sizeBits = 14

	typeShift = nrBits
	sizeShift = typeShift + typeBits
	dirShift  = sizeShift + sizeBits

	// MaxSize is the largest argument in bytes that a command can announce.
	MaxSize = 1<<sizeBits - 1
)

// IOC builds a command from its direction bits, type (the "magic"), number and argument size in bytes.
func IOC(dir uint32, typ byte, nr byte, size uint32) Cmd {
	return Cmd(dir<<dirShift | size<<sizeShift | uint32(typ)<<typeShift | uint32(nr))
}

// IOW is a command whose argument the kernel reads.
func IOW(typ, nr byte, size uint32) Cmd { return IOC(iocWrite, typ, nr, size) }

// IOWR is a command whose argument the kernel reads and writes back.
func IOWR(typ, nr byte, size uint32) Cmd { return IOC(iocWrite|iocRead, typ, nr, size) }

// NR is the command's number.
func (c Cmd) NR() byte { return byte(c) }

// Type is the command's magic.
func (c Cmd) Type() byte { return byte(c >> typeShift) }

// Size is the announced size of the argument in bytes, whatever the direction.
func (c Cmd) Size() int { return int(c>>sizeShift) & MaxSize }

// In is the number of bytes that the kernel copies from the caller: Size if the command has the write bit, else 0.
func (c Cmd) In() int {
	if c>>dirShift&iocWrite == 0 {
		return 0
	}
	return c.Size()
}

// Out is the number of bytes that the kernel copies back to the caller: Size if the command has the read bit, else 0.
func (c Cmd) Out() int {
	if c>>dirShift&iocRead == 0 {
		return 0
	}
	return c.Size()
}

// TypeNR is the half of a command that names the operation, without direction and size.
func (c Cmd) TypeNR() uint16 { return uint16(c) }
