// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Names of operators.
const (
	OpRedact    = "redact"    // it goes
	OpReplace   = "replace"   // <TYPE>, or a text
	OpMask      = "mask"      // some of its characters become one
	OpHash      = "hash"      // <TYPE:…>, a keyed name: equal texts have equal names
	OpEncrypt   = "encrypt"   // <TYPE:…>, which Reveal reads with the dataset's key
	OpSurrogate = "surrogate" // something like it, chosen by a key
	OpShift     = "shift"     // a date some keyed number of days away
	OpBucket    = "bucket"    // a range that it lies in
)

func ops() []string {
	return []string{OpBucket, OpEncrypt, OpHash, OpMask, OpRedact, OpReplace, OpShift, OpSurrogate}
}

// match is a finding as an operator sees it.
type match struct {
	kind span.Type
	text []byte
	own  bool              // the type is the creator's, not one of Types
	by   map[string][]byte // the fields that operators read, as they were before the step: those that the record has
}

// operator writes what stands in place of a finding. What it cannot write becomes a token.
type operator interface {
	name() string
	token() bool // all it writes is tokens
	apply(dst []byte, m *match) ([]byte, bool)
}

// uses are the members that each operator knows beside "op".
func uses(op string) string {
	return map[string]string{
		OpRedact: "", OpReplace: "text", OpMask: "char first last", OpHash: "scope", OpEncrypt: "scope",
		OpSurrogate: "scope days order", OpShift: "scope days by order", OpBucket: "width date order prefix",
	}[op]
}

// compile checks an operator's configuration.
func (o *Operator) compile(env *transforms.Env) (operator, error) {
	if !contains(ops(), o.Op) {
		return nil, invalid("op: there is no %q%s", o.Op, hint(o.Op, ops()))
	}
	for _, u := range [...]struct {
		name string
		set  bool
	}{
		{"text", o.Text != nil},
		{"char", o.Char != ""},
		{"first", o.First != 0},
		{"last", o.Last != 0},
		{"scope", o.Scope != ""},
		{"days", o.Days != 0},
		{"by", o.By != ""},
		{"order", o.Order != ""},
		{"width", o.Width != 0},
		{"date", o.Date != ""},
		{"prefix", o.Prefix != 0},
	} {
		if u.set && !contains(strings.Fields(uses(o.Op)), u.name) {
			return nil, invalid("%s has no %q; it has %q", o.Op, u.name, uses(o.Op))
		}
	}
	if o.Order != "" && o.Order != orderMDY && o.Order != orderDMY {
		return nil, invalid("order: %q, want mdy or dmy", o.Order)
	}
	switch o.Op {
	case OpRedact:
		return remove{}, nil
	case OpReplace:
		return o.replace()
	case OpMask:
		return o.mask()
	case OpBucket:
		return o.bucket()
	}
	return o.keyed(env)
}

// remove deletes.
type remove struct{}

func (remove) name() string                              { return OpRedact }
func (remove) token() bool                               { return false }
func (remove) apply(dst []byte, _ *match) ([]byte, bool) { return dst, true }

// replace writes the type, or a text.
type replace struct{ text *string }

const maxText = 256

func (o *Operator) replace() (operator, error) {
	if o.Text != nil && (len(*o.Text) > maxText || !utf8.ValidString(*o.Text)) {
		return nil, invalid("replace: a text of %d bytes, at most %d", len(*o.Text), maxText)
	}
	return replace{o.Text}, nil
}

func (replace) name() string  { return OpReplace }
func (r replace) token() bool { return r.text == nil }

func (r replace) apply(dst []byte, m *match) ([]byte, bool) {
	if r.text != nil {
		return append(dst, *r.text...), true
	}
	return append(append(append(dst, '<'), m.kind...), '>'), true
}

// mask writes one character for each letter and digit but the first and last few.
type mask struct {
	char        rune
	first, last int
}

// maxKept bounds what a mask keeps.
const maxKept = 64

func (o *Operator) mask() (operator, error) {
	m := mask{'*', o.First, o.Last}
	if o.Char != "" {
		r, n := utf8.DecodeRuneInString(o.Char)
		if n != len(o.Char) || !unicode.IsPrint(r) || unicode.IsDigit(r) {
			return nil, invalid("mask: char: %q, want one character that is no digit", o.Char)
		}
		m.char = r
	}
	if m.first < 0 || m.last < 0 || m.first > maxKept || m.last > maxKept {
		return nil, invalid("mask: first, last: want 0 to %d", maxKept)
	}
	return m, nil
}

