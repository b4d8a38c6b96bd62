package mutants

import (
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// least keeps the table, and what each run takes of it, from shrinking unnoticed.
const least = 15

func TestTheEditsFitTheSources(t *testing.T) {
	require.GreaterOrEqual(t, len(All), least)
	require.GreaterOrEqual(t, len(Half()), least)
	texts, err := apply(edits, "../../..")
	require.NoError(t, err)
	texts[switchFile] = switchText
	for file, text := range texts {
		_, err := parser.ParseFile(token.NewFileSet(), file, text, 0)
		assert.NoError(t, err, file)
	}
}

func TestNamesAreThoseInTheTexts(t *testing.T) {
	assert.Contains(t, All, "fd-not-zero-is-accepted") // of unless
	assert.Contains(t, All, "extents-leak")            // of Is, among others
	assert.Contains(t, All, "buffers-never-end")       // the second of a line
	assert.Contains(t, All, "cloexec-is-lost")         // of Or with a type
	assert.NotContains(t, names([]edit{{new: "mutant.Is(name)"}}), "name")
}

func TestATextThatIsNotThereOnceIsNamed(t *testing.T) {
	for _, old := range []string{"no such text", "mutants"} { // never, and more than once
		_, err := apply([]edit{{"integration/vm/mutants/doc.go", old, ""}}, "../../..")
		assert.ErrorContains(t, err, "integration/vm/mutants/doc.go has ")
		assert.ErrorContains(t, err, "update the table of mutants")
	}
	_, err := apply([]edit{{"no/such/file.go", "a", "b"}}, "../../..")
	assert.ErrorContains(t, err, "no/such/file.go")
}
