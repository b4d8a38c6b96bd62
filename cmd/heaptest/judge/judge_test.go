package judge

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func record(release string, answers map[string]string) *Run {
	v, err := ParseVersion(release)
	if err != nil {
		panic(err)
	}
	return &Run{Header: Header{As: Kernel, Kernel: release}, Version: v, Answers: answers}
}

var someRecords = []*Run{
	record("6.12.117", map[string]string{"same": "EINVAL", "listed": "EINVAL", "sometimes": "0", "sync": "ENOTTY", "late": "0", "new": "EFAULT"}),
	record("6.18.15", map[string]string{"same": "EINVAL", "listed": "EINVAL", "sometimes": "0", "sync": "ENOTTY", "late": "0", "new": "EINVAL"}),
	// A run of heapfs is no record of a kernel.
	{Header: Header{As: Memfd, Kernel: "6.18.1"}, Version: Version{6, 18}, Answers: map[string]string{"same": "0"}},
}

var someList = []Deviation{
	{ID: "B1", On: []Export{Memfd}, Rows: []Difference{{Row: "listed", Answer: "0"}, {Row: "late", Answer: "EPERM", From: Version{6, 18}}}},
	{ID: "N8", On: []Export{Memfd}, Sometimes: true, Rows: []Difference{{Row: "sometimes", Answer: "EINTR"}}},
	{ID: "S2", On: []Export{Memfd}, Unless: UdmabufOpens, Rows: []Difference{{Row: "sync", Answer: "EINVAL"}}},
}

func TestVerdicts(t *testing.T) {
	memfd := Header{As: Memfd, Kernel: "6.18.44"}
	withUdmabuf := Header{As: Memfd, Kernel: "6.18.44", Udmabuf: true}
	old := Header{As: Memfd, Kernel: "6.12.1"}
	kernel := Header{As: Kernel, Kernel: "6.18.44"}
	rows := []struct {
		name        string
		header      Header
		row, answer string
		want        Word
		reason      string
	}{
		{"a difference that is not listed", memfd, "same", "0", Fail, "not listed"},
		{"an entry that has become needless", memfd, "listed", "EINVAL", Fail, "needless"},
		{"neither the kernel's answer nor the listed one", memfd, "listed", "EPERM", Fail, "neither"},
		{"an entry of another export", Header{As: Udmabuf, Kernel: "6.18.44"}, "listed", "0", Fail, "not listed"},
		{"a kernel is allowed no entry", kernel, "listed", "0", Fail, "not listed"},
		{"an entry where its condition does not hold", withUdmabuf, "sync", "EINVAL", Fail, "not listed"},
		{"an entry of later kernels", old, "late", "EPERM", Fail, "not listed"},
		{"another kernel's answer", old, "new", "EINVAL", Fail, "not listed"},
		{"a row without a record", memfd, "unknown", "0", Fail, "no record"},
		{"what chance never gives", memfd, "sometimes", "EPERM", Fail, "neither"},

		{"the kernel's answer", memfd, "same", "EINVAL", OK, ""},
		{"the listed answer", memfd, "listed", "0", Deviates, ""},
		{"the listed answer of this kernel", memfd, "late", "EPERM", Deviates, ""},
		{"the kernel's answer before the entry begins", old, "late", "0", OK, ""},
		{"what chance gives", memfd, "sometimes", "EINTR", Deviates, ""},
		{"what chance does not give", memfd, "sometimes", "0", OK, ""},
		{"the listed answer where the condition holds", memfd, "sync", "EINVAL", Deviates, ""},
		{"the kernel's answer where it does not", withUdmabuf, "sync", "ENOTTY", OK, ""},
		{"a kernel's own answer", kernel, "listed", "EINVAL", OK, ""},
		{"an answer that is read from the source", memfd, "sourced", "ENOMEM", OK, ""},
	}
	for _, r := range rows {
		j, err := New(r.header, someRecords, someList, map[string]string{"sourced": "ENOMEM"})
		require.NoError(t, err)
		got := j.Answer(r.row, r.answer)
		assert.Equal(t, r.want, got.Verdict, r.name)
		if r.reason == "" {
			assert.Empty(t, got.Reason, r.name)
		} else {
			assert.Contains(t, got.Reason, r.reason, r.name)
		}
	}
}

func TestRowWithoutAnAnswerFails(t *testing.T) {
	j, err := New(Header{As: Memfd, Kernel: "6.18.44"}, someRecords, someList, nil)
	require.NoError(t, err)
	got := j.Failure("listed", "no answer within 1m0s")
	assert.Equal(t, Fail, got.Verdict)
	assert.Equal(t, "EINVAL", got.Expected)
}

func TestNewestRecordThatIsNotNewerCounts(t *testing.T) {
	rows := []struct{ release, want string }{
		{"6.1.0-57-amd64", "6.12.117"}, // the oldest there is
		{"6.12.117+deb12-amd64", "6.12.117"},
		{"6.17.1", "6.12.117"},
		{"6.18.0", "6.18.15"},
		{"7.3.4+deb13-amd64", "6.18.15"},
	}
	for _, r := range rows {
		j, err := New(Header{As: Kernel, Kernel: r.release}, someRecords, nil, nil)
		require.NoError(t, err, r.release)
		assert.Equal(t, r.want, j.Record(), r.release)
	}
	_, err := New(Header{As: Kernel, Kernel: "new"}, someRecords, nil, nil)
	assert.ErrorContains(t, err, `"new"`)
}

func TestRunIsReadBack(t *testing.T) {
	_, err := ReadRun(strings.NewReader(""), "x")
	assert.ErrorContains(t, err, "run x")
	_, err = ReadRun(strings.NewReader("{\n"), "x")
	assert.ErrorContains(t, err, "header")
	_, err = ReadRun(strings.NewReader(`{"as":"ion","kernel":"6.12"}`), "x")
	assert.ErrorContains(t, err, "ion")
	_, err = ReadRun(strings.NewReader(`{"as":"memfd","kernel":"six"}`), "x")
	assert.ErrorContains(t, err, "six")
	_, err = ReadRun(strings.NewReader("{\"as\":\"memfd\",\"kernel\":\"6.12\"}\nrow\n"), "x")
	assert.ErrorContains(t, err, "line 2")

	run, err := ReadRun(strings.NewReader(`{"as":"memfd","kernel":"6.12.117+deb12"}
{"row":"a","answer":"0"}
{"row":"b","answer":"","verdict":"not tried"}
`), "x")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"a": "0"}, run.Answers, "a row that was not tried has no answer")
	assert.Equal(t, Version{6, 12}, run.Version)
}

func FuzzReadRun(f *testing.F) {
	f.Add("{\"as\":\"memfd\",\"kernel\":\"6.12\"}\n{\"row\":\"a\",\"answer\":\"0\"}\n")
	f.Add("{}\n")
	// What is read has a version and an export.
	f.Fuzz(func(t *testing.T, in string) {
		run, err := ReadRun(strings.NewReader(in), "x")
		if err != nil {
			return
		}
		_, err = ParseExport(string(run.As))
		assert.NoError(t, err)
	})
}
