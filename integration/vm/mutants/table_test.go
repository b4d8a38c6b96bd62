package mutants

import (
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// least keeps the table from shrinking unnoticed.
const least = 15

func TestEveryMutantFitsTheSources(t *testing.T) {
	require.GreaterOrEqual(t, len(All), least)
	names := map[string]bool{}
	for _, m := range All {
		assert.False(t, names[m.Name], "two mutants are called %q", m.Name)
		names[m.Name] = true
		texts, err := m.apply("../../..")
		if !assert.NoError(t, err) {
			continue
		}
		for file, text := range texts {
			_, err := parser.ParseFile(token.NewFileSet(), file, text, 0)
			assert.NoError(t, err, m.Name)
		}
	}
}

func TestATextThatIsNotThereOnceIsNamed(t *testing.T) {
	for _, old := range []string{"no such text", "mutants"} { // never, and more than once
		_, err := one("gone", "integration/vm/mutants/doc.go", old, "").apply("../../..")
		assert.ErrorContains(t, err, `mutant "gone": integration/vm/mutants/doc.go has `)
		assert.ErrorContains(t, err, "update the table of mutants")
	}
	_, err := one("moved", "no/such/file.go", "a", "b").apply("../../..")
	assert.ErrorContains(t, err, "no/such/file.go")
}
