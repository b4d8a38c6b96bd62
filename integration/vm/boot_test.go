package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/integration/vm/wire"
)

// say makes what a guest would have said.
type say struct {
	bytes.Buffer
	w *wire.Writer
}

func newSay() *say {
	s := &say{}
	s.w = wire.NewWriter(&s.Buffer, "MARK")
	return s
}

func (s *say) frame(kind wire.Kind, step int, value any) *say {
	data, ok := value.(string)
	if !ok && value != nil {
		b, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		data = string(b)
	}
	if err := s.w.Write(kind, step, []byte(data)); err != nil {
		panic(err)
	}
	return s
}

func hello() *say { return newSay().frame(wire.KindHello, -1, wire.Hello{Release: "6.12.1"}) }

// play runs a machine whose qemu is a shell script: it says the bytes on the second serial port, and then does as told.
func play(t *testing.T, cfg Config, said []byte, then string) (*Result, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "said")
	require.NoError(t, os.WriteFile(file, said, 0o644))
	cfg.Kernel, cfg.Steps = "6.12", []Step{{Name: "one"}, {Name: "two"}}
	cfg, err := cfg.withDefaults()
	require.NoError(t, err)
	m := &machine{cfg: cfg, marker: "MARK", result: &Result{Kernel: "6.12", Accel: "tcg", Files: map[string][]byte{}}}
	err = m.run(t.Context(), "/bin/sh", []string{"-c", "cat " + file + " >&3; " + then})
	return m.result, m.judge(err)
}

func TestMachinesThatFail(t *testing.T) {
	begun := func() *say { return hello().frame(wire.KindBegin, 0, nil).frame(wire.KindStdout, 0, "words\n") }
	const sleeps = "exec sleep 100"
	whole := func() *say {
		return begun().frame(wire.KindExit, 0, wire.Exit{}).frame(wire.KindBegin, 1, nil).frame(wire.KindExit, 1, wire.Exit{Status: 3}).
			frame(wire.KindEnd, -1, nil)
	}
	tests := map[string]struct {
		cfg  Config
		said *say
		then string
		is   error
		says string
	}{
		"says nothing":       {said: newSay(), then: "echo bad disk >&2; exit 1", is: ErrNotUp, says: "console: bad disk"},
		"does not come up":   {said: newSay(), then: sleeps, cfg: Config{Up: 100 * time.Millisecond}, is: ErrNotUp, says: "within 100ms"},
		"is too slow":        {said: newSay(), then: sleeps, cfg: Config{Timeout: 100 * time.Millisecond}, is: ErrNotUp, says: "within 100ms"},
		"ends before a step": {said: hello(), then: "exit 0", is: ErrDied, says: "before the first step"},
		"ends in a step":     {said: begun(), then: "exit 0", is: ErrDied, says: "in step one"},
		"hangs in a step":    {said: begun(), then: sleeps, cfg: Config{Timeout: time.Second}, is: ErrTimeout, says: "1s are over in step one"},
		"cannot do its job": {
			said: hello().frame(wire.KindFault, -1, "module x.ko: bad").frame(wire.KindEnd, -1, nil), then: "exit 0", is: ErrGuest, says: "x.ko",
		},
		"panics": {said: begun(), then: "echo '[ 4.0] Kernel panic - not syncing: x'", is: ErrKernel, says: "died in step one"},
		"complains, and ends well": {
			said: whole(), then: "echo '[ 4.0] WARNING: CPU: 0 PID: 71 at mm/slub.c:1'", is: ErrKernel, says: "mm/slub.c:1",
		},
		"garbles its frames": {said: begun().frame(wire.KindBegin, 5, nil), then: sleeps, is: wire.ErrGarbled, says: "in step one"},
		"says too much": {
			said: hello().frame(wire.KindBegin, 0, nil).frame(wire.KindStdout, 0, string(make([]byte, maxSaid+1))), then: sleeps,
			is: ErrTooMuch, says: "16 MiB",
		},
		"an unknown step": {said: hello().frame(wire.KindStdout, 0, "x"), then: sleeps, is: wire.ErrGarbled, says: "has not begun"},
		"an unknown kind": {said: hello().frame("other", 0, "x"), then: sleeps, is: wire.ErrGarbled, says: "other"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := play(t, tt.cfg, tt.said.Bytes(), tt.then)
			require.ErrorIs(t, err, tt.is)
			assert.ErrorContains(t, err, tt.says)
			assert.ErrorContains(t, err, "Linux 6.12 (tcg)")
			require.NotNil(t, r)
			if len(r.Steps) > 0 && name != "says too much" {
				assert.Equal(t, "words\n", r.Steps[0].Stdout, "what was heard is kept")
			}
		})
	}
}

