// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// maxWords bounds each text of a reason, in bytes: terms and rules may hold lists of any length.
const maxWords = 2048

// reader reads an object that a query gave; whatever is missing, extra or of another type is an error.
type reader struct {
	m    map[string]any
	seen int
	err  error
}

func read(v any) *reader {
	m, ok := v.(map[string]any)
	if !ok {
		return &reader{err: fmt.Errorf("%w: not an object", ErrResult)}
	}
	return &reader{m: m}
}

func take[T any](f *reader, name string) (v T) {
	v, ok := f.m[name].(T)
	if !ok && f.err == nil {
		f.err = fmt.Errorf("%w: %s is missing or of another type", ErrResult, name)
	}
	f.seen++
	return v
}

func (f *reader) integer(name string) int64 {
	n, err := take[json.Number](f, name).Int64()
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("%w: %s is no integer", ErrResult, name)
	}
	return n
}

func (f *reader) texts(name string) []string {
	out, ok := texts(take[[]any](f, name))
	if !ok && f.err == nil {
		f.err = fmt.Errorf("%w: %s is no list of texts", ErrResult, name)
	}
	return out
}

func (f *reader) digests(name string) []envelope.Digest {
	out := []envelope.Digest{}
	for _, s := range f.texts(name) {
		d, err := envelope.ParseDigest(s)
		if err != nil && f.err == nil {
			f.err = fmt.Errorf("%w: %s holds no digest", ErrResult, name)
		}
		out = append(out, d)
	}
	return out
}

// texts is the list as strings, if all its entries are.
func texts(list []any) (out []string, ok bool) {
	out = make([]string, 0, len(list))
	for _, x := range list {
		s, ok := x.(string)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

// done reports the first error, or that there was more than was read.
func (f *reader) done() error {
	if f.err == nil && f.seen != len(f.m) {
		f.err = fmt.Errorf("%w: unknown members", ErrResult)
	}
	return f.err
}

// obligations decodes all but the leaves.
func obligations(v any) (*grant.Obligations, error) {
	f := read(v)
	o := &grant.Obligations{
		Mode: take[string](f, "mode"), Epochs: int(f.integer("epochs")), Outputs: f.texts("outputs"), MaxOutput: f.integer("maxOutput"),
		Logs: take[string](f, "logs"), Privacy: f.integer("privacy"), Allowance: f.integer("allowance"), Expires: f.integer("expires"),
		Transforms: f.digests("transforms"),
	}
	slices.Sort(o.Outputs)
	o.Outputs = slices.Compact(o.Outputs)
	if err := f.done(); err != nil {
		return nil, err
	}
	return o, nil
}

// reasonList decodes a set of reasons.
func reasonList(v any) ([]grant.Reason, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("%w: reasons are no list", ErrResult)
	}
	out := make([]grant.Reason, 0, len(list))
	for _, x := range list {
		f := read(x)
		r := grant.Reason{
			Rule: words(take[string](f, "rule")), Message: words(take[string](f, "message")), Satisfy: words(take[string](f, "satisfy")),
		}
		if err := f.done(); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// words cuts a text that is too long, between characters.
func words(s string) string {
	if len(s) <= maxWords {
		return s
	}
	s = s[:maxWords]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return strings.TrimSpace(s) + " …"
}
