package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// negotiate runs the command and gives its output and exit status.
func negotiate(t *testing.T, args ...string) (string, int, error) {
	t.Helper()
	var stdout bytes.Buffer
	cmd := newNegotiateCommand()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&stdout)
	err := cmd.Execute()
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return stdout.String(), exit.code, exit.err
	case err != nil:
		return stdout.String(), 1, err
	}
	return stdout.String(), 0, nil
}

func TestNegotiateRefusesInOneLine(t *testing.T) {
	imx := []string{"--board", "imx8mq-evk"}
	for _, r := range []struct {
		args []string
		says []string
	}{
		{nil, []string{"no device given", "it has no devices", "--board"}},
		{imx, []string{"no device given", "38300000.video-codec"}},
		{append(imx, "38300000.video-code"), []string{`device "38300000.video-code": no such device on board imx8mq-evk`, `did you mean "38300000.video-codec"?`, "38000000.gpu"}},
		{append(imx, "38000000.gpu+nothing-alike-at-all"), []string{`device "nothing-alike-at-all"`, "it has "}},
		{append(imx, "38000000.gpu", "38000000.gpu"), []string{"given twice"}},
		{append(imx, strings.Repeat("x", 10000)), []string{"no such device"}},
		{[]string{"--board", "imx8mq-ev", "x"}, []string{`board "imx8mq-ev"`, "imx8mq-evk"}},
		{[]string{"--board", "./nosuch.yaml", "x"}, []string{"nosuch.yaml"}},
		{append(imx, "38000000.gpu", "--format", "1920x1080:NV13"), []string{`format "NV13" is unknown`, `did you mean "NV12"?`, "YUYV"}},
		{append(imx, "38000000.gpu", "--format", "1920:NV12"), []string{"WIDTHxHEIGHT:FOURCC"}},
		{append(imx, "38000000.gpu", "--size", "1KB"), []string{"--size", "KiB"}},
		{append(imx, "38000000.gpu", "--size", "0"), []string{"--size"}},
		{append(imx, "38000000.gpu", "--require", "fast"), []string{`--require "fast": no such capability`, "contiguous, cpu-access, protected"}},
		{append(imx, "38000000.gpu", "--heap-names", "2.4"), []string{`heap names "2.4"`}},
		{append(imx, "38000000.gpu", "--size", "1", "--format", "1x1:NV12"), []string{"give one of them"}},
	} {
		out, code, err := negotiate(t, r.args...)
		assert.Equal(t, 1, code, "%v", r.args)
		assert.Empty(t, out, "%v", r.args)
		require.Error(t, err, "%v", r.args)
		for _, says := range r.says {
			assert.Contains(t, err.Error(), says)
		}
		assert.NotContains(t, err.Error(), "\n")
	}
}

func TestNegotiateSaysChoiceAndReasons(t *testing.T) {
	out, code, err := negotiate(t, "--board", "imx8mq-evk", "38000000.gpu+30320000.lcd-controller", "38300000.video-codec", "--format", "1920x1080:NV12")
	require.NoError(t, err)
	assert.Zero(t, code)
	for _, want := range []string{
		`(?m)^choice: default_cma_region$`,
		`(?m)^  system +excluded +30320000\.lcd-controller contiguous: +needs one segment, `,
		`(?m)^ +excluded +38300000\.video-codec contiguous: `,
		`(?m)^  default_cma_region +serves$`,
		`(?m)^  addressRanges +0x40000000-0xffffffff$`,
		`(?m)^  required +contiguous: physically one segment$`,
		`(?m)^1920x1080 NV12: 3112960 bytes$`,
		`(?m)^  plane 1 +offset 2073600 +pitch 1920 +540 lines$`,
	} {
		assert.Regexp(t, want, out)
	}
	assert.NotContains(t, out, "38000000.gpu", "it excludes nothing")
}

