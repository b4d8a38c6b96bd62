package heapnodes

import (
	"testing"

	"github.com/stretchr/testify/assert"

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
