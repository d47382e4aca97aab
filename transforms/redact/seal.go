// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base32"
	"fmt"

	"github.com/glovebox-dev/glovebox/transforms"
)

// Sealing is deterministic, so that the same records give the same output: the nonce is made of the text (a synthetic IV as in RFC 5297,
// with HMAC-SHA256 under a key of its own, over the type and the text), and the text is sealed with AES-256-GCM, bound to its type. Whoever
// has no key learns which sealed texts of a type are equal, and how long they are to the next sixteen bytes. The labels of the keys are versioned.

// sealer writes findings so that the dataset's owner can read them again.
type sealer struct {
	aead  cipher.AEAD
	nonce *prf
	base  *base32.Encoding
	buf   []byte
	box   []byte
}

func newSealer(k transforms.Keys) (*sealer, error) {
	key := k.Dataset("redact/encrypt/v1")
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", transforms.ErrEnv, err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", transforms.ErrEnv, err)
	}
	return &sealer{aead: aead, nonce: newPRF(k.Dataset("redact/encrypt-nonce/v1")), base: base()}, nil
}

func (*sealer) name() string { return OpEncrypt }
func (*sealer) token() bool  { return true }

func (s *sealer) apply(dst []byte, m *match) ([]byte, bool) {
	if len(m.text) > MaxSealed {
		return dst, false
	}
	d := s.nonce.exact(string(m.kind), m.text)
	s.buf = append(append(s.buf[:0], m.text...), 1)
	for len(s.buf)%padTo != 0 {
		s.buf = append(s.buf, 0)
	}
	s.box = s.aead.Seal(append(s.box[:0], d[:nonceBytes]...), d[:nonceBytes], s.buf, []byte(m.kind))
	clear(s.buf)
	dst = append(append(append(dst, '<'), m.kind...), ':')
	return append(s.base.AppendEncode(dst, s.box), '>'), true
}

// exact is a keyed function of the text as it stands.
func (p *prf) exact(kind string, text []byte) (out [32]byte) {
	p.buf = append(append(append(p.buf[:0], kind...), 0), text...)
	p.mac.Reset()
	p.mac.Write(p.buf)
	p.mac.Sum(out[:0])
	clear(p.buf)
	return out
}

// open reads a value; false if it was not sealed under this key for this type.
func (s *sealer) open(kind string, value []byte) ([]byte, bool) {
	raw, err := s.base.AppendDecode(nil, value)
	if err != nil || len(raw) < nonceBytes+tagBytes+padTo {
		return nil, false
	}
	text, err := s.aead.Open(nil, raw[:nonceBytes], raw[nonceBytes:], []byte(kind))
	if err != nil {
		return nil, false
	}
	for len(text) > 0 && text[len(text)-1] == 0 {
		text = text[:len(text)-1]
	}
	if len(text) == 0 || text[len(text)-1] != 1 {
		return nil, false
	}
	return text[:len(text)-1], true
}

// Revealer puts the texts back that encrypt sealed, with the keys of the dataset. It is for one goroutine.
type Revealer struct {
	sealer *sealer
	// Revealed counts what was put back; Unread what looks sealed and could not be read: another dataset's, changed, or no such thing.
	Revealed, Unread int64
}

// NewRevealer makes a revealer. Its errors wrap transforms.ErrEnv.
func NewRevealer(k transforms.Keys) (*Revealer, error) {
	if k == nil {
		return nil, fmt.Errorf("%w: keys", transforms.ErrEnv)
	}
	s, err := newSealer(k)
	return &Revealer{sealer: s}, err
}

// Text appends a text with what was sealed in it. The text must not be JSON or CSV: what is put back may have quotes. See Record.
func (v *Revealer) Text(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, '<')
		if i < 0 {
			return append(dst, text...)
		}
		dst = append(dst, text[:i]...)
		text = text[i:]
		kind, value, n := cutToken(text)
		if n == 0 || !tokenValue(value) || v.sealer.base.DecodedLen(len(value)) == hashBytes {
			dst, text = append(dst, '<'), text[1:]
			continue
		}
		if plain, ok := v.sealer.open(string(kind), value); ok {
			dst = append(dst, plain...)
			v.Revealed++
		} else {
			dst = append(dst, text[:n]...)
			v.Unread++
		}
		text = text[n:]
	}
}

// Record puts back what was sealed in all fields and names of members of a record, and in its file's name.
func (v *Revealer) Record(r *transforms.Record) {
	reveal := func(f *transforms.Field) {
		if bytes.IndexByte(f.Text, '<') < 0 {
			return
		}
		n := v.Revealed
		text := v.Text(nil, f.Text)
		switch {
		case v.Revealed == n:
		case f.Kind == transforms.Bytes:
			f.SetFile(text)
		default:
			f.Set(text)
		}
	}
	for i := range r.Fields() {
		reveal(&r.Fields()[i])
	}
	for i := range r.Keys() {
		reveal(&r.Keys()[i])
	}
	r.Name = string(v.Text(nil, []byte(r.Name)))
}
