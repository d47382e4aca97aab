// SPDX-License-Identifier: Apache-2.0

package attestation

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	bindingLabel = "glovebox.dev/binding/v1"
	nestedLabel  = "glovebox.dev/nested-evidence/v1"
)

// runtimeName is the shape of a runtime class, such as "wasm-fuel/1".
var runtimeName = regexp.MustCompile(`^[a-z0-9][a-z0-9./-]{0,63}$`)

// Owner is one owner's part of a binding: whose question the evidence answers, and for which package.
type Owner struct {
	Audience envelope.PublicKey `json:"audience"` // the broker's key
	Nonce    envelope.Nonce     `json:"nonce"`    // from that broker, single use
	Manifest envelope.Digest    `json:"manifest"` // of the package whose key is asked for
}

// Binding is everything one evidence vouches for. Its digest d is computed by [Binding.Digest] and nowhere else.
type Binding struct {
	Owners        []Owner            `json:"owners"`        // the code's owner first, then the datasets', in the job's order
	HPKEKey       []byte             `json:"hpkeKey"`       // serialised MLKEM768-X25519 public key, 1216 bytes
	SigningKey    envelope.PublicKey `json:"signingKey"`    // the lease's key
	LeaseID       envelope.Nonce     `json:"leaseId"`       // drawn by the enclave
	Job           envelope.Digest    `json:"job"`           // job statement
	Runtime       string             `json:"runtime"`       // runtime class
	Configuration envelope.Digest    `json:"configuration"` // of the enclave's effective configuration
	SelfTest      envelope.Digest    `json:"selfTest"`      // of the worker self-test's result
	Engine        envelope.Digest    `json:"engine"`        // of the WASM engine's identity
}

// Validate refuses a binding with anything missing: each field vouches for something, so none may be empty.
func (b *Binding) Validate() error {
	switch {
	case len(b.Owners) < 2 || len(b.Owners) > maxOwners:
		return fmt.Errorf("%w: %d owners", ErrBinding, len(b.Owners))
	case len(b.HPKEKey) != hpkeKeySize:
		return fmt.Errorf("%w: HPKE key of %d bytes, want %d", ErrBinding, len(b.HPKEKey), hpkeKeySize)
	case bytes.Equal(b.HPKEKey, make([]byte, hpkeKeySize)):
		return fmt.Errorf("%w: HPKE key is all zero", ErrBinding)
	case b.SigningKey.IsZero() || b.LeaseID.IsZero() || b.Job.IsZero() || !runtimeName.MatchString(b.Runtime):
		return fmt.Errorf("%w: signing key, lease, job or runtime missing", ErrBinding)
	case b.Configuration.IsZero() || b.SelfTest.IsZero() || b.Engine.IsZero():
		return fmt.Errorf("%w: configuration, self-test or engine digest missing", ErrBinding)
	}
	return b.validateOwners()
}

// validateOwners refuses a nonce used for two packages too: each release is asked for with a nonce of its own.
func (b *Binding) validateOwners() error {
	manifests, nonces := map[envelope.Digest]bool{}, map[envelope.Nonce]bool{}
	for _, o := range b.Owners {
		if o.Audience.IsZero() || o.Nonce.IsZero() || o.Manifest.IsZero() || manifests[o.Manifest] || nonces[o.Nonce] {
			return fmt.Errorf("%w: owner incomplete or repeated", ErrBinding)
		}
		if o.Audience.Equal(b.SigningKey) {
			return fmt.Errorf("%w: %w: of a broker and of the lease", ErrBinding, envelope.ErrKeyReuse)
		}
		manifests[o.Manifest], nonces[o.Nonce] = true, true
	}
	return nil
}

func (b *Binding) clone() Binding {
	c := *b
	c.Owners, c.HPKEKey = slices.Clone(b.Owners), bytes.Clone(b.HPKEKey)
	return c
}

// Digest is d = SHA-256(label ‖ fields), each length-prefixed, in the order of docs/spec/evidence.md.
func (b *Binding) Digest() (envelope.Digest, error) {
	if err := b.Validate(); err != nil {
		return envelope.Digest{}, err
	}
	var fields [][]byte
	count := binary.BigEndian.AppendUint64(nil, uint64(len(b.Owners)))
	fields = append(fields, count)
	for _, o := range b.Owners {
		fields = append(fields, o.Audience.SPKI(), o.Nonce[:], o.Manifest[:])
	}
	fields = append(fields, b.HPKEKey, b.SigningKey.SPKI(), b.LeaseID[:], b.Job[:], []byte(b.Runtime),
		b.Configuration[:], b.SelfTest[:], b.Engine[:])
	return envelope.Hash(bindingLabel, fields...), nil
}

// ReportData is d ‖ 0³², the 64 bytes that SGX, TDX and SNP carry.
func ReportData(d envelope.Digest) [64]byte {
	var r [64]byte
	copy(r[:], d[:])
	return r
}

// CheckReportData compares all 64 bytes: d, then 32 zeros.
func CheckReportData(r []byte, d envelope.Digest) error {
	want := ReportData(d)
	if d.IsZero() || len(r) != len(want) || [64]byte(r) != want {
		return fmt.Errorf("%w: report data is not this binding's", ErrBind)
	}
	return nil
}

// NestedDigest is what evidence nested under a binding is bound to.
func NestedDigest(d envelope.Digest) envelope.Digest { return envelope.Hash(nestedLabel, d[:]) }
