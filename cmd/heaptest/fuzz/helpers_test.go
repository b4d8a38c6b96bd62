package fuzz

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

type nopCloser struct{}

func (nopCloser) Write(p []byte) (int, error) { return len(p), nil }
func (nopCloser) Close() error                { return nil }

// ended is a command that has ended, or soon will.
func ended(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("true")
	require.NoError(t, cmd.Start())
	return cmd
}
