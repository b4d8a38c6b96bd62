package backing

import "math/bits"

const (
	// fragmentRunPages is the longest run that Fragment leaves by default, in pages: a 4096-page CMA area was once
	// reported with 1540 pages free and unable to give 151 in a row.
	fragmentRunPages = 150
	// fragmentPieces bounds how many runs the default makes of a pool, so that one of TiB size stays cheap.
	fragmentPieces = 1 << 16
)

// Fragment withholds free pages, for good, so that no free run stays longer than maxRun bytes, and says how many bytes
// it withheld. maxRun is rounded down to pages, one at least; 0 means 150 pages, or 1/65536 of the pool if that is more.
//
// With keep 0 single pages are withheld, and no more than needed at gaps of random length: of what was free at least
// h/(h+1) remains, h being half of maxRun in pages, rounded up. With a keep, in bytes rounded down to pages, more is
// withheld after each gap, so that exactly keep stays free, or less when single pages at such gaps already leave less.
//
// The choice depends on seed and on the free runs only. Pages of live buffers are not touched; when those are freed they
// may join their neighbours to a run longer than maxRun. In a pool without live buffers no longer run ever comes back.
func (p *Pool) Fragment(seed, maxRun, keep uint64) (withheld uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()

	longest := max(maxRun>>p.shift, 1)
	if maxRun == 0 {
		longest = max(fragmentRunPages, p.cfg.Size>>p.shift/fragmentPieces)
	}
	f := fragmenter{state: seed, longest: longest, total: p.free.pages, keep: keep >> p.shift}
	if keep == 0 || f.keep > f.total {
		f.keep = f.total
	}
	p.free.each(f.cut)
	f.trim()
	for _, r := range f.out {
		p.free.take(r.start, r.n)
	}
	p.withheld += f.taken
	return f.taken << p.shift
}

// fragmenter plans a fragmentation; everything is in pages.
type fragmenter struct {
	state   uint64 // of the random sequence, which is ours so that a seed means the same with every Go release
	longest uint64
	total   uint64 // free before
	keep    uint64 // free after
	free    uint64 // left free so far
	taken   uint64 // withheld so far

	gaps, out []pageRun
}

type pageRun struct{ start, n uint64 }

// cut divides one free run into gaps that stay free and stretches that are withheld.
func (f *fragmenter) cut(start, n uint64) {
	for n > 0 {
		gap := min(f.gap(), n)
		f.free += gap
		hold := min(f.owed(), n-gap)
		if hold == 0 && n <= f.longest {
			f.free += n - gap
			gap = n
		} else if hold == 0 {
			hold = 1
		}
		f.gaps = append(f.gaps, pageRun{start, gap})
		if hold > 0 {
			f.withhold(start+gap, hold)
		}
		start, n = start+gap+hold, n-gap-hold
	}
}

// gap draws the length of the next gap: between half of the longest and the longest.
func (f *fragmenter) gap() uint64 {
	f.state++
	half := (f.longest + 1) / 2
	return half + mix64(f.state)%(f.longest-half+1)
}

// owed is how many pages to withhold now, for free and taken to stand as keep to the rest of total.
func (f *fragmenter) owed() uint64 {
	if f.keep == 0 || f.free > f.keep {
		return f.total
	}
	hi, lo := bits.Mul64(f.free, f.total-f.keep)
	due, _ := bits.Div64(hi, lo, f.keep) // free <= keep, so it fits
	if due <= f.taken {
		return 0
	}
	return due - f.taken
}

func (f *fragmenter) withhold(start, n uint64) {
	f.out = append(f.out, pageRun{start, n})
	f.taken += n
}

// trim withholds the ends of the last gaps until no more than keep is free.
func (f *fragmenter) trim() {
	for i := len(f.gaps) - 1; i >= 0 && f.free > f.keep; i-- {
		g := f.gaps[i]
		n := min(g.n, f.free-f.keep)
		f.withhold(g.start+g.n-n, n)
		f.free -= n
	}
}
