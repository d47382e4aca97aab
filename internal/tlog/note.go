// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
)

// Signature types of C2SP signed-note: the byte before the key in a verifier key, and what its key hash is taken over.
const (
	algorithmEd25519     = 1
	algorithmCosignature = 4 // tlog-cosignature: timestamped Ed25519
)

const keyHashSize = 4

// keyID is what tells a signature line's maker: not proof, but which key to verify with.
type keyID struct {
	name string
	hash uint32
}

// signature is one line under a note.
type signature struct {
	keyID
	sig []byte // without the key hash
}

func (s signature) String() string {
	b := binary.BigEndian.AppendUint32(nil, s.hash)
	return "— " + s.name + " " + base64.StdEncoding.EncodeToString(append(b, s.sig...)) + "\n"
}

func keyHash(name string, algorithm byte, key ed25519.PublicKey) uint32 {
	h := sha256.Sum256(append(append([]byte(name), '\n', algorithm), key...))
	return binary.BigEndian.Uint32(h[:])
}

// splitNote takes a signed note apart. Only canonical lines pass, none twice: with the bound on their number that leaves
// whoever carries a note no room for words of his own but in a signature that nobody verifies.
func splitNote(text string) (body string, sigs []signature, err error) {
	bad := func(why string) (string, []signature, error) {
		return "", nil, fmt.Errorf("%w: %s", ErrCheckpoint, why)
	}
	if len(text) > MaxCheckpoint {
		return bad("too large")
	}
	i := strings.LastIndex(text, "\n\n")
	if i < 0 || !strings.HasSuffix(text, "\n") {
		return bad("not a signed note")
	}
	body, lines := text[:i+1], strings.Split(text[i+2:], "\n")
	lines = lines[:len(lines)-1]
	if len(lines) == 0 || len(lines) > 1+MaxWitnesses {
		return bad(fmt.Sprintf("%d signatures, want 1 to %d", len(lines), 1+MaxWitnesses))
	}
	seen := map[keyID]bool{}
	for _, line := range lines {
		s, ok := parseSignature(line)
		if !ok {
			return bad("a signature line is not in canonical form")
		}
		if seen[s.keyID] {
			return bad("a signer is there twice")
		}
		seen[s.keyID] = true
		sigs = append(sigs, s)
	}
	return body, sigs, nil
}

func parseSignature(line string) (signature, bool) {
	rest, ok := strings.CutPrefix(line, "— ")
	name, b64, found := strings.Cut(rest, " ")
	if !ok || !found || !validName(name) {
		return signature{}, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(b64)
	if err != nil || len(b) <= keyHashSize {
		return signature{}, false
	}
	s := signature{keyID{name, binary.BigEndian.Uint32(b)}, b[keyHashSize:]}
	return s, s.String() == line+"\n"
}

// validName admits printable ASCII without spaces and the plus that separates a verifier key's fields.
func validName(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '+' {
			return false
		}
	}
	return s != "" && len(s) <= maxOrigin
}
