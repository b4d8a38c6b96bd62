package events

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
)

// reference is what encoding/json makes of e.
func reference(t testing.TB, e Event) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	require.NoError(t, enc.Encode(e))
	return b.String()
}

func checkEncoding(t testing.TB, e Event) {
	t.Helper()
	got := append(e.AppendJSON(nil), '\n')
	assert.Equal(t, reference(t, e), string(got))
	assert.True(t, utf8.Valid(got), "valid UTF-8")
	assert.Equal(t, 1, bytes.Count(got, []byte("\n")), "one line")
	var back Event
	assert.NoError(t, json.Unmarshal(got, &back))
}

func everyByte() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

func TestJSONIsThatOfEncodingJSON(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 60, time.UTC)
	for name, e := range map[string]Event{
		"zero":     {},
		"no bytes": {V: 1, Seq: 1, Time: now, Event: Start, Instance: "1"},
		"everything": {
			V: 1, Seq: math.MaxUint64, Time: now, Event: Alloc, Instance: "i", Door: "seccomp", Heap: "system",
			Buffer: math.MaxUint64, PID: 12, TID: 13, UID: UID(0), Comm: "a.out", Len: 4096, Errno: "ENOMEM",
			Reason: "full", Name: "frame 1", Extents: []backing.Extent{{Addr: 0, Len: 4096}, {Addr: math.MaxUint64, Len: 1}},
		},
		"negative numbers":       {V: -1, PID: -1, TID: math.MinInt64, UID: func() *int { n := -5; return &n }(), Time: now},
		"whole second":           {Time: now.Truncate(time.Second)},
		"other zone":             {Time: now.In(time.FixedZone("", 5400))},
		"empty extents":          {Extents: []backing.Extent{}},
		"quotes":                 {Comm: `a"b\c/d`, Name: `\`},
		"control":                {Comm: "\x00\x01\x1f\x7f\b\f\n\r\t", Name: "\x1b[31mred"},
		"html":                   {Comm: "<a&b>", Name: "</script>"},
		"every byte":             {Comm: everyByte(), Name: everyByte()},
		"truncated rune":         {Comm: "caf\xc3", Name: "\xe2\x80"},
		"surrogate":              {Comm: "\xed\xa0\x80", Name: "\xf4\x90\x80\x80"},
		"U+FFFD itself":          {Comm: "\ufffd", Name: "x\ufffdy"},
		"line separators":        {Comm: "\u2028a\u2029", Name: "\u2027\u202a"},
		"beyond the basic plane": {Comm: "🎞", Reason: "é", Errno: "E", Heap: "\xff", Door: "\n", Event: "\"", Instance: "\\"},
	} {
		t.Run(name, func(t *testing.T) { checkEncoding(t, e) })
	}
}

func FuzzJSONIsThatOfEncodingJSON(f *testing.F) {
	f.Add("comm", "name", uint64(1), 2, int64(3), uint64(4))
	f.Add(everyByte(), "\u2028\xff", uint64(math.MaxUint64), -1, int64(-1), uint64(0))
	f.Fuzz(func(t *testing.T, comm, name string, n uint64, pid int, ns int64, addr uint64) {
		checkEncoding(t, Event{
			V: 1, Seq: n, Time: time.Unix(0, ns).UTC(), Event: Alloc, Instance: name, Buffer: n, PID: pid, TID: -pid,
			UID: UID(pid), Comm: comm, Name: name, Reason: comm + name, Len: addr,
			Extents: []backing.Extent{{Addr: addr, Len: n}},
		})
	})
}

func TestNegativeUIDIsNoUID(t *testing.T) {
	assert.Nil(t, UID(-1))
	assert.Equal(t, 0, *UID(0))
}

func BenchmarkAppendJSON(b *testing.B) {
	e := typical()
	e.Time = time.Now().UTC()
	var line []byte
	b.ReportAllocs()
	for b.Loop() {
		line = e.AppendJSON(line[:0])
	}
}
