// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"crypto/aes"
	"crypto/cipher"
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
	buf   []byte
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
	return &sealer{aead: aead, nonce: newPRF(k.Dataset("redact/encrypt-nonce/v1"))}, nil
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
	sealed := s.aead.Seal(append([]byte{}, d[:nonceBytes]...), d[:nonceBytes], s.buf, []byte(m.kind))
	clear(s.buf)
	dst = append(append(append(dst, '<'), m.kind...), ':')
	return append(base().AppendEncode(dst, sealed), '>'), true
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
	raw, err := base().AppendDecode(nil, value)
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

// Reveal puts the texts back that encrypt sealed in a text, with the keys of the dataset. It gives the new text, how many it put back,
// and how many tokens that look sealed it could not read: another dataset's, changed, or no such thing.
func Reveal(k transforms.Keys, text []byte) (out []byte, revealed, unread int, err error) {
	s, err := newSealer(k)
	if err != nil {
		return nil, 0, 0, err
	}
	for {
		i := nextToken(text, 0)
		if i < 0 {
			return append(out, text...), revealed, unread, nil
		}
		out = append(out, text[:i]...)
		text = text[i:]
		kind, value, n := token1(text)
		if n == 0 || len(value) == 0 || !tokenValue(value) || base().DecodedLen(len(value)) == hashBytes {
			out, text = append(out, '<'), text[1:]
			continue
		}
		plain, ok := s.open(string(kind), value)
		if !ok {
			out, unread = append(out, text[:n]...), unread+1
		} else {
			out, revealed = append(out, plain...), revealed+1
		}
		text = text[n:]
	}
}
