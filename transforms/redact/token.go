// SPDX-License-Identifier: Apache-2.0

package redact

import "encoding/base32"

// A token is what operators write in place of a finding: <TYPE>, or <TYPE:…> with the name that a key gives it or the text
// under a key. Tokens are never findings themselves, and their words are no context for what stands next to them. In a text as it came,
// only <TYPE> is known for one: whoever wrote it could put anything behind the colon. What a step before wrote there is found as seldom
// as anything that is random.

// alphabet is base32's, in lower case: no letter of it is mistaken for another.
const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

const (
	hashBytes   = 16
	nonceBytes  = 12
	tagBytes    = 16
	padTo       = 16
	maxTypeName = 64
	// maxSealed bounds what is read as a sealed text, in characters.
	maxSealed = 8 * (nonceBytes + tagBytes + MaxSealed + padTo) / 5
)

// MaxSealed is the longest finding that encrypt seals, in bytes; a longer one becomes <TYPE>.
const MaxSealed = 4096

// base is base32 over the alphabet, without padding. It is made once for an operator.
func base() *base32.Encoding { return base32.NewEncoding(alphabet).WithPadding(base32.NoPadding) }

// tokenLen is the length of the token that b begins with, 0 if it begins with none. Values are those that this step wrote, or none.
func tokenLen(b []byte, types map[string]bool, values bool) int {
	name, value, n := cutToken(b)
	if n == 0 || !types[string(name)] || value != nil && !(values && tokenValue(value)) {
		return 0
	}
	return n
}

// cutToken takes apart what looks like a token; value is nil if there is none.
func cutToken(b []byte) (name, value []byte, n int) {
	i := 1
	for i < len(b) && i <= maxTypeName+1 && (b[i] >= 'A' && b[i] <= 'Z' || b[i] >= '0' && b[i] <= '9' || b[i] == '_') {
		i++
	}
	if i == 1 || i >= len(b) {
		return nil, nil, 0
	}
	name = b[1:i]
	if b[i] == '>' {
		return name, nil, i + 1
	}
	if b[i] != ':' {
		return nil, nil, 0
	}
	i++
	from := i
	for i < len(b) && i-from <= maxSealed && (b[i] >= 'a' && b[i] <= 'z' || b[i] >= '2' && b[i] <= '7') {
		i++
	}
	if i >= len(b) || b[i] != '>' {
		return nil, nil, 0
	}
	return name, b[from:i], i + 1
}

// tokenValue reports whether a value has the length of a keyed name or of a sealed text.
func tokenValue(value []byte) bool {
	if len(value) == 0 {
		return false
	}
	n := len(value) * 5 / 8
	return n == hashBytes || n >= nonceBytes+tagBytes+padTo && (n-nonceBytes-tagBytes)%padTo == 0
}
