package fuzz

// Difference is where the two sides part.
type Difference struct {
	At          int // place in the operations that were executed
	Op          Op
	Left, Right Result
}

// judge compares the answers to ops. Each difference that is excused is counted in excused by its row.
func judge(ops []Op, left, right []Result, rules []excuse, excused map[string]int) *Difference {
	for i := range ops {
		l, r := left[i], right[i]
		if l == r {
			continue
		}
		row := excuseFor(&ops[i], &l, &r, rules)
		if row == "" {
			return &Difference{At: i, Op: ops[i], Left: l, Right: r}
		}
		if excused != nil {
			excused[row]++
		}
	}
	return nil
}

func excuseFor(op *Op, l, r *Result, rules []excuse) string {
	for i := range rules {
		if rules[i].kind == op.Kind && rules[i].holds(op, l, r) {
			return rules[i].row
		}
	}
	return ""
}
