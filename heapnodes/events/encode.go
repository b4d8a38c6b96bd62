package events

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends the event as one JSON object, without a newline, and
// returns the extended slice. The bytes are those of encoding/json with HTML
// escaping off; it is written by hand because with --events it stands in the
// path of every ALLOC.
func (e *Event) AppendJSON(b []byte) []byte {
	b = append(b, `{"v":`...)
	b = strconv.AppendInt(b, int64(e.V), 10)
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, e.Seq, 10)
	b = append(b, `,"time":"`...)
	b = e.Time.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","event":`...)
	b = appendString(b, e.Event)
	b = append(b, `,"instance":`...)
	b = appendString(b, e.Instance)
	b = appendStringField(b, `,"door":`, e.Door)
	b = appendStringField(b, `,"heap":`, e.Heap)
	b = appendStringField(b, `,"device":`, e.Device)
	b = appendUintField(b, `,"attachment":`, e.Attachment)
	b = appendUintField(b, `,"dma_addr":`, e.DMAAddr)
	b = appendIntField(b, `,"segments":`, e.Segments)
	b = appendUintField(b, `,"buffer":`, e.Buffer)
	b = appendIntField(b, `,"pid":`, e.PID)
	b = appendIntField(b, `,"tid":`, e.TID)
	if e.UID != nil {
		b = append(b, `,"uid":`...)
		b = strconv.AppendInt(b, int64(*e.UID), 10)
	}
	b = appendStringField(b, `,"comm":`, e.Comm)
	b = appendUintField(b, `,"len":`, e.Len)
	b = appendStringField(b, `,"errno":`, e.Errno)
	b = appendStringField(b, `,"reason":`, e.Reason)
	b = appendStringField(b, `,"name":`, e.Name)
	if len(e.Extents) > 0 {
		b = append(b, `,"extents":[`...)
		for i, x := range e.Extents {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"addr":`...)
			b = strconv.AppendUint(b, x.Addr, 10)
			b = append(b, `,"len":`...)
			b = strconv.AppendUint(b, x.Len, 10)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendStringField(b []byte, key, s string) []byte {
	if s == "" {
		return b
	}
	return appendString(append(b, key...), s)
}

func appendUintField(b []byte, key string, n uint64) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendUint(append(b, key...), n, 10)
}

func appendIntField(b []byte, key string, n int) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, key...), int64(n), 10)
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. What must be escaped is escaped,
// bytes that are no UTF-8 become U+FFFD, and U+2028 and U+2029 are escaped as
// encoding/json does, for readers that take JSON for JavaScript.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0 // first byte that is not yet copied
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			b = appendEscape(b, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(b, s[start:i]...)
			b = append(b, `\ufffd`...)
			start = i + size
		case r == '\u2028' || r == '\u2029':
			b = append(b, s[start:i]...)
			b = append(b, `\u202`...)
			b = append(b, hexDigits[r&0xf])
			start = i + size
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// appendEscape appends the escape of an ASCII byte that cannot stand in a JSON
// string as it is.
func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