func TestNegotiateWithoutAChoiceIsStatus1(t *testing.T) {
	out, code, err := negotiate(t, "--board", "rk3399-rockpro64", "--size", "5GiB", "ff9a0000.gpu")
	assert.NoError(t, err, "the answer is on stdout")
	assert.Equal(t, 1, code)
	assert.Contains(t, out, "choice: none")
	assert.Regexp(t, `system +excluded +size: +holds `, out)

	out, code, err = negotiate(t, "--board", "rk3399-rockpro64", "--size", "5GiB", "--json", "ff9a0000.gpu")
	assert.NoError(t, err)
	assert.Equal(t, 1, code)
	assert.Contains(t, out, `"choice": null`)
}

// The form is a contract with scripts.
func TestNegotiateJSON(t *testing.T) {
	out, code, err := negotiate(t, "--board", "imx8mq-evk", "--json", "38300000.video-codec", "38000000.gpu")
	require.NoError(t, err)
	assert.Zero(t, code)
	assert.JSONEq(t, `{"choice":"default_cma_region","heaps":[
		{"name":"system","serves":false,"excluded_by":[{"device":"38300000.video-codec","constraint":"contiguous",
			"reason":"needs one segment, the heap gives pieces of 1MiB at the most"}]},
		{"name":"default_cma_region","serves":true,"excluded_by":[]}],
		"merged":{"contiguous":true,"addressRanges":[{"base":1073741824,"size":3221225472}],"coherency":["uncached","sync"],
			"protected":"refuses","required":["contiguous","sync"]}}`, out)

	reversed, _, err := negotiate(t, "--board", "imx8mq-evk", "--json", "38000000.gpu+38300000.video-codec")
	require.NoError(t, err)
	assert.Equal(t, out, reversed)

	out, _, err = negotiate(t, "--board", "imx8mq-evk", "--json", "--format", "64x64:GREY", "38000000.gpu")
	require.NoError(t, err)
	var answer struct {
		Merged struct {
			Size   uint64
			Layout struct {
				Planes []struct{ Pitch, Lines uint64 }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	assert.EqualValues(t, 4096, answer.Merged.Size)
	assert.EqualValues(t, 64, answer.Merged.Layout.Planes[0].Pitch)
}

func TestNegotiateShowsEveryMergedConstraint(t *testing.T) {
	file := filepath.Join(t.TempDir(), "b.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`apiVersion: heapfs/v1
name: b
memory: [{name: m, base: 0, size: 1GiB}]
pools: [{name: c, kind: contiguous, size: 16MiB}]
heaps: [{name: reserved, pool: c}]
devices:
  - {name: x, constraints: {alignment: 64, pitchAlignment: 64, maxPitch: 100, maxSize: 4MiB, maxSegments: 9, maxSegmentSize: 1MiB, segmentBoundary: 2MiB, iommuGranule: 4KiB, coherency: [sync]}}
  - {name: "y+z", constraints: {pitchAlignment: 96, protected: accepts, addressRanges: [{base: 0, size: 1GiB}]}}
`), 0o600))
	out, code, err := negotiate(t, "--board", file, "y+z", "x")
	require.NoError(t, err)
	assert.Zero(t, code)
	for _, want := range []string{
		"alignment +64", "pitchAlignment +192", "maxPitch +100", "maxSize +4MiB", "maxSegments +9", "maxSegmentSize +1MiB", "segmentBoundary +2MiB",
		"iommuGranule +4KiB", "coherency +sync", "protected +refuses", "addressRanges +0x0-0x3fffffff",
		"required +sync: DMA_BUF_IOCTL_SYNC around every access by the CPU", "conflict +maxPitch: the least pitch 192 is more than 100",
	} {
		assert.Regexp(t, "(?m)^  "+want+"$", out)
	}
}

func TestSuggestions(t *testing.T) {
	known := []string{"38300000.video-codec", "38310000.video-codec", "NV12"}
	assert.Empty(t, suggest("zzzz", known))
	assert.Equal(t, `; did you mean "NV12"?`, suggest("nv21", known))
	assert.Equal(t, `; did you mean "38310000.video-codec"?`, suggest("38310000.vpu-codec", known))
	assert.Equal(t, 3, distance("kitten", "sitting"))
	assert.Equal(t, 4, distance("", "four"))
}
