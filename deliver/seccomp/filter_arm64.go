package seccomp

import "golang.org/x/sys/unix"

// abis: 64-bit calls and those of 32-bit ARM programs.
var abis = []abi{
	{arch: unix.AUDIT_ARCH_AARCH64, nrs: []uint32{29}},
	{arch: unix.AUDIT_ARCH_ARM, nrs: []uint32{54}},
}
