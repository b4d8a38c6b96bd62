package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	roles["hang"] = func([]string) []finding { time.Sleep(time.Minute); return nil }
	roles["crash"] = func([]string) []finding {
		fmt.Fprintln(os.Stderr, "no reason given")
		os.Exit(7)
		return nil
	}
	MaybeChild()
	maybeScene()

	// The runtime opens its epoll set with the first pipe: let it.
	r, w, err := os.Pipe()
	if err == nil {
		r.Close()
		w.Close()
	}
	before := descriptors()
	code := m.Run()
	if code == 0 {
		code = leaks(before)
	}
	os.Exit(code)
}

func leaks(before map[string]string) int {
	code := 0
	complain := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		complain("leaked goroutines: %v", err)
	}
	for fd, file := range descriptors() {
		if before[fd] == "" && !strings.HasPrefix(file, "anon_inode:[event") && !strings.HasPrefix(file, "anon_inode:[pidfd") {
			complain("leaked descriptor %s: %s", fd, file)
		}
	}
	if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); !errors.Is(err, unix.ECHILD) {
		complain("leaked child: wait4 gives %d, %v", pid, err)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(mounts), "heapfs-doctor") {
		complain("leaked mount (%v):\n%s", err, mounts)
	}
	return code
}

// descriptors is what each open descriptor refers to.
func descriptors() map[string]string {
	open := make(map[string]string)
	entries, _ := filepath.Glob("/proc/self/fd/*")
	for _, e := range entries {
		if file, err := os.Readlink(e); err == nil {
			open[filepath.Base(e)] = file
		}
	}
	return open
}

// decodeReport reads what a scene printed.
func decodeReport(out []byte) (Report, error) {
	var r Report
	err := json.Unmarshal(out, &r)
	return r, err
}
