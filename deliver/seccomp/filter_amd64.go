package seccomp

import "golang.org/x/sys/unix"

const x32Bit = 0x40000000

// abis: 64-bit and x32 calls have one audit architecture, 32-bit calls another (arch/x86/entry/syscalls).
var abis = []abi{
	{arch: unix.AUDIT_ARCH_X86_64, nrs: []uint32{16, x32Bit | 514}},
	{arch: unix.AUDIT_ARCH_I386, nrs: []uint32{54}},
}
