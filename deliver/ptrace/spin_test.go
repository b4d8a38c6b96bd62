package ptrace

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestALoneCallerIsAlone(t *testing.T) {
	d := Open(Config{})
	defer d.Close()
	place := func() { d.sessions <- struct{}{} }
	leaving := func(tid int, stuck bool) {
		d.leaving = append(d.leaving, &conversation{door: d, tid: tid, sock: -1, stuck: stuck})
	}
	place()
	assert.Equal(t, 1, d.alone(1))
	leaving(3, true)
	assert.Equal(t, 1, d.alone(1), "one that hangs has no place and says nothing")
	place()
	assert.Zero(t, d.alone(1), "somebody's is in progress")
	leaving(1, false)
	assert.Equal(t, 2, d.alone(1), "its last one is not over yet")
	assert.Zero(t, d.alone(2))
	place()
	leaving(2, false)
	assert.Zero(t, d.alone(1))
}
