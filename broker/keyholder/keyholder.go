// SPDX-License-Identifier: Apache-2.0

// Package keyholder keeps the key that wraps an owner's data keys.
//
// Trust domain: the owner's side. Its one job: a data key is stored wrapped, for one package, and comes back only here.
// docs/spec/keyholder.md has the formats of wrapped keys.
package keyholder

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of this package. [ErrUnwrap] says nothing about why: wrong key, wrong package, altered bytes and a version that
// was shredded look the same.
var (
	ErrUnwrap      = errors.New("keyholder: the wrapped key does not open")
	ErrInput       = errors.New("keyholder: unusable input")
	ErrUnavailable = errors.New("keyholder: does not answer now; try again")
	ErrAuth        = errors.New("keyholder: the credential is refused")
)

// Bounds, in bytes, and of one batch in keys.
const (
	MaxKey     = 64
	MaxContext = 4 << 10
	MaxWrapped = 1 << 10
	MaxBatch   = 64 << 10
)

// Keyholder wraps and unwraps data keys under a key it does not hand out. The context is authenticated: a key wrapped for
// one package does not open as another's. A call gives the whole result or an error, never a part of one: [ErrUnavailable]
// when nothing was decided and the same call may succeed later, [ErrAuth] when the keyholder refuses us. Implementations are
// safe for concurrent use and pass [keyholdertest.Run]. Further abilities are found by type assertion: [Batch], [Rotator],
// [Retirer], [Sealer].
type Keyholder interface {
	Wrap(ctx context.Context, context, key []byte) ([]byte, error)
	Unwrap(ctx context.Context, context, wrapped []byte) ([]byte, error)
}

// Item is one wrapped key with its context.
type Item struct {
	Context []byte `json:"context"`
	Wrapped []byte `json:"wrapped"`
}

// Batch is a keyholder that opens many keys in one call. It opens all or none; the caller wipes the result.
type Batch interface {
	UnwrapAll(ctx context.Context, items []Item) ([][]byte, error)
}

// Rotator is a keyholder whose key has versions. Rotate makes a new one, which wraps from then on; older ones still open
// what they wrapped. Rewrap gives the same data key wrapped by the newest version.
type Rotator interface {
	Rotate(ctx context.Context) error
	Rewrap(ctx context.Context, context, wrapped []byte) ([]byte, error)
}

// Versions are the versions of a keyholder's key: those from Oldest on open, Latest wraps.
type Versions struct {
	Oldest int `json:"oldest"`
	Latest int `json:"latest"`
}

// Retirer is a keyholder that can shred old versions of its key. After Retire(oldest) no version below opens anything,
// ever: what was wrapped by them and not rewrapped is lost, which is what it is for. The latest version cannot be retired.
type Retirer interface {
	Rotator
	Versions(ctx context.Context) (Versions, error)
	Version(wrapped []byte) (int, error)
	Retire(ctx context.Context, oldest int) error
}

// SealRequest asks a keyholder to open wrapped data keys and to seal them to an enclave by itself. Whom to seal to is in
// the evidence, and nowhere else.
type SealRequest struct {
	Items         []SealItem // the package's key, then those of its contributors
	ByContributor bool       // the package was packed by contributor
	Manifest      envelope.Digest
	Job           envelope.Digest
	Evidence      []byte          // which the keyholder checks
	Grant         envelope.Digest // HPKE additional data
}

// SealItem is one wrapped key; a contributor's names her unit, the package's none.
type SealItem struct {
	Item
	Unit *envelope.Digest `json:"unit"`
}

// Sealer is a keyholder that never shows a data key, not even to the broker: it checks the evidence itself, which must
// answer one of its own challenges, and gives what [SealTo] would. Its Unwrap is refused with [ErrInput].
type Sealer interface {
	Challenge(ctx context.Context, manifest, job envelope.Digest) (envelope.Nonce, error)
	Seal(ctx context.Context, r SealRequest) ([]byte, error)
}

const (
	contextLabel = "glovebox.dev/key-wrap-context/v1"
	unitLabel    = "glovebox.dev/unit-wrap-context/v1"
	packLabel    = "glovebox.dev/pack-wrap-context/v1"
)

