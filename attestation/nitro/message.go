// SPDX-License-Identifier: Apache-2.0

package nitro

import (
	"bytes"
	"errors"
	"fmt"
)

// The module speaks CBOR (RFC 8949). These are the only kinds of item in an answer.
const (
	majorBytes = 2
	majorText  = 3
	majorMap   = 5

	indefinite = -1
	endOfMap   = 0xff
)

var errAnswer = errors.New("answer is not one to an attestation request")

// attestationRequest is {"Attestation": {"user_data": userData, "nonce": null, "public_key": null}}. User data has 24 to 255 bytes.
func attestationRequest(userData []byte) []byte {
	b := append([]byte{0xa1, 0x6b}, "Attestation"...)
	b = append(append(b, 0xa3, 0x69), "user_data"...)
	b = append(append(b, 0x58, byte(len(userData))), userData...)
	b = append(append(b, 0x65), "nonce"...)
	b = append(append(b, 0xf6, 0x6a), "public_key"...)
	return append(b, 0xf6)
}

// document reads {"Attestation": {"document": …}}, or says what {"Error": …} says.
func document(answer []byte) ([]byte, error) {
	r := &reader{answer}
	name, end := r.member()
	if name == "Error" {
		return nil, fmt.Errorf("it says %q", r.text())
	}
	if name != "Attestation" {
		return nil, errAnswer
	}
	name, innerEnd := r.member()
	if name != "document" {
		return nil, errAnswer
	}
	doc := r.item(majorBytes)
	if len(doc) == 0 || !r.closes(innerEnd) || !r.closes(end) || len(r.rest) != 0 {
		return nil, errAnswer
	}
	return bytes.Clone(doc), nil
}

// reader takes items off the front of rest. What is not as expected empties it, so that nothing after it is found either.
type reader struct{ rest []byte }

// member opens a map of one and reads its key; open says that the map's end must follow its value.
func (r *reader) member() (key string, open bool) {
	switch n := r.head(majorMap); n {
	case 1:
		return r.text(), false
	case indefinite:
		return r.text(), true
	}
	r.rest = nil
	return "", false
}

func (r *reader) closes(open bool) bool {
	if !open {
		return true
	}
	ok := len(r.rest) > 0 && r.rest[0] == endOfMap
	if ok {
		r.rest = r.rest[1:]
	}
	return ok
}

func (r *reader) text() string { return string(r.item(majorText)) }

// item is a whole string, of text or bytes.
func (r *reader) item(major byte) []byte {
	n := r.head(major)
	if n < 0 || n > len(r.rest) {
		r.rest = nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// head is the length of an item of one kind; -2 if it is of another, or longer than an answer can be.
func (r *reader) head(major byte) int {
	if len(r.rest) == 0 || r.rest[0]>>5 != major {
		r.rest = nil
		return -2
	}
	info := r.rest[0] & 0x1f
	r.rest = r.rest[1:]
	switch {
	case info < 24:
		return int(info)
	case info == 24 && len(r.rest) >= 1:
		n := int(r.rest[0])
		r.rest = r.rest[1:]
		return n
	case info == 25 && len(r.rest) >= 2:
		n := int(r.rest[0])<<8 | int(r.rest[1])
		r.rest = r.rest[2:]
		return n
	case info == 31 && major == majorMap:
		return indefinite
	}
	r.rest = nil
	return -2
}
