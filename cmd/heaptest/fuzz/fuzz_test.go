package fuzz

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestTheSameSeedMakesTheSameSequence(t *testing.T) {
	assert.Equal(t, Sequence(3, 14), Sequence(3, 14))
	assert.NotEqual(t, Sequence(3, 14), Sequence(3, 15))
	assert.NotEqual(t, Sequence(3, 14), Sequence(4, 14))
}

func TestSequencesKeepTheirBounds(t *testing.T) {
	for n := range uint64(500) {
		ops := Sequence(1, n)
		require.LessOrEqual(t, len(ops), maxOps-2, "sequence %d", n) // two registers are the last check's
		var asked uint64
		for i, op := range ops {
			require.EqualValues(t, i, op.ID)
			require.Less(t, op.Ref, op.ID, "an operation uses what was made before: %s", op.String())
			require.Less(t, op.Ref2, op.ID, op.String())
			if op.Kind == KindAlloc && op.Who != whoChild && op.A[allocLen] <= 1<<62 {
				asked += (op.A[allocLen] + pageSize - 1) &^ (pageSize - 1)
			}
		}
		require.LessOrEqual(t, asked, uint64(liveBytes+maxOps*pageSize), "sequence %d", n)
		require.Less(t, asked, uint64(PoolBytes), "sequence %d", n)
		require.Equal(t, []uint8{endClean, endPool}, []uint8{ops[len(ops)-2].Sub, ops[len(ops)-1].Sub})
	}
}

func TestEveryKindIsGeneratedOftenEnough(t *testing.T) {
	var count [kinds]int
	all := 0
	for n := range uint64(400) {
		for _, op := range Sequence(2, n) {
			if op.Kind != KindEnd {
				count[op.Kind]++
				all++
			}
		}
	}
	for k, n := range count {
		t.Logf("%-10s %.1f %%", Kind(k), percent(n, all))
		assert.GreaterOrEqual(t, percent(n, all), float64(minShare)+0.2, "%s", Kind(k))
	}
}

func TestOperationsAndAnswersSurviveTheirWay(t *testing.T) {
	for _, op := range Sequence(1, 1) {
		var got Op
		b := make([]byte, opBytes)
		op.put(b)
		got.get(b)
		assert.Equal(t, op, got)
	}
	want := Result{Code: -22, FD: -1, Target: targetNode | targetTrial, V: [4]uint64{1, 2, 1 << 63, 4}}
	var got Result
	b := make([]byte, resultSize)
	want.put(b)
	got.get(b)
	assert.Equal(t, want, got)
}

// answersFrom plays a side: every operation gets an answer by a rule.
func answersFrom(ops []Op, rule func(*Op) Result) []Result {
	out := make([]Result, len(ops))
	for i := range ops {
		out[i] = rule(&ops[i])
	}
	return out
}

// planted is a defect: a dup after a close after an ALLOC.
var planted = []Kind{KindAlloc, KindClose, KindDup}

// has reports whether operations of these kinds follow each other, with anything between them.
func has(ops []Op, want []Kind) bool {
	for _, op := range ops {
		if len(want) > 0 && op.Kind == want[0] {
			want = want[1:]
		}
	}
	return len(want) == 0
}

func TestShrinkingLeavesWhatTheFailureNeeds(t *testing.T) {
	tried := 0
	for n := range uint64(20) {
		ops := Sequence(1, n)
		if !has(ops, planted) {
			continue
		}
		tried++
		var found []Kind
		for _, op := range shrink(ops, 1000, func(some []Op) bool { return has(some, planted) }) {
			found = append(found, op.Kind)
		}
		require.Equal(t, append(slices.Clone(planted), KindEnd, KindEnd), found, "sequence %d", n)
	}
	require.NotZero(t, tried)
}

func TestShrinkingEndsAtItsLimit(t *testing.T) {
	asked := 0
	shrink(Sequence(1, 6), 7, func([]Op) bool { asked++; return false })
	assert.Equal(t, 7, asked)
}

