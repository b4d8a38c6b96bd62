package board

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(JSONSchema))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("schema.json", doc))
	schema, err := c.Compile("schema.json")
	require.NoError(t, err)
	return schema
}

// valid judges a board file by the schema alone, as an editor does.
func valid(t *testing.T, schema *jsonschema.Schema, text string) error {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	require.NoError(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	return schema.Validate(doc)
}

// With HEAPFS_WRITE_SCHEMA=1 it writes the file that is committed.
func TestTheCommittedSchemaIsThatOfTheTypes(t *testing.T) {
	made, err := MakeJSONSchema()
	require.NoError(t, err)
	if os.Getenv("HEAPFS_WRITE_SCHEMA") != "" {
		require.NoError(t, os.WriteFile("schema.json", made, 0o644))
		return
	}
	require.Equal(t, string(made), string(JSONSchema), "run HEAPFS_WRITE_SCHEMA=1 go test ./devices/board -run Schema, and commit devices/board/schema.json")
}

// object is a mapping of the schema.
type object struct {
	Properties map[string]*object
	Items      *object
	Required   []string
}

// The decoder has keys of its own: they are told by its messages about an unknown key, and those that are missing.
func TestTheSchemaHasTheKeysOfTheDecoder(t *testing.T) {
	var root object
	require.NoError(t, json.Unmarshal(JSONSchema, &root))
	for path, text := range map[string]string{
		"":                                  "zz: 1\n",
		"memory":                            "memory: [{zz: 1}]\n",
		"memory.reserved":                   "memory: [{reserved: [{zz: 1}]}]\n",
		"pools":                             "pools: [{zz: 1}]\n",
		"heaps":                             "heaps: [{zz: 1}]\n",
		"iommus":                            "iommus: [{zz: 1}]\n",
		"iommus.aperture":                   "iommus: [{aperture: {zz: 1}}]\n",
		"devices":                           "devices: [{zz: 1}]\n",
		"uapi":                              "uapi: {zz: 1}\n",
		"devices.constraints":               "devices: [{constraints: {zz: 1}}]\n",
		"devices.constraints.addressRanges": "devices: [{constraints: {addressRanges: [{zz: 1}]}}]\n",
	} {
		at := &root
		for key := range strings.SplitSeq(path, ".") {
			if key != "" {
				at = at.Properties[key]
			}
			if at.Items != nil {
				at = at.Items
			}
		}
		_, err := Parse("f", []byte(text))
		require.Error(t, err)
		var known, required []string
		place := strings.ReplaceAll(path, ".", "[0].")
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if _, list, ok := strings.Cut(line, `unknown key "zz": known keys are `); ok {
				known = strings.Split(list, ", ")
			}
			place, key, ok := strings.Cut(strings.TrimSuffix(line, `"`), `missing key "`)
			if ok && innermost(place) == path {
				required = append(required, key)
			}
		}
		var keys []string
		for key := range at.Properties {
			keys = append(keys, key)
		}
		assert.ElementsMatch(t, known, keys, "keys of %s", place)
		assert.ElementsMatch(t, required, at.Required, "required keys of %s", place)
	}
}

// innermost gives the path of a message "f:1:1: pools[0]: " without position and indices.
func innermost(message string) string {
	parts := strings.SplitN(strings.TrimSuffix(message, ": "), ": ", 2)
	if len(parts) < 2 {
		return ""
	}
	return strings.NewReplacer("[0]", "").Replace(parts[1])
}

func TestTheSchemaTakesGoodBoardsAndRefusesBadOnes(t *testing.T) {
	schema := compileSchema(t)
	for _, text := range []string{
		head + "pols: []\n",
		head + "pools: [{name: p}]\n",
		head + "pools: [{name: p, kind: x}]\n",
		head + "pools: [{name: p, kind: scatter, size: 1GB}]\n",
		head + "pools: [{name: p, kind: scatter, size: -1}]\n",
		head + "heaps: [{name: a/b, pool: p}]\n",
		head + "heaps: [{name: \"\", pool: p}]\n",
		head + "devices: [{name: d, constraints: {protected: maybe}}]\n",
		head + "devices: {name: d}\n",
		"name: b\n",
		"apiVersion: heapfs/v2\nname: b\n",
	} {
		assert.Error(t, valid(t, schema, text), text)
	}
	texts := []string{everything, head + "pools:\nheaps:\n", strings.Replace(head, APIVersion, draftVersion, 1)}
	for _, name := range Builtins() {
		text, err := Source(name)
		require.NoError(t, err)
		texts = append(texts, string(text))
	}
	for _, text := range texts {
		assert.NoError(t, valid(t, schema, text), text)
	}
}
