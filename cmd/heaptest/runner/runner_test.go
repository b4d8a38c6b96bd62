package runner

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// playRow makes this test's program a row, by the ID that is its last argument.
const playRow = "HEAPTEST_PLAY_ROW"

func TestMain(m *testing.M) {
	if os.Getenv(playRow) != "" {
		ids := os.Args[1:]
		if len(ids) == 1 {
			os.Exit(play(ids[0]))
		}
		for _, id := range ids {
			if strings.HasPrefix(id, "plain") {
				answer(fmt.Sprintf("{\"row\":%q,\"answer\":\"one of %d\"}\n", id, len(ids)))
			} else if status := play(id); status != 0 {
				os.Exit(status)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func answer(text string) {
	_, _ = unix.Write(3, []byte(text))
}

func play(id string) int {
	switch id {
	case "answers":
		answer("EINVAL")
	case "cannot-ask":
		answer("set-up: open system: ENOENT")
		return StatusSetUp
	case "hangs":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		time.Sleep(time.Hour)
	case "hangs-in-a-child":
		child, err := os.StartProcess("/proc/self/exe", []string{"x", "hangs"}, &os.ProcAttr{})
		if err == nil {
			_, _ = child.Wait()
		}
	case "panics":
		panic("a row's own fault")
	case "is-killed":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour)
	case "plain-1", "plain-2", "plain-3":
		answer("alone")
	case "says-nothing":
	case "answers-and-fails":
		answer("0")
		return 1
	case "poisons":
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{})
		_ = unix.Close(0)
		answer("poisoned")
	case "looks":
		var l unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
		_, err := unix.FcntlInt(0, unix.F_GETFD, 0)
		answer(fmt.Sprint(l.Cur > 0, err == nil))
	}
	return 0
}

// run tries rows by this test's own program.
func run(t *testing.T, limit time.Duration, ids ...string) map[string]Outcome {
	t.Helper()
	r := Runner{Command: []string{"/proc/self/exe"}, Env: []string{playRow + "=1"}, Limit: limit, Workers: 2}
	got := map[string]Outcome{}
	var order []string
	r.Run(context.Background(), ids, func(id string, o Outcome) {
		got[id] = o
		order = append(order, id)
	})
	require.Equal(t, ids, order, "outcomes come in the order of the rows")
	return got
}

func TestRowThatHangsIsToldAndOthersGoOn(t *testing.T) {
	got := run(t, 2*time.Second, "hangs", "answers", "hangs-in-a-child", "looks")
	assert.Equal(t, Outcome{Hung, "no answer within 2s"}, got["hangs"])
	assert.Equal(t, Outcome{Hung, "no answer within 2s"}, got["hangs-in-a-child"])
	assert.Equal(t, Outcome{Answered, "EINVAL"}, got["answers"])
	assert.Equal(t, Outcome{Answered, "true true"}, got["looks"])
}

func TestRowThatEndsWithoutAnAnswerHasCrashed(t *testing.T) {
	rows := []struct{ id, text string }{
		{"panics", "a row's own fault"},
		{"is-killed", "signal: killed"},
		{"says-nothing", "exit status 0"},
		{"answers-and-fails", "exit status 1"},
	}
	for _, r := range rows {
		got := run(t, time.Minute, r.id)
		assert.Equal(t, Crashed, got[r.id].Kind, r.id)
		assert.Contains(t, got[r.id].Answer, r.text, r.id)
	}
}

func TestRowThatCouldNotAskIsNoAnswer(t *testing.T) {
	assert.Equal(t, Outcome{SetUp, "set-up: open system: ENOENT"}, run(t, time.Minute, "cannot-ask")["cannot-ask"])
}

func TestRowsDoNotPoisonEachOther(t *testing.T) {
	r := run(t, time.Minute, "poisons", "looks", "answers")
	assert.Equal(t, "poisoned", r["poisons"].Answer)
	assert.Equal(t, "true true", r["looks"].Answer)
	assert.Equal(t, "EINVAL", r["answers"].Answer)
}

func TestProgramThatIsNotThereIsNoAnswer(t *testing.T) {
	r := Runner{Command: []string{"/nowhere"}, Limit: time.Minute}
	r.Run(context.Background(), []string{"x"}, func(_ string, o Outcome) {
		assert.Equal(t, SetUp, o.Kind)
		assert.Contains(t, o.Answer, "/nowhere")
	})
}

func TestInterruptedRunEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := Runner{Command: []string{"/proc/self/exe"}, Env: []string{playRow + "=1"}, Limit: time.Hour}
	r.Run(ctx, []string{"hangs"}, func(_ string, o Outcome) {
		assert.Equal(t, Outcome{Hung, "interrupted"}, o)
	})
}

func TestPlainRowsShareAProcess(t *testing.T) {
	r := Runner{
		Command: []string{"/proc/self/exe"}, Env: []string{playRow + "=1"}, Limit: 20 * time.Second, Workers: 2,
		Plain: func(id string) bool { return id != "looks" },
	}
	try := func(ids ...string) (all []Outcome) {
		r.Run(context.Background(), ids, func(_ string, o Outcome) { all = append(all, o) })
		return all
	}
	one, two, three := Outcome{Answered, "alone"}, Outcome{Answered, "one of 2"}, Outcome{Answered, "one of 3"}
	assert.Equal(t, []Outcome{one}, try("plain-1"))
	assert.Equal(t, []Outcome{three, three, three}, try("plain-1", "plain-2", "plain-3"))
	looks := Outcome{Answered, "true true"}
	assert.Equal(t, []Outcome{two, two, looks, one}, try("plain-1", "plain-2", "looks", "plain-3"), "one that is not plain has its own")

	many := make([]string, maxTogether+1)
	for i := range many {
		many[i] = "plain-1"
	}
	all := try(many...)
	assert.Equal(t, fmt.Sprintf("one of %d", maxTogether), all[0].Answer)
	assert.Equal(t, one, all[maxTogether])

	all = try("plain-1", "panics", "plain-2")
	assert.Equal(t, three, all[0])
	assert.Equal(t, Crashed, all[1].Kind, "found out by itself")
	assert.Equal(t, one, all[2], "those behind it are asked again")
}