func (mask) name() string { return OpMask }
func (mask) token() bool  { return false }

// apply keeps nothing of a finding that would be kept whole, or by more than half.
func (k mask) apply(dst []byte, m *match) ([]byte, bool) {
	n := 0
	for _, r := range string(m.text) {
		if inWord(r) {
			n++
		}
	}
	first, last := k.first, k.last
	if 2*(first+last) > n {
		first, last = 0, 0
	}
	i := 0
	for _, r := range string(m.text) {
		if !inWord(r) {
			dst = utf8.AppendRune(dst, r)
			continue
		}
		if i >= first && i < n-last {
			r = k.char
		}
		dst = utf8.AppendRune(dst, r)
		i++
	}
	return dst, n > 0
}

// Scopes of keys.
const (
	ScopeDataset = "dataset"
	ScopeGrant   = "grant"
)

// keyed makes the operators that need a key.
func (o *Operator) keyed(env *transforms.Env) (operator, error) {
	if env == nil || env.Keys == nil {
		return nil, fmt.Errorf("%w: %s needs a key", transforms.ErrEnv, o.Op)
	}
	lend := env.Keys.Dataset
	switch o.Scope {
	case "", ScopeDataset:
	case ScopeGrant:
		lend = env.Keys.Grant
	default:
		return nil, invalid("scope: %q, want dataset or grant%s", o.Scope, hint(o.Scope, []string{ScopeDataset, ScopeGrant}))
	}
	if o.Days != 0 && (o.Days < minDays || o.Days > maxDays) {
		return nil, invalid("days: %d, want %d to %d", o.Days, minDays, maxDays)
	}
	days := o.Days
	if days == 0 {
		days = 365
	}
	dates := shift{newPRF(lend("redact/shift/v1")), days, o.By, o.Order}
	switch o.Op {
	case OpHash:
		return keyedHash{newPRF(lend("redact/hash/v1")), base()}, nil
	case OpEncrypt:
		if o.Scope == ScopeGrant {
			return nil, invalid("encrypt: scope: only the dataset's key can be had again by the creator")
		}
		return newSealer(env.Keys)
	case OpShift:
		return dates, nil
	default:
		return surrogate{newPRF(lend("redact/surrogate/v1")), dates}, nil
	}
}

// prf is a keyed function: HMAC-SHA256 of a type and a text.
type prf struct {
	mac hash.Hash
	v   *view
	buf []byte
}

func newPRF(key [32]byte) *prf {
	return &prf{mac: hmac.New(sha256.New, key[:]), v: &view{}}
}

// sum is the function's value. What is the same but for case, spaces and the ways to write a character has the same one.
func (p *prf) sum(kind span.Type, text []byte, counter byte) (out [sha256.Size]byte) {
	p.buf = append(append(append(p.buf[:0], counter), kind...), 0)
	p.buf = p.same(p.buf, kind, text)
	p.mac.Reset()
	p.mac.Write(p.buf)
	p.mac.Sum(out[:0])
	return out
}

// same appends the form of a text that all ways to write it share: of numbers their letters and digits, of all else the text without
// case and with single spaces.
func (p *prf) same(dst []byte, kind span.Type, text []byte) []byte {
	p.v.make(text, strict)
	compact := !worded(kind)
	var f folder
	f.space = true
	for b := p.v.text; len(b) > 0; {
		r, _ := utf8.DecodeRune(b)
		folded, n := f.next(b)
		b = b[n:]
		if compact && !inWord(r) {
			continue
		}
		dst = append(dst, folded...)
	}
	if n := len(dst); n > 0 && dst[n-1] == ' ' {
		dst = dst[:n-1]
	}
	return dst
}

// worded are the types whose separators mean something.
func worded(t span.Type) bool {
	switch t {
	case span.Email, span.URL, span.Domain, span.IP, span.Person, span.Location, span.Organisation, span.Address, span.Date, span.GPS:
		return true
	}
	return false
}

// keyedHash writes a name for the text that only the key's owner can make.
type keyedHash struct {
	prf  *prf
	base *base32.Encoding
}

func (keyedHash) name() string { return OpHash }
func (keyedHash) token() bool  { return true }

func (h keyedHash) apply(dst []byte, m *match) ([]byte, bool) {
	d := h.prf.sum(m.kind, m.text, 0)
	dst = append(append(append(dst, '<'), m.kind...), ':')
	return append(h.base.AppendEncode(dst, d[:hashBytes]), '>'), true
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// invalidIn says where in the configuration an error is.
func invalidIn(where string, err error) error { return fmt.Errorf("%s: %w", where, err) }
