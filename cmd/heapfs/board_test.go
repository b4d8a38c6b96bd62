package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func runBoard(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var stdout bytes.Buffer
	cmd := newBoardCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&stdout)
	err := cmd.Execute()
	return stdout.String(), err
}

func TestBoardCheckReportsEachErrorOnALine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "b")
	require.NoError(t, os.WriteFile(file, []byte("apiVersion: heapfs/v1\nname: b\nheapz: 1\nexport: 2\n"), 0o600))
	out, err := runBoard(t, "check", file)
	require.Error(t, err)
	assert.Empty(t, out)
	assert.Regexp(t, `^\S+/b:3:1: unknown key "heapz": .*\n\S+/b:4:9: export: expected a string, got the int "2": put it in quotes$`, err.Error())

	out, err = runBoard(t, "check", filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Empty(t, out)

	require.NoError(t, os.WriteFile(file, []byte("apiVersion: heapfs/v1\nname: b\ndevices: [{name: d}]\n"), 0o600))
	out, err = runBoard(t, "check", file)
	require.NoError(t, err)
	assert.Equal(t, file+": ok (0 heaps, 1 devices)\n", out)
}

func TestBoardListAndShow(t *testing.T) {
	_, err := runBoard(t, "show", "generix")
	require.ErrorContains(t, err, "no such built-in board")

	out, err := runBoard(t, "list")
	require.NoError(t, err)
	assert.Equal(t, "generic\nimx8mq-evk\nrk3399-rockpro64\n", out)

	out, err = runBoard(t, "show", "generic")
	require.NoError(t, err)
	assert.Contains(t, out, "\nname: generic\n")

	out, err = runBoard(t, "show", "--json", "imx8mq-evk")
	require.NoError(t, err)
	var shown struct {
		Name  string
		Nodes []struct{ Name, Kind string }
		Pools []struct{ Name string }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &shown))
	assert.Equal(t, "imx8mq-evk", shown.Name)
	assert.Contains(t, shown.Nodes, struct{ Name, Kind string }{"38300000.video-codec", "contiguous"})
}
