package board

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStringsThatLookLikeYAMLSurviveMarshalling(t *testing.T) {
	for _, s := range []string{
		"null", "~", "true", "yes", "no", "on", "y", "1", "-1", "1e5", "0x10", "0o17", "017", "1_000", ".5", ".inf", ".nan", "2001-01-01", "12:30:45",
		"- a", "-", "--", "---", "...", "a: b", "a:", ":", ": a", "a #b", "# x", "#", " lead", "trail ", " ", "  ", "'", "''", "\"", "it's", "say \"x\"", `\`, `\n`, `a\`,
		"@x", "`x`", "%a", "!t", "!", "&a", "*a", "{", "}", "{}", "[", "]", "[]", "|", ">", ">-", "?", "? a", "=", "<<", ",", "a,b", "é", "日本", "4KiB", "0666",
		"a b", "a  b", "'a' b", "\"a\" b", "a 'b", "a\\tb", "1 ", "x: 'y", "- 'y", "=1", "1:2", "0:0", "<", "$", "a]", "a}", "[a", "{a", "a, b", "-a", "?a", ":a",
	} {
		b := &Board{APIVersion: APIVersion, Name: "b", Description: s}
		b.Devices = []Device{{Name: "d", Compatible: []string{s}}}
		if b.Validate() != nil {
			t.Fatalf("%q is not for this test", s)
		}
		roundTrip(t, b, s)
	}
	for _, s := range []string{"two\nlines", "end\n", "\nstart", "a\n\n\nb", "a\n  b\n c", "\n", "\n\n", "tab\tinside", "\ttab", "a\n\n", " a\nb", "# a\nb", "a: b\nc", "a \nb", "- a\n- b\n", "---\na"} {
		roundTrip(t, &Board{APIVersion: APIVersion, Name: "b", Description: s}, s)
	}
}

func roundTrip(t *testing.T, b *Board, s string) {
	t.Helper()
	text, err := b.Marshal()
	require.NoError(t, err)
	again, err := Parse("again.yaml", text)
	if assert.NoError(t, err, fmt.Sprintf("%q\n%s", s, text)) {
		assert.Equal(t, b, again, fmt.Sprintf("%q\n%s", s, text))
	}
}

func TestNamesThatLookLikeYAMLSurviveMarshalling(t *testing.T) {
	for _, s := range []string{"null", "~", "true", "1", "1e5", "0x10", "- a", "---", "a: b", "a #b", "#", " a", "a ", "'", "\"", `\`, "@x", "&a", "*a", "{", "[", "|", ">", "?", "<<", "=", "a,b", "-", ":", ",", "%", "`", "é"} {
		b := parse(t, head+cma+"heaps: [{name: h, pool: cma}]\ndevices: [{name: d}]\n")
		b.Name = s
		b.Pools[0].Name, b.Heaps[0].Pool = s, s
		b.Heaps[0].Aliases = []string{s}
		b.Devices[0].Heap = s
		b.Policy = map[string]string{s: s}
		require.NoError(t, b.Validate(), s)
		roundTrip(t, b, s)
	}
}
