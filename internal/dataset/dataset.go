// SPDX-License-Identifier: Apache-2.0

// Package dataset seals records into a package and opens a package as a stream.
//
// Trust domain: packing runs on the owner's side, streaming inside the enclave, verification anywhere; the package holds
// no state but a [Store]. Its one job: no byte of plaintext leaves a [Stream] before the ciphertext it came from was
// proven to be in the tree that the owner signed, and none is ever written to disk.
//
// Data and code are packed alike: records → compressed batches → Cobblestone-256 segments → RFC 6962 leaves → manifest.
// docs/spec/dataset.md and docs/spec/manifest.md are the formats.
package dataset

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors about what was handed in. Each message says what to do about it where there is something to do.
var (
	ErrConfig      = errors.New("dataset: incomplete configuration")
	ErrMissing     = errors.New("dataset: source does not exist")
	ErrEmpty       = errors.New("dataset: source has no records")
	ErrSparse      = errors.New("dataset: source is a sparse file")
	ErrNotText     = errors.New("dataset: source is not text")
	ErrCSV         = errors.New("dataset: malformed CSV")
	ErrRagged      = fmt.Errorf("%w: ragged", ErrCSV)
	ErrHeader      = fmt.Errorf("%w: another header", ErrCSV) // than the version before has
	ErrJSONLine    = errors.New("dataset: malformed JSON line")
	ErrRecordSize  = errors.New("dataset: record too large")
	ErrFile        = errors.New("dataset: file cannot be packed")
	ErrFileName    = fmt.Errorf("%w: its path is too long, or has letters that paths should not have", ErrFile)
	ErrNotRegular  = fmt.Errorf("%w: not a regular file", ErrFile)
	ErrTooLarge    = errors.New("dataset: too many segments")
	ErrNoBlob      = errors.New("dataset: no such blob")
	ErrFull        = errors.New("dataset: no space left in the store")
	ErrManifest    = errors.New("dataset: invalid manifest")
	ErrMode        = fmt.Errorf("%w: privacy mode is not enforced by this release", ErrManifest)
	ErrOldVersion  = errors.New("dataset: manifest is older than one already known")
	ErrOffset      = errors.New("dataset: offset outside the stream")
	ErrRange       = errors.New("dataset: leaves outside the permitted ranges, or ranges that cut a segment or unit")
	ErrConsent     = errors.New("dataset: a contributor did not consent")
	ErrContributor = errors.New("dataset: record without a contributor")
	ErrDelta       = errors.New("dataset: the account's delta is not below one in the number of persons")
)

// Errors of verification. [ErrIntegrity] is the root of all of them and wraps [envelope.ErrIntegrity].
var (
	ErrIntegrity  error = &refusal{"dataset: does not verify", envelope.ErrIntegrity}
	ErrOwner      error = &refusal{"dataset: signed by another owner", ErrIntegrity}
	ErrSubject    error = &refusal{"dataset: subject is not the package's root", ErrIntegrity}
	ErrKey        error = &refusal{"dataset: key does not open this segment", ErrIntegrity}
	ErrChunk      error = &refusal{"dataset: chunk does not authenticate", ErrIntegrity}
	ErrTruncated  error = &refusal{"dataset: truncated", ErrIntegrity}
	ErrLeaf       error = &refusal{"dataset: leaf is not the one in the tree", ErrIntegrity}
	ErrProof      error = &refusal{"dataset: proof does not lead to the signed root", ErrIntegrity}
	ErrBlob       error = &refusal{"dataset: blob does not have its digest", ErrIntegrity}
	ErrBatch      error = &refusal{"dataset: malformed batch", ErrIntegrity}
	ErrDiscrepant error = &refusal{"dataset: contents differ from the manifest", ErrIntegrity}
)

// refusal is a sentinel with a parent, so that a caller can ask for one failure or for the whole class.
type refusal struct {
	text   string
	parent error
}

func (e *refusal) Error() string { return e.text }
func (e *refusal) Unwrap() error { return e.parent }

// ID names a dataset across its versions.
type ID = envelope.PackageID

// KeySize is the length of a data key in bytes.
const KeySize = 32

// Key is a data key. Copies share the secret, so that one [Key.Wipe] clears them all. It has no text form, and the zero
// Key seals and opens nothing.
type Key struct{ secret *[KeySize]byte }

// NewKey draws a key from the system's random source.
func NewKey() Key {
	k := Key{new([KeySize]byte)}
	rand.Read(k.secret[:]) //nolint:errcheck // never fails since Go 1.24
	return k
}

// KeyFromBytes copies an unwrapped key. It refuses other lengths and the all-zero key.
func KeyFromBytes(b []byte) (Key, error) {
	if len(b) != KeySize || [KeySize]byte(b) == [KeySize]byte{} {
		return Key{}, fmt.Errorf("%w: a data key has %d bytes, not all zero", ErrConfig, KeySize)
	}
	s := [KeySize]byte(b)
	return Key{&s}, nil
}

// Bytes is the secret itself, for wrapping; not a copy. It is nil for the zero Key.
func (k Key) Bytes() []byte {
	if k.secret == nil {
		return nil
	}
	return k.secret[:]
}

// Wipe overwrites the secret. Keys copied from k are unusable afterwards.
func (k Key) Wipe() {
	if k.secret != nil {
		clear(k.secret[:])
	}
}

// usable refuses the zero Key and a wiped one.
func (k Key) usable() error {
	if k.secret == nil || *k.secret == [KeySize]byte{} {
		return fmt.Errorf("%w: no data key, or a wiped one", ErrConfig)
	}
	return nil
}
