package board

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/heapfs/heapfs/devices"
)

// JSONSchema is the schema of board files for editors, as JSON Schema 2020-12. It describes the form: what `heapfs board check` says about
// the meaning (sums, names that exist) goes beyond what a schema can. It is what MakeJSONSchema makes.
//
//go:embed schema.json
var JSONSchema []byte

// MakeJSONSchema makes the schema of the Go types: their keys, and those that must be there.
func MakeJSONSchema() ([]byte, error) {
	root := schemaOf(reflect.TypeFor[Board](), "")
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://github.com/heapfs/heapfs/devices/board/schema.json"
	root["title"] = "heapfs board"
	root["properties"].(map[string]any)["apiVersion"] = map[string]any{
		"enum": []string{APIVersion, draftVersion}, "description": descriptions["apiVersion"],
	}
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("board schema: %w", err)
	}
	return append(out, '\n'), nil
}

const (
	// bytesForm is what devices.ParseBytes reads.
	bytesForm   = `(0|[1-9][0-9]*)(TiB|GiB|MiB|KiB|T|G|M|K)?|0x[0-9a-fA-F]+`
	namePattern = `^[^/!]+$`
)

// schemaOf describes a type at a path of the file without indices: "pools.kind".
func schemaOf(t reflect.Type, path string) map[string]any {
	s := map[string]any{}
	switch t {
	case reflect.TypeFor[devices.Bytes](), reflect.TypeFor[devices.Address]():
		s["anyOf"] = []any{map[string]any{"type": "integer", "minimum": 0}, map[string]any{"type": "string", "pattern": "^(" + bytesForm + ")$"}}
	case reflect.TypeFor[devices.Offset]():
		s["anyOf"] = []any{map[string]any{"type": "integer"}, map[string]any{"type": "string", "pattern": "^-?(" + bytesForm + ")$"}}
	case reflect.TypeFor[Mode]():
		s["anyOf"] = []any{map[string]any{"type": "string", "pattern": "^(0o)?[0-7]{1,4}$"}, map[string]any{"type": "integer", "minimum": 0}}
	case reflect.TypeFor[Pages]():
		s["enum"] = []string{Pages4K.String(), Pages2M.String()}
	case reflect.TypeFor[Kind]():
		s["enum"] = Kinds()
	case reflect.TypeFor[Export]():
		s["enum"] = Exports()
	case reflect.TypeFor[devices.Coherency]():
		s["enum"] = devices.Coherencies()
	case reflect.TypeFor[devices.Protected]():
		s["enum"] = devices.Protecteds()
	case reflect.TypeFor[devices.DriverClass]():
		s["enum"] = devices.DriverClasses()
	case reflect.TypeFor[Flags]():
		s["anyOf"] = []any{map[string]any{"type": "integer", "minimum": 0}, map[string]any{"type": "string", "pattern": "^0x[0-9a-fA-F]+$"}}
	default:
		s = schemaOfKind(t, path)
	}
	if d := descriptions[path]; d != "" {
		s["description"] = d
	}
	return s
}

func schemaOfKind(t reflect.Type, path string) map[string]any {
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), path)
	case reflect.String:
		s := map[string]any{"type": "string"}
		switch {
		case path == "heaps.owner":
			s["type"] = []string{"string", "integer"}
		case path == "name" || strings.HasSuffix(path, ".name"):
			s["pattern"], s["minLength"], s["maxLength"] = namePattern, 1, maxName
		}
		return s
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Uint32:
		return map[string]any{"type": "integer", "minimum": 0, "maximum": 1<<32 - 1}
	case reflect.Slice:
		// An empty value is an empty list.
		return map[string]any{"type": []string{"array", "null"}, "items": schemaOf(t.Elem(), path+"[]"), "maxItems": maxEntries}
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": map[string]any{"type": "string"}, "maxProperties": maxEntries}
	case reflect.Struct:
		return schemaOfStruct(t, strings.TrimSuffix(path, "[]"))
	}
	panic(fmt.Sprintf("board: no schema for %v at %s", t, path)) // a test makes the schema
}

func schemaOfStruct(t reflect.Type, path string) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		key, options, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		at := key
		if path != "" {
			at = path + "." + key
		}
		properties[key] = schemaOf(t.Field(i).Type, at)
		if options == "" {
			required = append(required, key)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}
