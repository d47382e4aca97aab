// SPDX-License-Identifier: Apache-2.0

package tabular

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/ff1"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// Labels of the keys that pseudonyms are made with.
const (
	FPEKey   = "glovebox.dev/transforms/fpe/v1"
	TokenKey = "glovebox.dev/transforms/token/v1"
)

// maxDomain bounds the name of what pseudonyms are equal in.
const maxDomain = 256

// key lends a key of a scope: "dataset", which "" stands for, or "grant".
func key(env *transforms.Env, scope, label string) (k [32]byte, err error) {
	if scope != "" && scope != "dataset" && scope != "grant" {
		return k, fields.Bad("scope %q, want dataset or grant", scope)
	}
	if env == nil || env.Keys == nil {
		return k, fmt.Errorf("%w: keys", transforms.ErrEnv)
	}
	if scope == "grant" {
		return env.Keys.Grant(label), nil
	}
	return env.Keys.Dataset(label), nil
}

// domain is what equal values become equal in: the field alone, but for those that name another.
func domain(ref *fields.Ref, named string) (string, error) {
	if len(named) > maxDomain {
		return "", fields.Bad("field %q: domain of %d bytes, at most %d", ref.Field, len(named), maxDomain)
	}
	if named == "" {
		return ref.Field, nil
	}
	return named, nil
}

// fpeField says how a field is encrypted.
type fpeField struct {
	fields.Ref
	Alphabet   string  `json:"alphabet"`   // digits, hex, lower, upper, lowerDigits, upperDigits or alphanumeric; "" stands for digits
	Separators *string `json:"separators"` // characters that stay; nil stands for -./() + and space
	Domain     string  `json:"domain"`

	text  *ff1.Text
	tweak []byte
}

type fpe struct {
	perField
	list []fpeField
}

// NewFPE makes the step that encrypts and keeps the format: FF1 of NIST SP 800-38G. What has too few characters to hide, or one that
// would stay to be read, is quarantined.
func NewFPE(config json.RawMessage, _ transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	var c struct {
		Fields []fpeField `json:"fields"`
		Scope  string     `json:"scope"`
	}
	if err := fields.Decode(config, &c); err != nil {
		return nil, err
	}
	set, err := fields.NewSet(refs(c.Fields, func(f *fpeField) fields.Ref { return f.Ref }))
	if err != nil {
		return nil, err
	}
	k, err := key(env, c.Scope, FPEKey)
	if err != nil {
		return nil, err
	}
	defer clear(k[:])
	for i := range c.Fields {
		if err := c.Fields[i].init(k[:]); err != nil {
			return nil, err
		}
	}
	s := &fpe{list: c.Fields}
	s.perField = perField{set: set, change: s.one}
	return s, nil
}

func (c *fpeField) init(key []byte) error {
	alphabets := map[string]string{
		"": ff1.Digits, "digits": ff1.Digits, "hex": ff1.Hex, "lower": ff1.Lower, "upper": ff1.Upper,
		"lowerDigits": ff1.LowerDigits, "upperDigits": ff1.UpperDigits, "alphanumeric": ff1.Alphanumeric,
	}
	alphabet, ok := alphabets[c.Alphabet]
	if !ok {
		return fields.Bad("field %q: alphabet %q, want digits, hex, lower, upper, lowerDigits, upperDigits or alphanumeric", c.Field, c.Alphabet)
	}
	separators := "-./()+ "
	if c.Separators != nil {
		separators = *c.Separators
	}
	name, err := domain(&c.Ref, c.Domain)
	if err != nil {
		return err
	}
	c.tweak = []byte(name)
	if c.text, err = ff1.NewText(key, alphabet, separators); err != nil {
		return fields.Bad("field %q: separators are ASCII characters outside the alphabet", c.Field)
	}
	return nil
}

// one encrypts a value. A number becomes a text: its first digit may be 0.
func (s *fpe) one(i int, f *transforms.Field) string {
	if missing(f) {
		return ""
	}
	from := len(s.buf)
	var err error
	if s.buf, err = s.list[i].text.Encrypt(s.buf, f.Text, s.list[i].tweak); err != nil {
		if errors.Is(err, ff1.ErrDomain) {
			return reasonTooShort
		}
		return reasonCharacter
	}
	f.Set(s.buf[from:len(s.buf):len(s.buf)])
	return ""
}

// tokenField says how a field becomes tokens.
type tokenField struct {
	fields.Ref
	Domain     string `json:"domain"`
	Trim       bool   `json:"trim"`       // spaces around do not matter
	IgnoreCase bool   `json:"ignoreCase"` // nor does case
}

type tokenise struct {
	perField
	list []tokenField
	mac  hash.Hash
	sum  [sha256.Size]byte
}

// tokenBytes is how much of the MAC is kept: two of 2⁶⁴ values share a token by chance.
const tokenBytes = 16

// encoding is base32 in small letters, without padding: 26 characters.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewTokenise makes the step that replaces values by keyed tokens: equal values of a domain have equal ones, so that tables can be
// joined, and nobody without the key can tell a value, or try one.
func NewTokenise(config json.RawMessage, _ transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	var c struct {
		Fields []tokenField `json:"fields"`
		Scope  string       `json:"scope"`
	}
	if err := fields.Decode(config, &c); err != nil {
		return nil, err
	}
	set, err := fields.NewSet(refs(c.Fields, func(f *tokenField) fields.Ref { return f.Ref }))
	if err != nil {
		return nil, err
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		if f.Domain, err = domain(&f.Ref, f.Domain); err != nil {
			return nil, err
		}
	}
	k, err := key(env, c.Scope, TokenKey)
	if err != nil {
		return nil, err
	}
	defer clear(k[:])
	s := &tokenise{list: c.Fields, mac: hmac.New(sha256.New, k[:])}
	s.perField = perField{set: set, change: s.one}
	return s, nil
}

// one replaces a value by HMAC-SHA256 of the domain's length, the domain and the value.
func (s *tokenise) one(i int, f *transforms.Field) string {
	c := &s.list[i]
	text := f.Text
	if c.Trim {
		text = bytes.TrimSpace(text)
	}
	if f.Kind == transforms.Null || len(text) == 0 {
		return ""
	}
	if c.IgnoreCase {
		text = bytes.ToLower(bytes.ToUpper(text)) // both: some letters have two small ones
	}
	s.mac.Reset()
	var size [2]byte
	binary.BigEndian.PutUint16(size[:], uint16(len(c.Domain)))
	s.mac.Write(size[:])
	s.mac.Write([]byte(c.Domain))
	s.mac.Write(text)
	from := len(s.buf)
	s.buf = encoding.AppendEncode(s.buf, s.mac.Sum(s.sum[:0])[:tokenBytes])
	f.Set(s.buf[from:len(s.buf):len(s.buf)])
	return ""
}
