package launch

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCandidates(t *testing.T) {
	rows := []struct {
		name, path string
		want       []string
	}{
		{"./x", "/bin", []string{"./x"}},
		{"/bin/x", "", []string{"/bin/x"}},
		{"dir/x", "/bin:/usr/bin", []string{"dir/x"}},
		{"x", "/bin:/usr/bin", []string{"/bin/x", "/usr/bin/x"}},
		{"x", "/bin/:rel", []string{"/bin/x", "rel/x"}},
		{"x", ":/bin", []string{"./x", "/bin/x"}},
		{"x", "/bin:", []string{"/bin/x", "./x"}},
		{"x", "/bin::/usr/bin", []string{"/bin/x", "./x", "/usr/bin/x"}},
		{"x", ".", []string{"./x"}},
	}
	for _, r := range rows {
		t.Setenv("PATH", r.path)
		got, err := candidates(r.name)
		require.NoError(t, err)
		assert.Equal(t, r.want, got, "%q with PATH=%q", r.name, r.path)
	}
	_, err := candidates("")
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, CodeNotFound, e.Code)

	require.NoError(t, os.Unsetenv("PATH"))
	got, err := candidates("x")
	require.NoError(t, err)
	assert.Contains(t, got, "/usr/bin/x", "without a PATH the usual places")
}

// put makes a file.
func put(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), mode))
}

func TestExecuteFindsCMDAsExecvpDoes(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	const say = "#!/bin/sh\necho \"$0 $*\"\n"
	put(t, filepath.Join(first, "closed"), say, 0o644)
	put(t, filepath.Join(second, "closed"), say, 0o755)
	put(t, filepath.Join(first, "only-closed"), say, 0o644)
	put(t, filepath.Join(first, "no-interpreter"), "#!/no/such/interpreter\n", 0o755)
	put(t, filepath.Join(first, "binary"), "\x00\x01\x02", 0o755)
	put(t, filepath.Join(first, "plain"), "echo \"plain $1 $2\"\nexit 7\n", 0o755)
	put(t, filepath.Join(first, "empty"), "", 0o755)
	put(t, filepath.Join(second, "good"), say, 0o755)
	require.NoError(t, os.Mkdir(filepath.Join(first, "directory"), 0o755))
	path := first + ":" + filepath.Join(dir, "nowhere") + ":" + filepath.Join(first, "plain") + ":" + second

	rows := []struct {
		name string
		args []string
		code int
		out  string
	}{
		{"a name that is nowhere", []string{"no-such-thing"}, CodeNotFound, "execute no-such-thing: not found in $PATH"},
		{"a path that is not there", []string{"./no-such-thing"}, CodeNotFound, "execute ./no-such-thing: no such file or directory"},
		{"a path below a file", []string{first + "/plain/x"}, CodeNotFound, "execute " + first + "/plain/x: no such file or directory"},
		{"an empty name", []string{""}, CodeNotFound, "execute: the command's name is empty"},
		{"a file that is not executable", []string{"only-closed"}, CodeNotExecutable, "execute " + first + "/only-closed: permission denied"},
		{"a directory", []string{first + "/directory"}, CodeNotExecutable, "execute " + first + "/directory: permission denied"},
		{"a script whose interpreter is missing", []string{"no-interpreter"}, CodeNotExecutable,
			"execute " + first + "/no-interpreter: no such file or directory: the file is there, its interpreter or loader is not"},
		{"what no kernel can run", []string{"binary"}, CodeNotExecutable, "execute " + first + "/binary: exec format error"},
		{"the second in PATH", []string{"good", "a b", ""}, 0, second + "/good a b \n"},
		{"one that is closed hides none behind it", []string{"closed", "x"}, 0, second + "/closed x\n"},
		{"a script without an interpreter's name", []string{"plain", "a b", "c"}, 7, "plain a b c\n"},
		{"an empty script", []string{"empty"}, 0, ""},
		{"by its path", []string{second + "/good", "x"}, 0, second + "/good x\n"},
	}
	self, err := os.Executable()
	require.NoError(t, err)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			cmd := exec.Command(self, r.args...)
			cmd.Env = []string{executeRole + "=1", "PATH=" + path}
			out, err := cmd.Output()
			var exit *exec.ExitError
			if err != nil {
				require.True(t, errors.As(err, &exit), "%v", err)
			}
			assert.Equal(t, r.code, cmd.ProcessState.ExitCode())
			assert.Equal(t, r.out, string(out))
		})
	}
}

func TestExitCodeIsAShells(t *testing.T) {
	rows := []struct {
		status syscall.WaitStatus
		want   int
	}{
		{0, 0},
		{1 << 8, 1},
		{255 << 8, 255},
		{syscall.WaitStatus(syscall.SIGKILL), 137},
		{syscall.WaitStatus(syscall.SIGSEGV) | 0x80, 139}, // with a core
	}
	for _, r := range rows {
		assert.Equal(t, r.want, exitCode(r.status), "status %#x", uint32(r.status))
	}
}

func TestAFailureKeepsTheCodeThatItHas(t *testing.T) {
	plain := errors.New("boom")
	assert.Equal(t, &Error{CodeFailed, plain}, failure(plain))
	known := &Error{CodeNotFound, plain}
	assert.Equal(t, known, failure(known))
	assert.Equal(t, CodeNotFound, failure(hint(known, "try this")).Code)
	assert.ErrorIs(t, hint(plain, "try this"), plain)
	assert.EqualError(t, hint(plain, "try this"), "boom: try this")
}
