package backing

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// checkFreeMap proves what a freeMap promises: order, heap shape, maximal runs, and that every node carries what a fresh
// look at its subtree gives.
func checkFreeMap(t testing.TB, m *freeMap) {
	t.Helper()
	var runs []*freeRun
	var walk func(n *freeRun) (longest [maxAlignOrder + 1]uint64, block int)
	walk = func(n *freeRun) (longest [maxAlignOrder + 1]uint64, block int) {
		block = -1
		if n == nil {
			return longest, block
		}
		ll, lb := walk(n.left)
		runs = append(runs, n)
		rl, rb := walk(n.right)
		for _, c := range []*freeRun{n.left, n.right} {
			if c != nil && c.prio > n.prio {
				t.Fatalf("heap order is broken at %d", n.start)
			}
		}
		for o := 0; o < 64 && 1<<o <= n.n; o++ {
			if first := (n.start + 1<<o - 1) / (1 << o) * (1 << o); first+1<<o <= n.start+n.n {
				block = o
			}
		}
		block = max(block, lb, rb)
		if block != n.block {
			t.Fatalf("run at %d: block %d, not %d", n.start, n.block, block)
		}
		for k := 0; k <= m.orders; k++ {
			first := (n.start + 1<<k - 1) / (1 << k) * (1 << k)
			if first < n.start+n.n {
				longest[k] = n.start + n.n - first
			}
			longest[k] = max(longest[k], ll[k], rl[k])
			if longest[k] != n.longest[k] {
				t.Fatalf("run at %d: longest of order %d is %d, not %d", n.start, k, n.longest[k], longest[k])
			}
		}
		return longest, block
	}
	walk(m.root)
	var pages uint64
	for i, r := range runs {
		pages += r.n
		if r.n == 0 || i > 0 && runs[i-1].start+runs[i-1].n >= r.start {
			t.Fatalf("the run at %d is empty, out of order or touches the one below", r.start)
		}
	}
	require.Equal(t, pages, m.pages)
}

func TestFreeMapFindsNothingInAnEmptyMap(t *testing.T) {
	m := newFreeMap(3, 5, 2)
	m.take(3, 5)
	for _, find := range []func() (uint64, bool){
		func() (uint64, bool) { return m.lowest(1, 0) },
		func() (uint64, bool) { return m.lowestBlock(0) },
		func() (uint64, bool) { return m.highestBlock(0) },
	} {
		_, ok := find()
		require.False(t, ok)
	}
	require.Zero(t, m.largest())
	checkFreeMap(t, m)
}

func TestFreeMapJoinsNeighbours(t *testing.T) {
	for _, order := range [][3]uint64{{10, 20, 30}, {10, 30, 20}, {20, 10, 30}, {20, 30, 10}, {30, 10, 20}, {30, 20, 10}} {
		m := newFreeMap(0, 100, 3)
		m.take(10, 30)
		checkFreeMap(t, m)
		for _, start := range order {
			m.put(start, 10)
			checkFreeMap(t, m)
		}
		require.Equal(t, uint64(100), m.largest(), "order %v", order)
		require.Nil(t, m.root.left)
		require.Nil(t, m.root.right)
	}
}

func TestFreeMapFirstFitHonoursAlignment(t *testing.T) {
	m := newFreeMap(5, 100, 5) // pages 5 to 104
	cases := []struct {
		n     uint64
		order int
		start uint64
		ok    bool
	}{
		{1, 0, 5, true}, {1, 1, 6, true}, {1, 2, 8, true}, {3, 5, 32, true},
		{100, 0, 5, true}, {101, 0, 0, false}, {99, 1, 6, true}, {100, 1, 0, false},
		{73, 5, 32, true}, {74, 5, 0, false},
	}
	for _, c := range cases {
		start, ok := m.lowest(c.n, c.order)
		require.Equal(t, c.ok, ok, "%+v", c)
		require.Equal(t, c.start, start, "%+v", c)
	}
	start, ok := m.lowestBlock(5)
	require.True(t, ok)
	require.Equal(t, uint64(32), start)
	start, ok = m.highestBlock(5)
	require.True(t, ok)
	require.Equal(t, uint64(64), start)
	_, ok = m.lowestBlock(6)
	require.False(t, ok, "64 to 127 is not all free, 0 to 63 neither")
}
