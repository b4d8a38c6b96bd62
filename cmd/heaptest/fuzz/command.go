package fuzz

// The kernel's numbers, written down here once more so that a mistake in anybody else's copy is seen.
const (
	cmdAlloc      = 0xC0184800
	cmdSync       = 0x40086200
	cmdNameA      = 0x40046201
	cmdNameB      = 0x40086201
	cmdExport     = 0xC0086202
	cmdImport     = 0x40086203
	cmdMerge      = 0xC0303E03
	cmdFileInfo   = 0xC0383E04
	cmdDeadline   = 0x40103E05
	cmdTCGETS     = 0x5401
	cmdFIONREAD   = 0x541B
	cmdFIONBIO    = 0x5421
	cmdFIOCLEX    = 0x5451
	cmdFIONCLEX   = 0x5450
	cmdFIBMAP     = 1
	cmdFIGETBSZ   = 2
	cmdGetFlags   = 0x80086601
	cmdPrimeToFD  = 0xC00C642D
	cmdUdmabuf    = 0x40187542
	cmdBlkSize64  = 0x80081272
	cmdQuerycap   = 0x80685600
	cmdEpollParam = 0x80088A02

	pageSize   = 4096
	nameLen    = 32
	allocBytes = 24
	fenceBytes = 80
)

const (
	dirWrite = 1
	dirRead  = 2

	kernelAddress = 0xffff_8000_0000_0000
)

// command builds an ioctl command from direction bits, type, number and size.
func command(dir, typ, nr, size uint64) uint64 { return dir<<30 | size<<16 | typ<<8 | nr }

func cmdNR(c uint64) uint64   { return c & 0xff }
func cmdType(c uint64) uint64 { return c >> 8 & 0xff }
func cmdSize(c uint64) int    { return int(c >> 16 & 0x3fff) }
func cmdDir(c uint64) uint64  { return c >> 30 & 3 }

func cmdIn(c uint64) int {
	if cmdDir(c)&dirWrite == 0 {
		return 0
	}
	return cmdSize(c)
}

func cmdOut(c uint64) int {
	if cmdDir(c)&dirRead == 0 {
		return 0
	}
	return cmdSize(c)
}

// foreignCommands are sent to whatever there is.
var foreignCommands = [...]uint64{
	cmdTCGETS, cmdFIONREAD, cmdFIONBIO, cmdFIOCLEX, cmdFIONCLEX, cmdGetFlags, cmdPrimeToFD, cmdUdmabuf, cmdBlkSize64, cmdQuerycap,
	cmdFIGETBSZ,
	command(dirRead|dirWrite, 'H', 1, 24), command(0, 'H', 2, 0), command(dirWrite, 'H', 255, 8), command(dirRead, 'H', 1, 200),
	command(dirWrite, 'b', 4, 8), command(dirRead|dirWrite, 'b', 5, 16), command(dirRead|dirWrite, '>', 6, 16), command(dirWrite, '>', 3, 8),
	command(dirWrite, 'b', 0, 12), command(dirRead|dirWrite, 'b', 0, 8), command(dirRead|dirWrite, 'b', 2, 16), command(dirWrite, 'b', 1, 16),
	command(dirRead|dirWrite, 'd', 0, 24), command(0, 'V', 0, 0), command(dirWrite, 'u', 0, 24), command(dirRead|dirWrite, 'v', 0, 16),
}

// otherPaths are no heap nodes. A path without a slash at its front is in the heap directory.
var otherPaths = [...]string{"/dev/null", "/proc/self/stat", "no-such-heap", "system/x", "", "/dev/zero"}
