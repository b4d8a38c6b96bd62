package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"
)

// Kind says what a frame's bytes are.
type Kind string

// The kinds of frames, in the order of a run.
const (
	KindHello  Kind = "hello"  // Hello, as JSON
	KindBegin  Kind = "begin"  // a step begins; no bytes
	KindStdout Kind = "stdout" // bytes of a step
	KindStderr Kind = "stderr" // bytes of a step
	KindExit   Kind = "exit"   // Exit, as JSON
	KindFile   Kind = "file"   // File, as JSON
	KindData   Kind = "data"   // bytes of the file announced before
	KindFault  Kind = "fault"  // the guest cannot do its job: a line of text
	KindEnd    Kind = "end"    // all is said; no bytes
)

// MaxPayload is the most that one frame carries, in bytes.
const MaxPayload = 64 << 10

// ErrGarbled means that frames were lost, cut or mixed with something else. What came before is sound.
var ErrGarbled = errors.New("the guest's frames are garbled")

// Frame is one message of the guest. Step counts from 0 and is -1 outside of steps.
type Frame struct {
	Kind Kind
	Step int
	Data []byte
}

// Writer writes frames. It may be used by several goroutines.
type Writer struct {
	marker string
	out    io.Writer

	mu  sync.Mutex
	seq int
}

// NewWriter returns a Writer whose frames begin with marker.
func NewWriter(out io.Writer, marker string) *Writer { return &Writer{marker: marker, out: out} }

// Write writes one frame, or several where data is longer than MaxPayload.
func (w *Writer) Write(kind Kind, step int, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		part := data[:min(len(data), MaxPayload)]
		data = data[len(part):]
		// A line of its own, so that the stream can be read by a person, and noise before it does no harm.
		head := fmt.Sprintf("\n%s %d %s %d %d %08x\n", w.marker, w.seq, kind, step, len(part), crc32.ChecksumIEEE(part))
		w.seq++
		if _, err := w.out.Write(append([]byte(head), part...)); err != nil {
			return fmt.Errorf("frame %s: %w", kind, err)
		}
		if len(data) == 0 {
			return nil
		}
	}
}

// Reader reads frames and passes over what stands between them.
type Reader struct {
	marker string
	in     *bufio.Reader
	seq    int
}

// NewReader returns a Reader of the frames that begin with marker.
func NewReader(in io.Reader, marker string) *Reader {
	return &Reader{marker: marker, in: bufio.NewReaderSize(in, 2*MaxPayload)}
}

// Next returns the next frame. io.EOF means that there is none, ErrGarbled that there was one that cannot be used.
func (r *Reader) Next() (Frame, error) {
	for {
		line, err := r.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue // noise without line ends
		}
		if err != nil {
			return Frame{}, err
		}
		if head, ok := bytes.CutPrefix(line, []byte(r.marker+" ")); ok {
			return r.frame(string(head))
		}
	}
}

func (r *Reader) frame(head string) (Frame, error) {
	var (
		seq, step, length int
		kind              string
		sum               uint32
	)
	head = strings.TrimSuffix(head, "\n")
	if n, err := fmt.Sscanf(head, "%d %s %d %d %x", &seq, &kind, &step, &length, &sum); n != 5 || err != nil {
		return Frame{}, fmt.Errorf("%w: header %q", ErrGarbled, head)
	}
	if seq != r.seq {
		return Frame{}, fmt.Errorf("%w: number %d follows %d", ErrGarbled, seq, r.seq-1)
	}
	if length < 0 || length > MaxPayload {
		return Frame{}, fmt.Errorf("%w: length %d", ErrGarbled, length)
	}
	data := make([]byte, length)
	if n, err := io.ReadFull(r.in, data); err != nil {
		return Frame{}, fmt.Errorf("%w: %d of %d bytes of frame %d", ErrGarbled, n, length, seq)
	}
	if got := crc32.ChecksumIEEE(data); got != sum {
		return Frame{}, fmt.Errorf("%w: checksum of frame %d", ErrGarbled, seq)
	}
	r.seq++
	return Frame{Kind: Kind(kind), Step: step, Data: data}, nil
}
