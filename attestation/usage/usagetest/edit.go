// SPDX-License-Identifier: Apache-2.0

package usagetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Key is a signer that can also sign what [envelope.Sign] would refuse.
type Key struct {
	*envelope.Signer
	private *ecdsa.PrivateKey
}

// NewKey makes a key for role.
func NewKey(role envelope.Role) (Key, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Key{}, err
	}
	s, err := envelope.NewSigner(role, k)
	return Key{s, k}, err
}

// SignRaw signs any JSON value as an in-toto payload.
func (k Key) SignRaw(statement any) ([]byte, error) {
	payload, err := envelope.Canonical(statement)
	if err != nil {
		return nil, err
	}
	h := sha256.Sum256(envelope.PAE(envelope.PayloadType, payload))
	sig, err := ecdsa.SignASN1(rand.Reader, k.private, h[:])
	if err != nil {
		return nil, err
	}
	return envelope.Join(envelope.PayloadType, payload, sig)
}

// Resign changes a signed statement's payload as JSON and signs the result with key, whatever it now says.
func Resign(signed []byte, key Key, change func(statement map[string]any)) ([]byte, error) {
	_, payload, _, err := envelope.Parts(signed)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil {
		return nil, err
	}
	change(m)
	return key.SignRaw(m)
}

// Edits lists every way to delete or to zero one field of a JSON value, at any depth. A field that is zero already is
// only deleted.
func Edits(v any) []Edit { return edits(nil, v) }

// Edit deletes or zeroes the field at Path.
type Edit struct {
	Path []any // member names and element numbers
	Zero bool
}

func (e Edit) String() string {
	what := "delete"
	if e.Zero {
		what = "zero"
	}
	s := what
	for i, p := range e.Path {
		sep := "."
		if i == 0 {
			sep = " "
		}
		s += fmt.Sprintf("%s%v", sep, p)
	}
	return s
}

func edits(path []any, v any) (out []Edit) {
	visit := func(step, child any) {
		p := append(slices.Clone(path), step)
		out = append(out, Edit{Path: p})
		if !isZero(child) {
			out = append(out, Edit{Path: p, Zero: true})
		}
		out = append(out, edits(p, child)...)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			visit(k, v[k])
		}
	case []any:
		for i, c := range v {
			visit(i, c)
		}
	}
	return out
}

// Apply makes the edit in v, which must have the shape it was listed from, and returns v.
func (e Edit) Apply(v any) any {
	if len(e.Path) == 0 {
		return v
	}
	rest := Edit{e.Path[1:], e.Zero}
	last := len(rest.Path) == 0
	switch c := v.(type) {
	case map[string]any:
		k := e.Path[0].(string)
		switch {
		case last && e.Zero:
			c[k] = zero(c[k])
		case last:
			delete(c, k)
		default:
			c[k] = rest.Apply(c[k])
		}
		return c
	case []any:
		i := e.Path[0].(int)
		switch {
		case last && e.Zero:
			c[i] = zero(c[i])
		case last:
			return slices.Delete(c, i, i+1)
		default:
			c[i] = rest.Apply(c[i])
		}
		return c
	}
	return v
}

func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case float64:
		return v == 0
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func zero(v any) any {
	switch v.(type) {
	case bool:
		return false
	case float64:
		return float64(0)
	case string:
		return ""
	case map[string]any:
		return map[string]any{}
	case []any:
		return []any{}
	}
	return nil
}
