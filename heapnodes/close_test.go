package heapnodes

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/heapfs/heapfs/heapnodes/events"
)

// closingExporter ends the instance while an ALLOC is under way.
type closingExporter struct {
	fakeExporter
	heaps *Heaps
}

func (x *closingExporter) Export(r ExportRequest) (Export, error) {
	e, err := x.fakeExporter.Export(r)
	x.heaps.Close()
	return e, err
}

// Every free stands before exit: Close must not leave an ALLOC behind that was under way.
func TestCloseEndsAnAllocThatIsUnderWay(t *testing.T) {
	x := &closingExporter{}
	s := newSite(t, func(c *Config) { c.Exporter = x })
	x.heaps = s.Heaps
	err := s.alloc("system", 4096)
	kinds := s.kinds()
	assert.True(t, err != nil || len(kinds) == 2 && kinds[1] == events.Free, "%v %v", err, kinds)
	s.untouched()
}

// A mount that ends serves what lives, and gives nothing out any more.
func TestRefuseLeavesBuffersAlone(t *testing.T) {
	s := newSite(t)
	require.NoError(t, s.alloc("system", 4096))
	s.Refuse()
	assert.ErrorIs(t, s.alloc("system", 4096), ErrNoMemory)
	assert.Len(t, s.Buffers(), 1)
	assert.Equal(t, []string{events.Alloc, events.AllocFailed}, s.kinds())
}
