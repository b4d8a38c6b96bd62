package fuzz

// shrink takes operations out of ops as long as fails says that what is left still fails, and returns what can't be made smaller by
// leaving out any one operation (delta debugging; Zeller and Hildebrandt). The two operations at the end stay. fails is asked at
// most limit times.
func shrink(ops []Op, limit int, fails func([]Op) bool) []Op {
	body, end := ops[:len(ops)-2], ops[len(ops)-2:]
	try := func(candidate []Op) bool {
		if limit == 0 {
			return false
		}
		limit--
		return fails(append(append([]Op(nil), candidate...), end...))
	}
	for chunk := max(1, len(body)/2); ; {
		smaller := false
		// From the end: what comes after the difference goes first, and what makes a descriptor is wanted longest.
		for to := len(body); to > 0; to -= chunk {
			from := max(0, to-chunk)
			candidate := append(append([]Op(nil), body[:from]...), body[min(to, len(body)):]...)
			if try(candidate) {
				body, smaller = candidate, true
			}
		}
		switch {
		case limit == 0, chunk == 1 && !smaller:
			return append(append([]Op(nil), body...), end...)
		case chunk > 1:
			chunk /= 2
		}
	}
}
