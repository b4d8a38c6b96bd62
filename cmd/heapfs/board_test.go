package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/devices/board"
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
	assert.Equal(t, file+": ok (0 heaps, 1 devices)\n"+file+": device d: the board has no heaps\n", out)
}

func TestBoardListAndShow(t *testing.T) {
	_, err := runBoard(t, "show", "generix")
	require.ErrorContains(t, err, "no such built-in board")

	out, err := runBoard(t, "list")
	require.NoError(t, err)
	assert.Equal(t, strings.Join(board.Builtins(), "\n")+"\n", out)
	assert.Contains(t, out, "imx8mq-evk\n")

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

func TestBoardImportProbeAndSchema(t *testing.T) {
	file := filepath.Join(t.TempDir(), "board.dtb")
	require.NoError(t, os.WriteFile(file, []byte("no blob"), 0o600))
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"import"}, "0 arguments given, one is needed"},
		{[]string{"import", file}, "board.dtb: no usable device tree blob: 7 bytes, and the header alone has 40"},
		{[]string{"import", file + "x"}, "no such file"},
		{[]string{"import", "--memory", "1GiB", file}, `--memory "1GiB": expected BASE+SIZE`},
		{[]string{"import", "--memory", "0x1+x", file}, `--memory "0x1+x": expected BASE+SIZE`},
		{[]string{"import", "--cma", "1", file}, "--cma 1: expected a multiple of 1MiB"},
		{[]string{"probe", "--root", t.TempDir()}, "how much memory there is"},
	} {
		out, err := runBoard(t, tc.args...)
		require.ErrorContains(t, err, tc.want)
		assert.NotContains(t, err.Error(), "\n")
		assert.Empty(t, out)
	}

	out, err := runBoard(t, "probe", "--name", "here")
	require.NoError(t, err)
	b, err := board.Parse("here.yaml", []byte(out))
	require.NoError(t, err)
	assert.Equal(t, "here", b.Name)

	out, err = runBoard(t, "schema")
	require.NoError(t, err)
	assert.True(t, json.Valid([]byte(out)))
}

func TestBoardCheckReportsDevicesThatNoHeapServes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "b.yaml")
	require.NoError(t, os.WriteFile(file, []byte("apiVersion: heapfs/v1\nname: b\nmemory: [{name: m, base: 0, size: 1GiB}]\n"+
		"pools: [{name: s, kind: scatter}]\nheaps: [{name: system, pool: s}]\ndevices: [{name: d}]\n"), 0o600))
	out, err := runBoard(t, "check", file)
	require.NoError(t, err)
	assert.Equal(t, file+": ok (1 heaps, 1 devices)\n"+
		file+": device d: no heap serves all; system: d needs one segment, the heap gives pieces of 1MiB at the most\n", out)
}
