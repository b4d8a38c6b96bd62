package events

import (
	"bytes"
	_ "embed"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/backing"
)

//go:embed schema.json
var schemaJSON string

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schemaJSON))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("schema.json", doc))
	schema, err := c.Compile("schema.json")
	require.NoError(t, err)
	return schema
}

func validate(schema *jsonschema.Schema, line string) error {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}

func TestSchemaRefuses(t *testing.T) {
	schema := compileSchema(t)
	const head = `"v":1,"seq":1,"time":"2025-01-02T03:04:05.6Z","instance":"i"`
	require.NoError(t, validate(schema, `{`+head+`,"event":"start"}`), "the rest differs from this in one thing each")
	for name, line := range map[string]string{
		"other version":          `{"v":2,"seq":1,"time":"2025-01-02T03:04:05Z","instance":"i","event":"start"}`,
		"no number":              `{"v":1,"time":"2025-01-02T03:04:05Z","instance":"i","event":"start"}`,
		"number 0":               `{"v":1,"seq":0,"time":"2025-01-02T03:04:05Z","instance":"i","event":"start"}`,
		"local time":             `{"v":1,"seq":1,"time":"2025-01-02T03:04:05+02:00","instance":"i","event":"start"}`,
		"no such day":            `{"v":1,"seq":1,"time":"2025-02-31T03:04:05Z","instance":"i","event":"start"}`,
		"unknown kind":           `{` + head + `,"event":"boom"}`,
		"no kind":                `{` + head + `}`,
		"unknown field":          `{` + head + `,"event":"start","colour":"red"}`,
		"alloc without extents":  `{` + head + `,"event":"alloc","heap":"system","buffer":1,"len":4096}`,
		"alloc with errno":       `{` + head + `,"event":"alloc","heap":"h","buffer":1,"len":1,"extents":[{"addr":0,"len":1}],"errno":"EIO"}`,
		"failure without errno":  `{` + head + `,"event":"alloc_failed","heap":"system"}`,
		"failure with a buffer":  `{` + head + `,"event":"alloc_failed","heap":"system","errno":"ENOMEM","buffer":1}`,
		"look-up without reason": `{` + head + `,"event":"lookup_failed","heap":"a+b","errno":"ENOENT"}`,
		"look-up of a length":    `{` + head + `,"event":"lookup_failed","heap":"a+b","errno":"ENOENT","reason":"r","len":1}`,
		"errno as a number":      `{` + head + `,"event":"alloc_failed","heap":"system","errno":"12"}`,
		"free with heap_flags":   `{` + head + `,"event":"free","heap":"h","buffer":1,"len":1,"heap_flags":1}`,
		"free of nothing":        `{` + head + `,"event":"free","heap":"system","len":4096}`,
		"attach of nothing":      `{` + head + `,"event":"attach","device":"vpu","attachment":1}`,
		"attach to nothing":      `{` + head + `,"event":"attach","heap":"h","attachment":1,"buffer":1,"len":1}`,
		"refusal without reason": `{` + head + `,"event":"attach_failed","device":"vpu","errno":"EFAULT"}`,
		"refusal that attached":  `{` + head + `,"event":"attach_failed","device":"vpu","errno":"EFAULT","reason":"r","attachment":1}`,
		"name for nothing":       `{` + head + `,"event":"set_name","name":"x"}`,
		"warning without reason": `{` + head + `,"event":"warning"}`,
		"lost without number":    `{` + head + `,"event":"lost","reason":"many events"}`,
		"empty extent":           `{` + head + `,"event":"start","extents":[{"addr":0,"len":0}]}`,
		"no object":              `[]`,
	} {
		t.Run(name, func(t *testing.T) { assert.Error(t, validate(schema, line)) })
	}
}

func TestEveryKindValidates(t *testing.T) {
	schema := compileSchema(t)
	ext := []backing.Extent{{Addr: 0, Len: 4096}, {Addr: 0x40001000, Len: 1 << 20}}
	caller := Event{Door: "seccomp", Heap: "system", PID: 2, TID: 3, UID: UID(0), Comm: "a\xff\n\"b"}
	with := func(f func(*Event)) Event { e := caller; f(&e); return e }
	all := []Event{
		{Event: Start},
		with(func(e *Event) { e.Event, e.Buffer, e.Len, e.Extents = Alloc, 1, 4096, ext }),
		with(func(e *Event) { e.Event, e.Len, e.Errno, e.Reason = AllocFailed, 4096, "ENOMEM", "quota" }),
		with(func(e *Event) { e.Event, e.Errno = AllocFailed, "EINVAL" }),
		with(func(e *Event) { e.Event, e.Errno, e.HeapFlags = AllocFailed, "EINVAL", 1<<63 }),
		with(func(e *Event) {
			e.Event, e.Heap, e.Errno, e.Reason = LookupFailed, "a+b", "ENOENT", "no heap serves all"
		}),
		with(func(e *Event) { e.Event, e.Buffer, e.Name = SetName, 1, everyByte() }),
		with(func(e *Event) { e.Event, e.Buffer = SetName, 1 }), // the empty name is a name
		with(func(e *Event) {
			e.Event, e.Device, e.Attachment, e.DMAAddr, e.Segments, e.Buffer, e.Len = Attach, "vpu", 1, 4096, 1, 1, 4096
		}),
		with(func(e *Event) { e.Event, e.Device, e.Attachment, e.Buffer, e.Len = Attach, "vpu", 2, 1, 4096 }),
		with(func(e *Event) {
			e.Event, e.Device, e.Attachment, e.Buffer, e.Len, e.Reason = Detach, "vpu", 1, 1, 4096, "closed"
		}),
		with(func(e *Event) {
			e.Event, e.Device, e.Buffer, e.Len, e.Errno, e.Reason = AttachFailed, "vpu", 1, 4096, "EFAULT", "scattered"
		}),
		{Event: AttachFailed, Device: "vpu", Errno: "EBADF", Reason: "no such descriptor 7"},
		{Event: Warning, Reason: "w"},
		{Event: Free, Heap: "system", Buffer: 1, Len: 4096, Extents: ext},
		{Event: Free, Heap: "system", Buffer: 2, Len: 4096},
		{Event: Exit, Reason: "terminated"},
	}
	// The backlog is one short, so that the subscriber sees a Lost event too.
	s := NewStream(Config{Instance: "i", Backlog: len(all) - 1})
	var file bytes.Buffer
	s.AddSink(&file)
	for _, e := range all {
		s.Emit(e)
	}
	s.Close()
	sub := s.Subscribe(1)
	defer sub.Close()
	lines := strings.SplitAfter(strings.TrimSuffix(file.String(), "\n"), "\n")
	require.Len(t, lines, len(all))
	seen := map[string]bool{}
	for _, e := range drain(t, sub) {
		lines = append(lines, string(e.AppendJSON(nil)))
		seen[e.Event] = true
	}
	for _, line := range lines {
		assert.NoError(t, validate(schema, line), line)
	}
	assert.True(t, seen[Lost])
	for _, kind := range []string{Alloc, AllocFailed, Free, SetName, Warning, Exit} {
		assert.True(t, seen[kind], kind)
	}
}
