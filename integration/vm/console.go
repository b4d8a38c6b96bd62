package vm

import (
	"regexp"
	"strings"
	"sync"
)

// complaints are lines by which a kernel says that something is wrong with it. They are looked for in its console only, where the
// log levels 0 to 4 go (loglevel=5): what user programs do to themselves (segfaults, traps) is logged below that.
var complaints = regexp.MustCompile(strings.Join([]string{
	`Kernel panic`,
	`\bOops: `,
	`\bBUG: `, // null pointers, page faults, KASAN, lockups, sleeping where it may not, bad page states
	`kernel BUG at `,
	`\bKASAN: `,
	`\bUBSAN: `,
	`\bWARNING: (CPU: \d|[^ ]+\.[chS]:\d+|possible |suspicious |inconsistent |lock |bad unlock)`,
	`\bINFO: task .* blocked for more than`,
	`\brcu: INFO: .* detected`,
	`\b(list_add|list_del) corruption`,
	`\brefcount_t: `,
	`general protection fault, `,
	`unable to handle `,
	`invoked oom-killer`,
	`[Oo]ut of memory: Killed`,
	`Call Trace:`,
}, "|"))

// Complaints returns the lines of a console in which the kernel complains.
func Complaints(console string) []string {
	var found []string
	for line := range strings.Lines(console) {
		line = strings.TrimRight(line, "\r\n")
		if complaints.MatchString(line) {
			found = append(found, line)
		}
	}
	return found
}

// maxConsole is how much of a console is kept, in bytes: the beginning, where a first complaint stands, and the end.
const maxConsole = 4 << 20

// console gathers what the kernel prints while it runs.
type console struct {
	mu   sync.Mutex
	head []byte
	tail []byte
	lost bool
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(p), maxConsole/2-len(c.head))
	c.head = append(c.head, p[:n]...)
	c.tail = append(c.tail, p[n:]...)
	if over := len(c.tail) - maxConsole/2; over > 0 {
		c.lost = true
		c.tail = append(c.tail[:0], c.tail[over:]...)
	}
	return len(p), nil
}

func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return string(c.head) + "\n[…]\n" + string(c.tail)
	}
	return string(c.head) + string(c.tail)
}
