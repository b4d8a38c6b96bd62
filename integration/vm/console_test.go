package vm

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Lines as kernels print them, one kind each.
var complaining = []string{
	"[    4.08] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
	"[    4.08] BUG: kernel NULL pointer dereference, address: 0000000000000008",
	"[    4.08] BUG: unable to handle page fault for address: ffffc90000000000",
	"[    4.08] BUG: KASAN: slab-use-after-free in dma_buf_release+0x12/0x40",
	"[    4.08] watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [basic:91]",
	"[    4.08] BUG: Bad page state in process heapfs  pfn:7a3c1",
	"[    4.08] BUG: sleeping function called from invalid context at mm/slub.c:303",
	"[    4.08] kernel BUG at mm/slub.c:4061!",
	"[    4.08] Oops: 0002 [#1] PREEMPT SMP NOPTI",
	"[    4.08] Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1]",
	"[    4.08] general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1]",
	"[    4.08] WARNING: CPU: 0 PID: 71 at drivers/dma-buf/dma-buf.c:1234 dma_buf_vmap+0x10/0x90",
	"[    4.08] WARNING: drivers/dma-buf/dma-buf.c:1234 at dma_buf_vmap+0x10/0x90, CPU#0: basic/71",
	"[    4.08] WARNING: possible circular locking dependency detected",
	"[    4.08] UBSAN: array-index-out-of-bounds in drivers/dma-buf/udmabuf.c:41:2",
	"[    4.08] refcount_t: underflow; use-after-free.",
	"[    4.08] list_del corruption, ffff888103a3c008->next is LIST_POISON1",
	"[    4.08] INFO: task heapfs:71 blocked for more than 120 seconds.",
	"[    4.08] exhaust invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0",
	"[    4.08] Out of memory: Killed process 71 (exhaust) total-vm:2098540kB",
	"[    4.08] Memory cgroup out of memory: Killed process 71 (exhaust) total-vm:2098540kB",
	"[    4.08] Call Trace:",
}

// What the four kernels print in a boot without a fault, and what programs do to themselves.
var quiet = `[    0.032000] tsc: Unable to calibrate against PIT
[    0.569343] mtrr: your CPUs had inconsistent fixed MTRR settings
[    0.690316] acpi PNP0A03:00: fail to add MMCONFIG information, can't access extended PCI configuration space under this bridge.
[    1.859816] Unstable clock detected, switching default tracing clock to "global"
[    1.860045] amd_pstate: the _CPC object is not present in SBIOS or ACPI disabled
[    2.000000] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible via Spectre v2 BHB attacks!
[    3.000000] vgem: loading out-of-tree module taints kernel.
[    3.500000] basic[71]: segfault at 0 ip 0000000000401000 sp 00007ffe error 4 in basic
[   11.847107] reboot: Power down
`

func TestComplaintsOfTheKernelAreFound(t *testing.T) {
	for _, line := range complaining {
		assert.Equal(t, []string{line}, Complaints(quiet+line+"\r\n"+quiet), line)
	}
	assert.Len(t, Complaints(strings.Join(complaining, "\n")), len(complaining))
}

func TestQuietConsoleHasNoComplaints(t *testing.T) {
	assert.Empty(t, Complaints(quiet))
	assert.Empty(t, Complaints(""))
}

func TestConsoleKeepsItsBeginningAndItsEnd(t *testing.T) {
	var c console
	c.Write([]byte("first\n"))
	for range 20 {
		c.Write([]byte(strings.Repeat("x", maxConsole/8)))
	}
	c.Write([]byte("\nlast\n"))
	text := c.String()
	assert.True(t, strings.HasPrefix(text, "first\n"))
	assert.True(t, strings.HasSuffix(text, "\nlast\n"))
	assert.LessOrEqual(t, len(text), maxConsole+10)
}
