package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRunExitsWithTheStatusOfTheCommand(t *testing.T) {
	script := filepath.Join(site.dir, "not-executable")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\n"), 0o644))
	bare := filepath.Join(site.dir, "without-interpreter")
	require.NoError(t, os.WriteFile(bare, []byte("exit 9\n"), 0o755))

	tests := []struct {
		name   string
		args   []string
		status int
		stderr string // a regular expression; empty: nothing on stderr
	}{
		{"success", []string{"run", "--", "true"}, 0, ""},
		{"failure", []string{"run", "--", "false"}, 1, ""},
		{"status 42", []string{"run", "--", "sh", "-c", "exit 42"}, 42, ""},
		{"status 255", []string{"run", "--", "sh", "-c", "exit 255"}, 255, ""},
		{"ended by TERM", []string{"run", "--", "sh", "-c", "kill -TERM $$"}, 128 + 15, ""},
		{"ended by KILL", []string{"run", "--", "sh", "-c", "kill -KILL $$"}, 128 + 9, ""},
		{"ended by SEGV", []string{"run", "--", "sh", "-c", "ulimit -c 0; kill -SEGV $$"}, 128 + 11, ""},
		{"a script without #!, as from a shell", []string{"run", "--", bare}, 9, ""},
		{"flags after the command are the command's", []string{"run", "--", "sh", "-c", "exit $#", "sh", "--board", "--"}, 2, ""},
		{"no command", []string{"run"}, 125, `heapfs`},
		{"unknown flag", []string{"run", "--no-such-flag", "--", "true"}, 125, `--no-such-flag`},
		{"not found in PATH", []string{"run", "--", "no-such-command-anywhere"}, 127, `no-such-command-anywhere`},
		{"not found by path", []string{"run", "--", "/no/such/command"}, 127, `/no/such/command`},
		{"not executable", []string{"run", "--", script}, 126, `not-executable.*[Pp]ermission denied`},
		{"a directory", []string{"run", "--", "/tmp"}, 126, `/tmp`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			legs(t, func(t *testing.T, who leg) {
				r := heapfs(t, who, options{stderrWanted: true}, tt.args...)
				assert.Equal(t, tt.status, r.status)
				assert.Empty(t, r.stdout)
				if tt.stderr == "" {
					assert.Empty(t, r.stderr)
				} else {
					assert.Regexp(t, tt.stderr, oneLine(t, r.stderr))
				}
			})
		})
	}
}

func TestRunForwardsSignals(t *testing.T) {
	signals := map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1,
		"USR2": syscall.SIGUSR2, "QUIT": syscall.SIGQUIT,
	}
	for name, signal := range signals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			legs(t, func(t *testing.T, who leg) {
				p := start(t, who, options{}, site.heapfs, "run", "--", "sh", "-c",
					fmt.Sprintf(`trap "echo got %s; exit 7" %s; echo ready; while :; do sleep 0.05; done`, name, name))
				p.until("ready")
				require.NoError(t, p.cmd.Process.Signal(signal))
				assert.Equal(t, "got "+name, p.line())
				assert.Equal(t, 7, p.wait())
				assert.Empty(t, p.stderr.String())
			})
		})
	}
}

func TestRunForwardsTheSignalThatEndsTheCommand(t *testing.T) {
	legs(t, func(t *testing.T, who leg) {
		p := start(t, who, options{}, site.heapfs, "run", "--", "sh", "-c", "echo ready; exec sleep 60")
		p.until("ready")
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		assert.Equal(t, 128+15, p.wait())
		assert.Empty(t, p.stderr.String())
	})
}

func TestStdioPassesThrough(t *testing.T) {
	input := strings.Repeat("0123456789abcdef\n", 1<<16) // 1 MiB
	legs(t, func(t *testing.T, who leg) {
		r := heapfs(t, who, options{stdin: input}, "run", "--", "cat")
		assert.Equal(t, 0, r.status)
		assert.True(t, r.stdout == input, "%d bytes came back of %d", len(r.stdout), len(input))

		r = heapfs(t, who, options{stderrWanted: true}, "run", "--", "sh", "-c", "echo out; echo err >&2")
		assert.Equal(t, "out\n", r.stdout)
		assert.Equal(t, "err\n", r.stderr)
	})
}
