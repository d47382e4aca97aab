// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gowebpki/jcs"
)

// Canonical encodes v as RFC 8785 canonical JSON. Integers must stay within ±(2⁵³-1), the range RFC 8785 keeps exact;
// larger values travel as strings.
func Canonical(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	if out, ok := sorted(b); ok {
		return out, nil
	}
	if err := refuseInexact(b); err != nil {
		return nil, err
	}
	b, err = jcs.Transform(b)
	if err != nil {
		return nil, fmt.Errorf("canonicalise: %w", err)
	}
	return b, nil
}

// refuseInexact finds integers that RFC 8785, which writes numbers as IEEE 754 doubles, would round: a rounded amount
// must not be signed.
func refuseInexact(b []byte) error {
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case c >= '0' && c <= '9':
			end := i
			for end < len(b) && bytes.IndexByte([]byte("0123456789.eE+-"), b[end]) >= 0 {
				end++
			}
			number := string(b[i:end])
			i = end - 1
			if n, err := strconv.ParseUint(number, 10, 64); err == nil && n > maxExact || errors.Is(err, strconv.ErrRange) {
				return fmt.Errorf("%w: integer %s has no exact form in canonical JSON", ErrMalformed, number)
			}
		}
	}
	return nil
}

// Decode reads a signed or hashed format. Beyond what [DecodeStrict] demands, b must be exactly the canonical encoding
// of the value it decodes to: there is one way to write each value, so absent, re-cased, reordered and re-spelled fields
// are all refused with [ErrNotCanonical].
func Decode(b []byte, limit int, v any) error {
	if err := DecodeStrict(b, limit, v); err != nil {
		return err
	}
	c, err := Canonical(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(c, b) {
		return ErrNotCanonical
	}
	return nil
}

// DecodeStrict reads JSON that people or foreign tools may have written (configuration, bundles). It refuses, in this
// order: more than limit bytes, text that is not UTF-8, duplicate names (compared without case, as encoding/json matches
// them), unknown fields, and anything after the value.
func DecodeStrict(b []byte, limit int, v any) error {
	if limit <= 0 || len(b) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(b), limit)
	}
	if !utf8.Valid(b) {
		return fmt.Errorf("%w: not UTF-8", ErrMalformed)
	}
	if !distinctNames(b) {
		if err := refuseDuplicates(b); err != nil {
			return err
		}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: data after the value", ErrMalformed)
	}
	return nil
}

// refuseDuplicates walks the tokens of one value and remembers the names of every open object.
func refuseDuplicates(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	type frame struct {
		names map[string]bool // nil in an array
		key   bool            // the next token is a name
	}
	var stack []frame
	for {
		tok, err := d.Token()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		top := len(stack) - 1
		switch t := tok.(type) {
		case json.Delim:
			switch t {
			case '{', '[':
				if len(stack) == maxDepth {
					return fmt.Errorf("%w: nested deeper than %d", ErrMalformed, maxDepth)
				}
				f := frame{}
				if t == '{' {
					f = frame{names: map[string]bool{}, key: true}
				}
				if top >= 0 {
					stack[top].key = stack[top].names != nil
				}
				stack = append(stack, f)
				continue
			default:
				stack = stack[:top]
			}
		case string:
			if top >= 0 && stack[top].key {
				k := strings.Map(foldRune, t)
				if stack[top].names[k] {
					return fmt.Errorf("%w: duplicate name %q", ErrMalformed, t)
				}
				stack[top].names[k], stack[top].key = true, false
				continue
			}
		}
		if len(stack) == 0 {
			return nil
		}
		top = len(stack) - 1
		stack[top].key = stack[top].names != nil
	}
}

// foldRune is the smallest rune that equals r without case, which is how encoding/json matches names: "ſ" is an "s".
func foldRune(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}
