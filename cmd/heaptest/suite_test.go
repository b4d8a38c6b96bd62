package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFlagsThatAreNone(t *testing.T) {
	rows := []struct {
		args []string
		want string
	}{
		{[]string{"report-all"}, "report-all"},
		{[]string{"--as"}, "as"},
		{[]string{"--limit", "long"}, "long"},
	}
	for _, r := range rows {
		_, err := parse(r.args)
		assert.ErrorContains(t, err, r.want, r.args)
	}
}

func TestPickedRows(t *testing.T) {
	_, err := pick("(")
	assert.ErrorContains(t, err, "(")
	_, err = pick("^no-such-row$")
	assert.ErrorContains(t, err, "no-such-row")

	all, err := pick("")
	require.NoError(t, err)
	assert.Greater(t, len(all), 500)
	one, err := pick("^alloc-len-0$")
	require.NoError(t, err)
	assert.Len(t, one, 1)
}

func TestHeapThatIsNotThereIsNamed(t *testing.T) {
	_, _, err := newJudge(options{dir: "/nowhere", heap: "system", as: "kernel"})
	assert.ErrorContains(t, err, "/nowhere/system")
	_, _, err = newJudge(options{dir: "/nowhere", heap: "system", as: "ion"})
	assert.ErrorContains(t, err, `"ion"`)
}
