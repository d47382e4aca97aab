// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
	"github.com/glovebox-dev/glovebox/transforms/ff1"
)

// Kinds of tokens.
const (
	// TokenHMAC is HMAC-SHA256 of the text, its first 16 bytes, in 32 lower-case hex digits: the same for the same text.
	TokenHMAC = 0
	// TokenDigits is a decimal number of as many digits, at least six, by format-preserving encryption (FF1).
	TokenDigits = 1
)

const tokenBytes = 16

// Labels of the keys that tokens are made with, before the step's identity.
const (
	labelHMAC   = "glovebox.dev/tx/token/v1/"
	labelDigits = "glovebox.dev/tx/digits/v1/"
)

// million is how many millionths of epsilon there are in one.
const million = 1_000_000

// lender answers a step's module with keys and noise that the module never sees.
type lender struct {
	hmacKey [32]byte
	keyed   bool
	digits  *ff1.Text
	noise   *sampler.Source
}

// Wipe implements [Wiper].
func (l *lender) Wipe() {
	clear(l.hmacKey[:])
	l.digits, l.keyed = nil, false
}

// Lend is what a pinned step may ask for: tokens, made with keys of this grant and this step alone, where keys are lent; and
// noise for as much as the step's epsilon, where there is a source of it.
func Lend(s *dataset.Step, keys transforms.Keys, noise io.Reader) (Lent, error) {
	l, lent := &lender{}, Lent{Token: keys != nil}
	lent.Services = l
	if keys != nil {
		id, err := s.ID()
		if err != nil {
			return Lent{}, err
		}
		key := keys.Grant(labelDigits + id.String())
		defer clear(key[:])
		if l.digits, err = ff1.NewText(key[:], ff1.Digits, ""); err != nil {
			return Lent{}, err
		}
		l.keyed, l.hmacKey = true, keys.Grant(labelHMAC+id.String())
	}
	if s.Epsilon > 0 {
		if noise == nil {
			return Lent{}, fmt.Errorf("%w: noise", transforms.ErrEnv)
		}
		l.noise, lent.Epsilon = sampler.NewSource(noise), s.Epsilon
	}
	return lent, nil
}

// Token implements [Services].
func (l *lender) Token(kind uint32, text []byte) (token []byte, ok bool, err error) {
	switch {
	case !l.keyed:
		return nil, false, fmt.Errorf("%w: keys", transforms.ErrEnv)
	case kind == TokenHMAC:
		h := hmac.New(sha256.New, l.hmacKey[:])
		h.Write(text)
		return hex.AppendEncode(nil, h.Sum(nil)[:tokenBytes]), true, nil
	case kind == TokenDigits && l.digits != nil:
		token, err := l.digits.Encrypt(nil, text, nil)
		return token, err == nil, nil // too few digits, or other characters: there is no such token
	}
	return nil, false, nil
}

// Laplace implements [Services].
func (l *lender) Laplace(_ uint32, sensitivity, epsilon int64) (int64, error) {
	switch {
	case l.noise == nil:
		return 0, fmt.Errorf("%w: noise", transforms.ErrEnv)
	case sensitivity < 1 || sensitivity > sampler.MaxTerm/million || epsilon < 1:
		return 0, fmt.Errorf("%w: noise out of range", ErrAsked)
	}
	n, err := l.noise.Laplace(sampler.Rat{Num: uint64(sensitivity) * million, Den: uint64(epsilon)})
	if errors.Is(err, sampler.ErrParameter) {
		err = fmt.Errorf("%w: %w", ErrAsked, err)
	}
	return n, err
}
