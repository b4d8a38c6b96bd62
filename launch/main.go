package launch

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// The names under which this binary starts itself again, with a descriptor as the only argument: the plan's, for the agent its
// control socket's.
const (
	serverName = "heapfs-server"
	stageName  = "heapfs-stage"
	agentName  = "heapfs-agent"
)

// MaybeChild takes over if this process is one that Run started, and returns otherwise. Call it first thing in main.
func MaybeChild() {
	if len(os.Args) != 2 {
		return
	}
	var run func(*plan)
	switch os.Args[0] {
	case agentName:
		agentMain()
		os.Exit(0)
	case serverName:
		run = serverMain
	case stageName:
		run = stageMain
	default:
		return
	}
	fd, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return
	}
	p, err := loadPlan(fd)
	if err != nil {
		fmt.Fprintln(os.Stderr, "heapfs:", err)
		os.Exit(CodeFailed)
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.Level(p.LogLevel)})))
	run(p)
	os.Exit(0)
}

// ownPath is this binary's. Its real name, where that still leads to it, shows in the process list; the link works in any case.
func ownPath() string {
	const link = "/proc/self/exe"
	path, err := os.Executable()
	if err != nil {
		return link
	}
	var named, own unix.Stat_t
	if unix.Stat(path, &named) != nil || unix.Stat(link, &own) != nil || named.Dev != own.Dev || named.Ino != own.Ino {
		return link
	}
	return filepath.Clean(path)
}
