package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPolicyRefusesInOneLine(t *testing.T) {
	t.Setenv("HEAPFS_SOCKET", "")
	none := filepath.Join(t.TempDir(), "none")
	file := filepath.Join(t.TempDir(), "b.yaml")
	require.NoError(t, os.WriteFile(file, []byte("{apiVersion: heapfs/v1alpha1, name: b, policy: {camera: nosuch}}"), 0o644))
	for _, r := range []struct {
		args []string
		says []string
	}{
		{[]string{"--socket", none}, []string{"no board", none, "--board"}},
		{[]string{"--socket", none, "camera"}, []string{none}},
		{[]string{"--socket", none, "--heap-names", "rpi", "camera"}, []string{"--heap-names"}},
		{[]string{"--board", "generic", "camera"}, []string{`usage "camera": no heap for this usage on board generic`, "has no policy"}},
		{[]string{"--board", "imx8mq-evk", "video-decod"}, []string{`usage "video-decod"`, "display, gpu, video-decode", `did you mean "video-decode"?`}},
		{[]string{"--board", "imx8mq-evk", "--heap-names", "5.4", "gpu"}, []string{`heap names "5.4": unknown`, "rockchip"}},
		{[]string{"--board", "nosuch", "gpu"}, []string{`board "nosuch"`}},
		{[]string{"--board", "imx8mq-evk", "gpu", "display"}, []string{"2 usages"}},
		{[]string{"--board", file, "camera"}, []string{`no heap or alias is named "nosuch"`, "b.yaml:1:"}},
	} {
		out, err := runState(t, newPolicyCommand(), r.args...)
		require.Error(t, err, "%v", r.args)
		assert.Empty(t, out, "%v", r.args)
		assert.NotContains(t, err.Error(), "\n", "%v", r.args)
		for _, says := range r.says {
			assert.Contains(t, err.Error(), says, "%v", r.args)
		}
	}
}

func TestPolicyOfABoardAndOfAnInstance(t *testing.T) {
	t.Setenv("HEAPFS_SOCKET", "")
	out, err := runState(t, newPolicyCommand(), "--board", "imx8mq-evk", "video-decode")
	require.NoError(t, err)
	assert.Equal(t, "default_cma_region\n", out)
	out, err = runState(t, newPolicyCommand(), "--board", "imx8mq-evk", "--heap-names", "6.1", "--json", "video-decode")
	require.NoError(t, err)
	assert.JSONEq(t, `{"usage": "video-decode", "heap": "linux,cma"}`, out)
	out, err = runState(t, newPolicyCommand(), "--board", "rk3399-rockpro64")
	require.NoError(t, err)
	assert.Equal(t, "USAGE         HEAP\ndisplay       system\ngpu           system\nvideo-decode  system\n", out)
	out, err = runState(t, newPolicyCommand(), "--board", "generic", "--json")
	require.NoError(t, err)
	assert.JSONEq(t, `{"board": "generic", "policy": []}`, out)

	t.Setenv("HEAPFS_SOCKET", serveInstance(t, &fakeInstance{policy: map[string]string{"camera": "linux,cma"}}))
	out, err = runState(t, newPolicyCommand(), "camera")
	require.NoError(t, err)
	assert.Equal(t, "linux,cma\n", out)
	out, err = runState(t, newPolicyCommand(), "--json")
	require.NoError(t, err)
	var table policyTable
	require.NoError(t, json.Unmarshal([]byte(out), &table))
	assert.Equal(t, policyTable{Board: "generic", Policy: []policyEntry{{"camera", "linux,cma"}}}, table)
	out, err = runState(t, newPolicyCommand(), "--board", "imx8mq-evk", "gpu")
	require.NoError(t, err)
	assert.Equal(t, "system\n", out, "--board counts")
}
