package rows

// Commands that the kernel's file layer knows (include/uapi/asm-generic/ioctls.h, include/uapi/linux/fs.h), the same on amd64 and
// arm64.
const (
	fibmap   = 1
	figetbsz = 2

	fionclex = 0x5450
	fioclex  = 0x5451
	fionbio  = 0x5421
	fioasync = 0x5452
	fioqsize = 0x5460
	fionread = 0x541B

	fiemap     = 0xC020660B
	ficlone    = 0x40049409
	fsGetXattr = 0x801C581F
	blkSize    = 0x80081272

	// epiocGetParams is the one command of epoll sets that only reads (Linux 6.9).
	epiocGetParams = 0x80088A02
	udmabufCreate  = 0x40187542
	primeToHandle  = 0xC00C642E
)