// Context is what a package's data key is wrapped with: its manifest's digest, labelled.
func Context(manifest envelope.Digest) []byte {
	d := envelope.Hash(contextLabel, manifest[:])
	return d[:]
}

// UnitContext is what the key of an erasure unit is wrapped with: its dataset's and its own identifier, labelled.
func UnitContext(datasetID [16]byte, unit envelope.Digest) []byte {
	d := envelope.Hash(unitLabel, datasetID[:], unit[:])
	return d[:]
}

// PackContext is what the data key of a dataset is wrapped with while its first version is being packed.
func PackContext(datasetID [16]byte) []byte {
	d := envelope.Hash(packLabel, datasetID[:])
	return d[:]
}

// UnwrapAll opens many keys: in one call where the keyholder can, else one by one. It opens all or none. The caller wipes
// the result.
func UnwrapAll(ctx context.Context, k Keyholder, items []Item) ([][]byte, error) {
	if len(items) > MaxBatch {
		return nil, fmt.Errorf("%w: %d wrapped keys, at most %d", ErrInput, len(items), MaxBatch)
	}
	for i, it := range items {
		if err := CheckUnwrap(it.Context, it.Wrapped); err != nil {
			return nil, fmt.Errorf("wrapped key %d: %w", i, err)
		}
	}
	if len(items) == 0 {
		return nil, nil
	}
	var keys [][]byte
	var err error
	if b, ok := k.(Batch); ok {
		keys, err = b.UnwrapAll(ctx, items)
	} else {
		keys, err = oneByOne(ctx, k, items)
	}
	if err == nil && len(keys) != len(items) {
		err = fmt.Errorf("%w: %d keys for %d wrapped ones", ErrUnwrap, len(keys), len(items))
	}
	if err != nil {
		Wipe(keys)
		return nil, err
	}
	return keys, nil
}

func oneByOne(ctx context.Context, k Keyholder, items []Item) ([][]byte, error) {
	keys := make([][]byte, len(items))
	for i, it := range items {
		key, err := k.Unwrap(ctx, it.Context, it.Wrapped)
		if err != nil {
			return keys, fmt.Errorf("wrapped key %d: %w", i, err)
		}
		keys[i] = key
	}
	return keys, nil
}

// Wipe overwrites keys.
func Wipe(keys [][]byte) {
	for _, k := range keys {
		clear(k)
	}
}

// CheckWrap bounds what every implementation accepts.
func CheckWrap(context, key []byte) error {
	if len(context) == 0 || len(context) > MaxContext || len(key) == 0 || len(key) > MaxKey {
		return fmt.Errorf("%w: context of %d bytes, key of %d", ErrInput, len(context), len(key))
	}
	return nil
}

// CheckUnwrap bounds what every implementation accepts.
func CheckUnwrap(context, wrapped []byte) error {
	if len(context) == 0 || len(context) > MaxContext || len(wrapped) == 0 || len(wrapped) > MaxWrapped {
		return fmt.Errorf("%w: context of %d bytes, wrapped key of %d", ErrInput, len(context), len(wrapped))
	}
	return nil
}

// Interrupted is ctx's end as an error of this package: nothing was decided.
func Interrupted(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// Encode is the form of a wrapped key: a label that names the kind of keyholder, the key's version, the ciphertext.
func Encode(label string, version int, ciphertext []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte(label), uint32(version)) //nolint:gosec // versions are small and positive
	return append(b, ciphertext...)
}

// Decode is the inverse of Encode; whatever else it is given is [ErrUnwrap].
func Decode(label string, wrapped []byte) (version int, ciphertext []byte, err error) {
	n := len(label)
	if len(wrapped) <= n+4 || string(wrapped[:n]) != label {
		return 0, nil, fmt.Errorf("%w: not a key wrapped by this kind of keyholder", ErrUnwrap)
	}
	v := binary.BigEndian.Uint32(wrapped[n:])
	if v == 0 || v > 1<<30 {
		return 0, nil, fmt.Errorf("%w: no such version", ErrUnwrap)
	}
	return int(v), wrapped[n+4:], nil
}
