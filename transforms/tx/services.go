// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/glovebox-dev/glovebox/transforms"
)

// Kinds of tokens.
const (
	// TokenHMAC is HMAC-SHA256 of the text, its first 16 bytes, in 32 lower-case hex digits: the same for the same text.
	TokenHMAC = 0
	// TokenDigits is a decimal number of as many digits, by format-preserving encryption (FF1).
	TokenDigits = 1
)

const tokenBytes = 16

// Labels of the keys that tokens are made with. They are of one grant, and differ from step to step.
const (
	labelHMAC   = "glovebox.dev/tx/token/v1/"
	labelDigits = "glovebox.dev/tx/digits/v1/"
)

// Lender lends keys and noise of an [transforms.Env] to a step's module. The module sees neither.
type Lender struct {
	hmacKey, digitsKey [32]byte
	keyed              bool
	digits             func(key [32]byte, text []byte) ([]byte, error)
	noise              func(sensitivity, epsilon int64) (int64, error)
}

// NewLender makes one for the step with an identity. Without keys there are no tokens. digits encrypts decimal digits, noise
// draws from the discrete Laplace distribution of scale sensitivity / (epsilon / 1,000,000); each may be nil.
func NewLender(keys transforms.Keys, step string, digits func([32]byte, []byte) ([]byte, error), noise func(sensitivity, epsilon int64) (int64, error)) *Lender {
	l := &Lender{digits: digits, noise: noise}
	if keys != nil {
		l.keyed, l.hmacKey, l.digitsKey = true, keys.Grant(labelHMAC+step), keys.Grant(labelDigits+step)
	}
	return l
}

// Token implements [Services].
func (l *Lender) Token(kind uint32, text []byte) (token []byte, ok bool, err error) {
	switch {
	case !l.keyed:
		return nil, false, fmt.Errorf("%w: keys", transforms.ErrEnv)
	case kind == TokenHMAC:
		h := hmac.New(sha256.New, l.hmacKey[:])
		h.Write(text)
		return hex.AppendEncode(nil, h.Sum(nil)[:tokenBytes]), true, nil
	case kind == TokenDigits && l.digits != nil:
		token, err := l.digits(l.digitsKey, text)
		return token, err == nil, nil // too few digits, or other characters: there is no such token
	}
	return nil, false, nil
}

// Laplace implements [Services].
func (l *Lender) Laplace(_ uint32, sensitivity, epsilon int64) (int64, error) {
	if l.noise == nil {
		return 0, fmt.Errorf("%w: noise", transforms.ErrEnv)
	}
	return l.noise(sensitivity, epsilon)
}

// Wipe forgets the keys.
func (l *Lender) Wipe() {
	clear(l.hmacKey[:])
	clear(l.digitsKey[:])
	l.keyed = false
}