func TestAnyDifferenceIsSeen(t *testing.T) {
	ops := Sequence(1, 2)
	same := answersFrom(ops, func(*Op) Result { return Result{Code: 0, FD: 3} })
	require.Nil(t, judge(ops, same, same, excuses(AsMemfd, true), nil))
	changes := map[string]func(*Result){
		"errno":      func(r *Result) { r.Code = -int64(unix.EIO) },
		"descriptor": func(r *Result) { r.FD = 4 },
		"target":     func(r *Result) { r.Target = targetBuffer },
		"bytes":      func(r *Result) { r.V[0] = 1 },
		"flags":      func(r *Result) { r.V[3] = 1 },
	}
	for name, change := range changes {
		other := slices.Clone(same)
		change(&other[9])
		d := judge(ops, same, other, excuses(AsMemfd, true), nil)
		require.NotNil(t, d, name)
		assert.Equal(t, 9, d.At, name)
	}
}

func TestExcusesAreAsNarrowAsTheirRows(t *testing.T) {
	buffer := func(code int64) Result { return Result{Code: code, FD: -1, Target: targetBuffer} }
	node := func(code int64) Result { return Result{Code: code, FD: -1, Target: targetNode} }
	einval, eperm := -int64(unix.EINVAL), -int64(unix.EPERM)
	rows := []struct {
		name        string
		op          Op
		left, right Result
		want        string
	}{
		{"seeking where a kernel can", Op{Kind: KindSeek, A: [5]uint64{0, unix.SEEK_END}}, buffer(einval), buffer(4096), ""},
		{"seeking to a place", Op{Kind: KindSeek, A: [5]uint64{5, unix.SEEK_SET}}, buffer(einval), buffer(5), "B1"},
		{"seeking on a node", Op{Kind: KindSeek, A: [5]uint64{5, unix.SEEK_SET}}, node(einval), node(5), ""},
		{"another errno than the row's", Op{Kind: KindSeek, A: [5]uint64{5, unix.SEEK_SET}}, buffer(-int64(unix.ESPIPE)), buffer(5), ""},
		{"reading", Op{Kind: KindFile, Sub: fileRead, A: [5]uint64{8}}, buffer(einval), buffer(8), "B2"},
		{"reading a node", Op{Kind: KindFile, Sub: fileRead, A: [5]uint64{8}}, node(einval), node(8), ""},
		{"reading nothing of a node", Op{Kind: KindFile, Sub: fileRead}, node(einval), node(0), "N6"},
		{"a seal refused", Op{Kind: KindFile, Sub: fileAddSeals}, buffer(einval), buffer(eperm), "B15"},
		{"a seal taken", Op{Kind: KindFile, Sub: fileAddSeals}, buffer(einval), buffer(0), ""},
		{"a shared mapping inside", Op{Kind: KindMap, A: [5]uint64{4096, 0, 3, unix.MAP_SHARED}},
			Result{Code: einval, FD: -1, Target: targetBuffer, V: [4]uint64{4096}}, Result{FD: -1, Target: targetBuffer, V: [4]uint64{4096}}, ""},
		{"a mapping beyond the end", Op{Kind: KindMap, A: [5]uint64{8192, 0, 3, unix.MAP_SHARED}},
			Result{Code: einval, FD: -1, Target: targetBuffer, V: [4]uint64{4096}}, Result{FD: -1, Target: targetBuffer, V: [4]uint64{4096}}, "B6"},
		{"an ALLOC that a kernel refuses", Op{Kind: KindAlloc, A: [5]uint64{allocCmd: cmdAlloc}}, node(einval), node(0), ""},
		{"the same with an argument that can't be written", Op{Kind: KindAlloc, Ptr: ptrRO, A: [5]uint64{allocCmd: cmdAlloc}}, node(einval), node(0), ""},
		{"an unknown number with a bad pointer", Op{Kind: KindForeign, Ptr: ptrNull, A: [5]uint64{command(dirWrite, 'X', 7, 8)}},
			node(einval), node(-int64(unix.EFAULT)), "N3"},
		{"the same without an argument", Op{Kind: KindForeign, Ptr: ptrNull, A: [5]uint64{command(0, 'X', 7, 8)}},
			node(einval), node(-int64(unix.EFAULT)), ""},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, excuseFor(&r.op, &r.left, &r.right, excuses(AsMemfd, false)), r.name)
	}
}

