// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// ErrTrust means a trust file is malformed. An incomplete one is well-formed: each missing anchor is a finding.
var ErrTrust = errors.New("usage: malformed trust")

const trustVersion = 1

// Trust is what an auditor believes before reading a bundle. The zero value trusts nothing: every missing anchor is a
// finding.
type Trust struct {
	Version       int                   `json:"version"`
	Log           json.RawMessage       `json:"log"`           // sigstore trusted_root.json with our log; null: none
	Owners        []envelope.PublicKey  `json:"owners"`        // who may sign manifests: the creators and the buyer
	References    []TrustedReference    `json:"references"`    // whose word on measurements counts
	SimulatedRoot *envelope.PublicKey   `json:"simulatedRoot"` // root of the simulated platform; null: not accepted
	MinAssurance  attestation.Assurance `json:"minAssurance"`  // the least a run must have had
	Witnesses     *TrustedWitnesses     `json:"witnesses"`     // whose cosignatures releases, usage and commits must have; null: none is asked for
}

// TrustedReference is a signed list of reference values and the key that must have signed it.
type TrustedReference struct {
	Key    envelope.PublicKey `json:"key"`
	Signed json.RawMessage    `json:"signed"`
}

// ParseTrust reads a trust file, which people may have written: strict, but not necessarily canonical.
func ParseTrust(b []byte) (*Trust, error) {
	var t Trust
	if err := envelope.DecodeStrict(b, MaxTrust, &t); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	switch {
	case t.Version != trustVersion:
		return nil, fmt.Errorf("%w: version %d, this release reads %d", ErrTrust, t.Version, trustVersion)
	case len(t.Owners) > maxOwners || len(t.References) > maxReferences:
		return nil, fmt.Errorf("%w: too many owners or references", ErrTrust)
	}
	return &t, nil
}

// WriteTrust is the canonical encoding of t; [ParseTrust] reads it.
func WriteTrust(t *Trust) ([]byte, error) {
	c := *t
	c.Version = trustVersion
	if c.Owners == nil {
		c.Owners = []envelope.PublicKey{}
	}
	if c.References == nil {
		c.References = []TrustedReference{}
	}
	b, err := envelope.Canonical(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	_, err = ParseTrust(b)
	return b, err
}

// The sigstore trusted root v0.1 in protobuf-JSON, as far as we use it (dev.sigstore.trustroot.v1.TrustedRoot).
type trustedRoot struct {
	MediaType string        `json:"mediaType"`
	Logs      []logInstance `json:"tlogs"`
}

type logInstance struct {
	BaseURL       string `json:"baseUrl"`
	HashAlgorithm string `json:"hashAlgorithm"`
	PublicKey     struct {
		RawBytes   []byte `json:"rawBytes"`
		KeyDetails string `json:"keyDetails"`
		ValidFor   struct {
			Start string `json:"start"`
		} `json:"validFor"`
	} `json:"publicKey"`
	LogID struct {
		KeyID []byte `json:"keyId"`
	} `json:"logId"`
}

const (
	trustedRootMediaType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
	logHash              = "SHA2_256"
	logKeyDetails        = "PKIX_ED25519"
	logScheme            = "https://"
)

// WriteTrustedRoot writes sigstore's trusted_root.json with log as its only anchor, valid from start.
func WriteTrustedRoot(log *tlog.Log, start time.Time) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(log.Key())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	id := log.ID()
	i := logInstance{BaseURL: logScheme + log.Origin(), HashAlgorithm: logHash}
	i.PublicKey.RawBytes, i.PublicKey.KeyDetails = spki, logKeyDetails
	i.PublicKey.ValidFor.Start = start.UTC().Format(time.RFC3339)
	i.LogID.KeyID = id[:]
	return envelope.Canonical(trustedRoot{trustedRootMediaType, []logInstance{i}})
}

// ParseTrustedRoot reads a trusted root with exactly one log whose ID fits its origin and key.
func ParseTrustedRoot(b []byte) (*tlog.Log, error) {
	bad := func(why string) (*tlog.Log, error) { return nil, fmt.Errorf("%w: trusted root: %s", ErrTrust, why) }
	var r trustedRoot
	if err := envelope.DecodeStrict(b, MaxTrust, &r); err != nil {
		return nil, fmt.Errorf("%w: trusted root: %w", ErrTrust, err)
	}
	if r.MediaType != trustedRootMediaType || len(r.Logs) != 1 {
		return bad("want the v0.1 media type and one log")
	}
	i := r.Logs[0]
	origin, ok := strings.CutPrefix(i.BaseURL, logScheme)
	if !ok || i.HashAlgorithm != logHash || i.PublicKey.KeyDetails != logKeyDetails {
		return bad("want an https URL, " + logHash + " and " + logKeyDetails)
	}
	if _, err := time.Parse(time.RFC3339, i.PublicKey.ValidFor.Start); err != nil {
		return bad("no start of validity")
	}
	k, err := x509.ParsePKIXPublicKey(i.PublicKey.RawBytes)
	if err != nil {
		return bad("key does not parse")
	}
	key, ok := k.(ed25519.PublicKey)
	if !ok {
		return bad("key is not Ed25519")
	}
	log, err := tlog.NewLogFromKey(origin, key)
	if err != nil {
		return nil, fmt.Errorf("%w: trusted root: %w", ErrTrust, err)
	}
	if id := log.ID(); !bytes.Equal(id[:], i.LogID.KeyID) {
		return bad("log id is not that of the origin and key")
	}
	return log, nil
}
