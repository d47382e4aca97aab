// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

const (
	timeSize        = 8
	cosignatureSize = timeSize + ed25519.SignatureSize
)

// cosigned is what a witness signs: the time, then the whole text of the checkpoint. C2SP tlog-cosignature, Ed25519.
func cosigned(body string, at int64) []byte {
	return []byte("cosignature/v1\ntime " + strconv.FormatInt(at, 10) + "\n" + body)
}

// Witness is one witness's name and key. The zero value verifies nothing.
type Witness struct {
	id  keyID
	key ed25519.PublicKey
}

// NewWitness reads a witness's verifier key, "<name>+<key hash>+<base64>", of type cosignature/v1 with Ed25519 (0x04).
// Errors: [ErrKey].
func NewWitness(vkey string) (Witness, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	hash, b64, _ := strings.Cut(rest, "+")
	b, err := base64.StdEncoding.Strict().DecodeString(b64)
	if err != nil || len(b) != 1+ed25519.PublicKeySize || !validName(name) {
		return Witness{}, fmt.Errorf("%w: a witness's key is NAME+HASH+BASE64 of an Ed25519 key", ErrKey)
	}
	if b[0] != algorithmCosignature {
		return Witness{}, fmt.Errorf("%w: %s: signature type %d is not that of witnesses, cosignature/v1 (4)", ErrKey, name, b[0])
	}
	w := Witness{keyID{name, keyHash(name, algorithmCosignature, b[1:])}, b[1:]}
	if hash != fmt.Sprintf("%08x", w.id.hash) || w.String() != vkey {
		return Witness{}, fmt.Errorf("%w: %s: the key hash does not belong to name and key", ErrKey, name)
	}
	return w, nil
}

// NewWitnessFromKey pairs a name with an Ed25519 key. Errors: [ErrKey].
func NewWitnessFromKey(name string, key ed25519.PublicKey) (Witness, error) {
	if len(key) != ed25519.PublicKeySize || !validName(name) {
		return Witness{}, fmt.Errorf("%w: want a name without spaces and an Ed25519 key", ErrKey)
	}
	return Witness{keyID{name, keyHash(name, algorithmCosignature, key)}, key}, nil
}

// Name is what the witness's signature lines begin with.
func (w Witness) Name() string { return w.id.name }

// String is the verifier key, as [NewWitness] reads it; "" of the zero value.
func (w Witness) String() string {
	if len(w.key) == 0 {
		return ""
	}
	b := append([]byte{algorithmCosignature}, w.key...)
	return fmt.Sprintf("%s+%08x+%s", w.id.name, w.id.hash, base64.StdEncoding.EncodeToString(b))
}

// verify reads the time from a cosignature of body. The signature must be the witness's own.
func (w Witness) verify(body string, s signature) (Cosignature, error) {
	if len(w.key) != ed25519.PublicKeySize || s.keyID != w.id || len(s.sig) != cosignatureSize {
		return Cosignature{}, fmt.Errorf("%w: not a cosignature of %s", ErrCheckpoint, w.id.name)
	}
	at := binary.BigEndian.Uint64(s.sig)
	if at == 0 || at > maxSize {
		return Cosignature{}, fmt.Errorf("%w: cosignature of %s without a time", ErrCheckpoint, w.id.name)
	}
	if !ed25519.Verify(w.key, cosigned(body, int64(at)), s.sig[timeSize:]) {
		return Cosignature{}, fmt.Errorf("%w: signature in the name of witness %s does not verify", ErrCheckpoint, w.id.name)
	}
	return Cosignature{w.id.name, int64(at)}, nil
}

// Cosigner is a witness's private half. Whoever holds it must have checked that the log only grew.
type Cosigner struct {
	Witness
	private ed25519.PrivateKey
}

// NewCosigner pairs a name with a private key. Errors: [ErrKey].
func NewCosigner(name string, key ed25519.PrivateKey) (*Cosigner, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: not Ed25519", ErrKey)
	}
	w, err := NewWitnessFromKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return &Cosigner{w, key}, nil
}

// Cosign returns the signature line for a checkpoint that [Log.ParseCheckpoint] accepts, at a time in Unix seconds.
// Errors: [ErrCheckpoint] if text is no signed note or the time not positive. It verifies nothing.
func (c *Cosigner) Cosign(text string, at int64) (string, error) {
	body, _, err := splitNote(text)
	if err != nil {
		return "", err
	}
	if at < 1 || at > maxSize {
		return "", fmt.Errorf("%w: time %d", ErrCheckpoint, at)
	}
	sig := binary.BigEndian.AppendUint64(nil, uint64(at))
	return signature{c.id, append(sig, ed25519.Sign(c.private, cosigned(body, at))...)}.String(), nil
}

// secretPrefix begins a signer key of C2SP signed-note.
const secretPrefix = "PRIVATE+KEY+"

// Secret is the signer key, "PRIVATE+KEY+<name>+<key hash>+<base64>", as other witnesses' tools keep theirs.
func (c *Cosigner) Secret() string {
	b := append([]byte{algorithmCosignature}, c.private.Seed()...)
	return fmt.Sprintf("%s%s+%08x+%s", secretPrefix, c.id.name, c.id.hash, base64.StdEncoding.EncodeToString(b))
}

// ParseCosigner reads what [Cosigner.Secret] wrote. Errors: [ErrKey], without a word of the key.
func ParseCosigner(secret string) (*Cosigner, error) {
	rest, ok := strings.CutPrefix(secret, secretPrefix)
	name, rest, _ := strings.Cut(rest, "+")
	hash, b64, _ := strings.Cut(rest, "+")
	b, err := base64.StdEncoding.Strict().DecodeString(b64)
	if !ok || err != nil || len(b) != 1+ed25519.SeedSize || b[0] != algorithmCosignature {
		return nil, fmt.Errorf("%w: not the signer key of a witness", ErrKey)
	}
	defer clear(b)
	c, err := NewCosigner(name, ed25519.NewKeyFromSeed(b[1:]))
	if err != nil {
		return nil, err
	}
	if hash != fmt.Sprintf("%08x", c.id.hash) {
		return nil, fmt.Errorf("%w: the key hash does not belong to name and key", ErrKey)
	}
	return c, nil
}

// PublicKey is the witness's Ed25519 key.
func (w Witness) PublicKey() ed25519.PublicKey { return w.key }

// OwnSignature is a checkpoint with its first signature only, the log's.
func OwnSignature(text string) string {
	i := strings.LastIndex(text, "\n\n")
	if i < 0 {
		return text
	}
	n := strings.IndexByte(text[i+2:], '\n')
	return text[:i+2+n+1]
}
