package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const marker = "MARK"

func frames(t *testing.T, write func(w *Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	write(NewWriter(&b, marker))
	return b.Bytes()
}

func readAll(data []byte) ([]Frame, error) {
	r := NewReader(bytes.NewReader(data), marker)
	var all []Frame
	for {
		f, err := r.Next()
		if err != nil {
			return all, err
		}
		all = append(all, f)
	}
}

func TestFramesThatCannotBeUsedAreGarbled(t *testing.T) {
	tests := map[string]string{
		"header":         "MARK rubbish\n",
		"lost frame":     "MARK 1 end 0 0 00000000\n",
		"checksum":       "MARK 0 stdout 0 2 00000000\nab",
		"cut":            "MARK 0 stdout 0 10 00000000\nab",
		"length":         "MARK 0 stdout 0 99999999 00000000\nab",
		"length below 0": "MARK 0 stdout 0 -1 00000000\nab",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readAll([]byte(text))
			require.ErrorIs(t, err, ErrGarbled)
			assert.Empty(t, got)
		})
	}
}

func TestNoiseIsNoFrame(t *testing.T) {
	for _, text := range []string{"", "\n\n", "OTHER 0 end 0 0 00000000\n", " MARK 0 end 0 0 00000000\n", strings.Repeat("x", 5*MaxPayload)} {
		got, err := readAll([]byte(text))
		require.ErrorIs(t, err, io.EOF)
		assert.Empty(t, got)
	}
}

func TestFramesComeBackAsTheyWereWritten(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789\nMARK 7 end 0 0 0\n"), MaxPayload/20)
	data := append(frames(t, func(w *Writer) {
		require.NoError(t, w.Write(KindHello, -1, []byte("{}")))
		require.NoError(t, w.Write(KindStdout, 3, long))
	}), "noise without a line end"...)
	data = append(data, bytes.ReplaceAll(frames(t, func(w *Writer) { require.NoError(t, w.Write(KindEnd, -1, nil)) }),
		[]byte("MARK 0"), []byte("MARK 3"))...)
	got, err := readAll(data)
	require.ErrorIs(t, err, io.EOF)
	require.Len(t, got, 4)
	assert.Equal(t, Frame{KindHello, -1, []byte("{}")}, got[0])
	assert.Equal(t, long, append(got[1].Data, got[2].Data...))
	assert.Equal(t, 3, got[2].Step)
	assert.Equal(t, Frame{KindEnd, -1, []byte{}}, got[3])
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("port gone") }

func TestWriterTellsAFailedWrite(t *testing.T) {
	assert.ErrorContains(t, NewWriter(failing{}, marker).Write(KindEnd, -1, nil), "frame end: port gone")
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("MARK 0 end 0 0 00000000\n"))
	f.Add([]byte("\nMARK 0 stdout 0 2 9e83486d\nab\nMARK 1 end 0 0 00000000\n"))
	f.Add([]byte("MARK 0 x -1 4294967296 0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readAll(data)
		if !errors.Is(err, io.EOF) && !errors.Is(err, ErrGarbled) {
			t.Fatalf("error %v", err)
		}
		// What was read, written again, is read again.
		var b bytes.Buffer
		w := NewWriter(&b, marker)
		for _, frame := range got {
			if err := w.Write(frame.Kind, frame.Step, frame.Data); err != nil {
				t.Fatal(err)
			}
		}
		again, err := readAll(b.Bytes())
		if !errors.Is(err, io.EOF) || len(again) != len(got) {
			t.Fatalf("%d frames of %d, error %v", len(again), len(got), err)
		}
	})
}