func TestMachineThatSaysAllHasNoError(t *testing.T) {
	said := hello().frame(wire.KindBegin, 0, nil).frame(wire.KindStdout, 0, "a").frame(wire.KindStderr, 0, "e").frame(wire.KindStdout, 0, "b").
		frame(wire.KindExit, 0, wire.Exit{Elapsed: time.Second}).
		frame(wire.KindBegin, 1, nil).frame(wire.KindExit, 1, wire.Exit{Status: 137, TimedOut: true}).frame(wire.KindStdout, 1, "late").
		frame(wire.KindFile, -1, wire.File{Path: "/tmp/f", Size: 3}).frame(wire.KindData, -1, "abc").
		frame(wire.KindFile, -1, wire.File{Path: "/tmp/empty"}).
		frame(wire.KindEnd, -1, nil)
	var heard bytes.Buffer
	r, err := play(t, Config{Output: &heard}, said.Bytes(), "echo '[ 0.1] hello'")
	require.NoError(t, err)
	assert.Equal(t, "6.12.1", r.Release)
	assert.Equal(t, "[ 0.1] hello\n", r.Console)
	assert.Equal(t, StepResult{Name: "one", Ended: true, Stdout: "ab", Stderr: "e", Elapsed: time.Second}, r.Step("one"))
	assert.True(t, r.Step("one").OK())
	assert.Equal(t, []StepResult{{Name: "two", Ended: true, Status: 137, TimedOut: true, Stdout: "late"}}, r.Failed())
	assert.False(t, r.Step("three").OK())
	assert.Equal(t, map[string][]byte{"/tmp/f": []byte("abc"), "/tmp/empty": nil}, r.Files)
	assert.Equal(t, "aeblate", heard.String())
}

func TestFileThatIsNotWholeIsNoFile(t *testing.T) {
	said := hello().frame(wire.KindFile, -1, wire.File{Path: "/tmp/f", Size: 4}).frame(wire.KindData, -1, "abc")
	r, err := play(t, Config{}, said.Bytes(), "exit 0")
	require.ErrorIs(t, err, ErrDied)
	assert.Empty(t, r.Files)
}

func TestBootThatIsBrokenOffSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cfg, err := Config{Kernel: "6.12"}.withDefaults()
	require.NoError(t, err)
	m := &machine{cfg: cfg, marker: "MARK", result: &Result{Kernel: "6.12"}}
	time.AfterFunc(50*time.Millisecond, cancel)
	err = m.judge(m.run(ctx, "/bin/sh", []string{"-c", "exec sleep 100"}))
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "broken off")
}

func TestConfigurationsThatMakeNoSense(t *testing.T) {
	tests := map[string]Config{
		"Script and Steps": {Script: "true", Steps: []Step{{Name: "a"}}},
		`step name ""`:     {Steps: []Step{{Script: "true"}}},
		`step name "a b"`:  {Steps: []Step{{Name: "a b"}}},
		`step name "a"`:    {Steps: []Step{{Name: "a"}, {Name: "a"}}},
	}
	for says, cfg := range tests {
		_, err := Boot(t.Context(), cfg)
		assert.ErrorContains(t, err, says)
	}
}

func TestBootWithoutQEMUNamesThePackage(t *testing.T) {
	t.Setenv(qemuEnv, "/nonexistent/qemu")
	t.Setenv(accelEnv, "tcg")
	r, err := Boot(t.Context(), Config{Kernel: "6.12"})
	require.ErrorIs(t, err, ErrTools)
	assert.ErrorContains(t, err, "apt-get install qemu-system-x86")
	assert.Nil(t, r)
}