func TestARunThatProvesTooLittleFails(t *testing.T) {
	s := newStats()
	rules := excuses(AsMemfd, false)
	ops := Sequence(1, 1)
	s.add(ops, answersFrom(ops, func(*Op) Result { return Result{Code: -int64(unix.EINVAL), FD: -1} }))
	unmet := strings.Join(s.Unmet(rules), "\n")
	assert.Contains(t, unmet, `refusal "ALLOC EMFILE": met 0 times, not 20`)
	assert.Contains(t, unmet, "excuse B6: never needed")

	for k := range s.Kinds {
		s.Kinds[k] = 100
	}
	s.Ops = 100 * kinds
	s.Kinds[KindSync] = 2 * s.Ops / 100
	for _, row := range required {
		s.Rows[row] = minRow
	}
	for _, rule := range rules {
		s.Excused[rule.row] = 1
	}
	assert.Equal(t, []string{`operation "sync": 38 of 1900, below 3 %`}, s.Unmet(rules))
	s.Kinds[KindSync] = 100
	assert.Empty(t, s.Unmet(rules))
}

func TestRefusalsAreNamedByTheFirstCheckThatFails(t *testing.T) {
	einval := Result{Code: -int64(unix.EINVAL), Target: targetNode}
	alloc := func(length, fd, flags, heap, cmd uint64) Op {
		return Op{Kind: KindAlloc, A: [5]uint64{length, fd | flags<<32, heap, cmd}}
	}
	rows := []struct {
		op   Op
		want string
	}{
		{alloc(0, 1, 1<<31, 1, command(3, 'H', 1, 24)), "ALLOC EINVAL number"},
		{alloc(0, 1, 1<<31, 1, cmdAlloc), "ALLOC EINVAL fd"},
		{alloc(0, 0, 1<<31, 1, cmdAlloc), "ALLOC EINVAL fd_flags"},
		{alloc(0, 0, 0, 1, cmdAlloc), "ALLOC EINVAL heap_flags"},
		{alloc(0, 0, 0, 0, cmdAlloc), "ALLOC EINVAL length 0"},
		{alloc(^uint64(0), 0, 0, 0, cmdAlloc), "ALLOC EINVAL length wraps"},
		{alloc(0, 0, 0, 1, command(3, 'H', 0, 16)), "ALLOC EINVAL length 0"},
	}
	for _, r := range rows {
		assert.Equal(t, r.want, rowOf(&r.op, &einval), r.op.String())
	}
}

func TestAListingShowsBothAnswers(t *testing.T) {
	ops := Sequence(1, 1)[:3]
	left := answersFrom(ops, func(*Op) Result { return Result{FD: 3} })
	right := slices.Clone(left)
	right[2] = Result{Code: -int64(unix.ENOMEM), FD: -1}
	text := Listing(ops, left, right, judge(ops, left, right, nil, nil))
	assert.Contains(t, text, `r0 = open "system" O_RDWR|O_CLOEXEC`)
	assert.Contains(t, text, "<-- left 0 fd 3; right ENOMEM (on nothing)")
}

func TestTheCommandLineIsChecked(t *testing.T) {
	rows := []struct {
		args []string
		want string
	}{
		{nil, "no COMMAND"},
		{[]string{"--as", "file", "--", "x"}, "neither memfd, udmabuf nor fuse"},
		{[]string{"--keep", "1,2", "--", "x"}, "only with --sequence"},
		{[]string{"--sequence", "3", "--keep", "1,b", "--", "x"}, "numbers with commas"},
	}
	for _, r := range rows {
		var said bytes.Buffer
		_, err := parse(r.args, &said)
		assert.ErrorContains(t, err, r.want, "%q", r.args)
	}
	r, err := parse([]string{"--sequence", "3", "--keep", "1,4", "--", "show", "heaps"}, &bytes.Buffer{})
	require.NoError(t, err)
	assert.Equal(t, []string{"show", "heaps"}, r.pair.prefix)
	assert.Len(t, r.kept(Sequence(1, 3)), 4)
}

func TestASideThatCannotStartIsNamed(t *testing.T) {
	r := &runner{pair: pair{dir: "/dev/dma_heap", prefix: []string{"/no/such/program"}}, stats: newStats(), out: &bytes.Buffer{}, maxFound: 1, only: -1}
	r.pair.left = &side{in: nopCloser{}, cmd: ended(t)}
	status, err := r.run()
	assert.Equal(t, exitBroken, status)
	assert.ErrorContains(t, err, "right side: fork/exec /no/such/program")
}
