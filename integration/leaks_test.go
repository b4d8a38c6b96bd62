package integration

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// inventory is what a run could leave behind.
type inventory struct {
	mounts      map[string]bool
	descriptors map[string]bool
	sockets     map[string]bool
}

func takeInventory() inventory {
	return inventory{mounts: ourMounts(), descriptors: openDescriptors(), sockets: sockets()}
}

// leaks says what is there that was not there before. Processes may be on their way out: they get some seconds.
func (before inventory) leaks() []string {
	var leaks []string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		leaks = before.now()
		if len(leaks) == 0 || time.Now().After(deadline) {
			return leaks
		}
	}
}

func (before inventory) now() []string {
	var leaks []string
	for mount := range ourMounts() {
		if !before.mounts[mount] {
			leaks = append(leaks, "mount "+mount)
		}
	}
	for fd := range openDescriptors() {
		if !before.descriptors[fd] {
			leaks = append(leaks, "descriptor "+fd)
		}
	}
	for socket := range sockets() {
		if !before.sockets[socket] {
			leaks = append(leaks, "socket "+socket)
		}
	}
	return append(leaks, ourProcesses()...)
}

// ourMounts lists the mounts of this namespace that tests or heapfs could have made.
func ourMounts() map[string]bool {
	mounts := map[string]bool{}
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return mounts
	}
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, "heapfs") || strings.Contains(line, site.dir) {
			mounts[strings.TrimSpace(line)] = true
		}
	}
	return mounts
}

// openDescriptors lists this process's descriptors, without those that Go's runtime makes when it first needs them.
func openDescriptors() map[string]bool {
	open := map[string]bool{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return open
	}
	for _, entry := range entries {
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if err != nil || strings.HasPrefix(target, "anon_inode:[event") || strings.HasSuffix(target, "/fd") {
			continue
		}
		open[entry.Name()+" -> "+target] = true
	}
	return open
}

// started holds the process ids of the commands that tests started; a control socket is named by one.
var started sync.Map

// sockets lists the control sockets of the instances that tests started. Those of others on the machine are not ours to judge.
func sockets() map[string]bool {
	found := map[string]bool{}
	ours := filepath.Join(site.runtime, "heapfs")
	for _, dir := range []string{ours, "/run/heapfs", "/tmp/heapfs-0", "/tmp/heapfs-1001"} {
		paths, _ := filepath.Glob(filepath.Join(dir, "*.sock"))
		for _, path := range paths {
			pid, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".sock"))
			if _, known := started.Load(pid); known || dir == ours {
				found[path] = true
			}
		}
	}
	return found
}

// ourProcesses lists what runs a program of the site, and children of this process.
func ourProcesses() []string {
	var found []string
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	self := strconv.Itoa(os.Getpid())
	for _, entry := range entries {
		pid := entry.Name()
		if pid[0] < '0' || pid[0] > '9' || pid == self {
			continue
		}
		exe, _ := os.Readlink("/proc/" + pid + "/exe")
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			continue
		}
		// PID (COMM) STATE PPID …, and COMM may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		child := len(fields) > 1 && string(fields[1]) == self
		if child || strings.HasPrefix(exe, site.dir) {
			cmdline, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			found = append(found, fmt.Sprintf("process %s (state %s): %s", pid, fields[0],
				strings.TrimSpace(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))))
		}
	}
	return found
}

// alive reports whether a process runs; one that only waits to be reaped does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(fields) > 0 && string(fields[0]) != "Z"
}
