// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// DecodeConfig reads a step's configuration strictly into a struct. Its errors wrap ErrConfig.
func DecodeConfig(config json.RawMessage, v any) error {
	if err := DecodeWords(config, dataset.MaxStepConfig, v); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// DecodeWords is envelope.DecodeStrict for what people write: what is wrong is said in words of JSON, with its place and what would
// be right, and never in words of this program.
func DecodeWords(b []byte, limit int, v any) error {
	err := envelope.DecodeStrict(b, limit, v)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return wrongKind(wrong, reflect.TypeOf(v))
	}
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		line, column := position(b, wrong.Offset)
		return fmt.Errorf("line %d, column %d: not JSON: %w", line, column, wrong)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("not JSON: it ends too early")
	}
	if json.Valid(b) {
		if said := wrongMember(b, reflect.TypeOf(v), ""); said != nil {
			return said
		}
	}
	return err
}

// position is where a byte stands, counted from 1.
func position(b []byte, offset int64) (line, column int) {
	b = b[:max(0, min(offset-1, int64(len(b))))]
	return 1 + bytes.Count(b, []byte{'\n'}), len(b) - bytes.LastIndexByte(b, '\n')
}

// wrongKind says what a member must be and is not.
func wrongKind(wrong *json.UnmarshalTypeError, root reflect.Type) error {
	path, want := follow(root, strings.Split(wrong.Field, "."))
	if want == nil {
		want = wrong.Type
	}
	at := strings.Join(path, ".")
	if at == "" {
		at = "the whole"
	}
	got, _, _ := strings.Cut(wrong.Value, " ")
	if said, ok := kinds[got]; ok {
		got = said
	}
	if base(want) != base(wrong.Type) {
		return fmt.Errorf("%s: want %s, and %s stands in it", at, describe(want), got)
	}
	return fmt.Errorf("%s: want %s, got %s", at, describe(want), got)
}

// kinds are encoding/json's names of values, in ours.
var kinds = map[string]string{"string": "a text", "number": "a number", "bool": "true or false", "array": "a list", "object": "an object"}

// follow is the path of members in a type, and what it leads to: nil if nowhere. The names of structs that others embed, which
// encoding/json puts between, are left out.
func follow(t reflect.Type, names []string) (path []string, at reflect.Type) {
	for _, name := range names {
		known := membersOf(inner(t))
		if i := slices.IndexFunc(known, func(m configMember) bool { return m.name == name }); i >= 0 {
			path, t, at = append(path, name), known[i].kind, known[i].kind
		}
	}
	return path, at
}

// base is a type without pointers, inner one without lists and maps too.
func base(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func inner(t reflect.Type) reflect.Type {
	for t = base(t); !raw(t) && (t.Kind() == reflect.Slice || t.Kind() == reflect.Array || t.Kind() == reflect.Map); {
		t = base(t.Elem())
	}
	return t
}

// raw reports whether values of a type read themselves.
func raw(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// configMember is a member of the objects that a struct is read from.
type configMember struct {
	name string
	kind reflect.Type
}

func membersOf(t reflect.Type) (out []configMember) {
	if t.Kind() != reflect.Struct || raw(t) {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			out = append(out, membersOf(base(f.Type))...)
		case f.IsExported() && name != "-":
			out = append(out, configMember{cmp.Or(name, f.Name), f.Type})
		}
	}
	return out
}

// describe says what a value of a type looks like.
func describe(t reflect.Type) string {
	t = base(t)
	switch {
	case t == reflect.TypeFor[json.Number]():
		return "a number"
	case raw(t):
		return "a value"
	}
	switch t.Kind() {
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list of " + several(t.Elem())
	case reflect.Map:
		return "an object of " + several(t.Elem())
	case reflect.Struct:
		return "an object " + outline(t)
	}
	return "a whole number"
}

// several says what several of them look like.
func several(t reflect.Type) string {
	switch said := describe(t); {
	case said == "true or false":
		return said
	case base(t).Kind() == reflect.Struct && !raw(base(t)):
		return "objects " + outline(base(t))
	case base(t).Kind() == reflect.Slice && !raw(base(t)):
		return "lists of " + several(base(t).Elem())
	default:
		return strings.TrimPrefix(said, "a ") + "s"
	}
}

// outline is an object with its members' names.
func outline(t reflect.Type) string {
	const most = 4
	var names []string
	for _, m := range membersOf(t) {
		names = append(names, fmt.Sprintf("%q: …", m.name))
	}
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return "{" + strings.Join(names, ", ") + "}"
}

// wrongMember looks for the first member, by its name, that a type does not have, or whose value does not take itself.
func wrongMember(b json.RawMessage, t reflect.Type, path string) error {
	if t = base(t); raw(t) || t == reflect.TypeFor[json.Number]() {
		if err := json.Unmarshal(b, reflect.New(t).Interface()); err != nil {
			return wrongValue(path, t, err)
		}
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		var list []json.RawMessage
		if json.Unmarshal(b, &list) != nil {
			return nil
		}
		for _, e := range list {
			if err := wrongMember(e, t.Elem(), path); err != nil {
				return err
			}
		}
	case reflect.Map, reflect.Struct:
		var object map[string]json.RawMessage
		if json.Unmarshal(b, &object) != nil {
			return nil
		}
		return wrongIn(object, t, path)
	}
	return nil
}

func wrongValue(path string, t reflect.Type, err error) error {
	if t == reflect.TypeFor[json.Number]() {
		return fmt.Errorf("%s: want %s", path, describe(t))
	}
	return fmt.Errorf("%s: %w", path, err)
}

func wrongIn(object map[string]json.RawMessage, t reflect.Type, path string) error {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	known := membersOf(t)
	for _, name := range names {
		kind, below := t, strings.TrimPrefix(path+"."+name, ".")
		if t.Kind() == reflect.Map {
			kind = t.Elem()
		} else {
			i := slices.IndexFunc(known, func(m configMember) bool { return strings.EqualFold(m.name, name) })
			if i < 0 {
				return noMember(path, name, known)
			}
			kind = known[i].kind
		}
		if err := wrongMember(object[name], kind, below); err != nil {
			return err
		}
	}
	return nil
}

func noMember(path, name string, known []configMember) error {
	all := make([]string, 0, len(known))
	for _, m := range known {
		all = append(all, m.name)
	}
	if path != "" {
		path += ": "
	}
	return fmt.Errorf("%sthere is no member %q; there are %s", path, name, strings.Join(all, ", "))
}
