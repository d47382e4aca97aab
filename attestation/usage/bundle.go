// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// ErrBundle means a bundle is not in its format; the error is a [*PartError] that names the part.
var ErrBundle = errors.New("usage: malformed bundle")

// PartError says which part of a bundle is malformed. It wraps [ErrBundle].
type PartError struct {
	Part string
	Err  error
}

func (e *PartError) Error() string   { return fmt.Sprintf("%v: %s: %v", ErrBundle, e.Part, e.Err) }
func (e *PartError) Unwrap() []error { return []error{ErrBundle, e.Err} }

// Names of parts, as findings carry them.
const (
	PartBundle   = "bundle"
	PartTrust    = "trust"
	PartUsage    = "usage"
	PartProof    = "proof" // with an index: of a commit
	PartEvidence = "evidence"
	PartJob      = "job"
	PartTicket   = "ticket"
	PartManifest = "manifest" // with an index: manifest[0] is the code's
	PartGrant    = "grant"
	PartCommit   = "commit"
	PartLost     = "lease-lost"
)

func part(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }

// partCommitProof is what a commit's proof is called inside this package; its part is proof[i].
const partCommitProof = "commit-proof"

const bundleVersion = 2

// Bundle is one run with everything an auditor needs but trust anchors. It is canonical JSON; every member is carried as
// it was signed. Fields are never removed; changing a meaning needs a new version.
type Bundle struct {
	Version   int               `json:"version"`
	Usage     json.RawMessage   `json:"usage"`     // sigstore bundle v0.3
	Evidence  json.RawMessage   `json:"evidence"`  // [attestation.Evidence]
	Job       json.RawMessage   `json:"job"`       // signed job
	Manifests []json.RawMessage `json:"manifests"` // signed, the code's first, then the datasets' in the job's order
	Grants    []json.RawMessage `json:"grants"`    // signed, in the order of the statement's packages
	Ticket    json.RawMessage   `json:"ticket"`    // signed run ticket
	Commits   []json.RawMessage `json:"commits"`   // signed, in the order of the grants; null where a broker gave none
	Proofs    []json.RawMessage `json:"proofs"`    // [tlog.Proof] of each commit, in their order; null where there is none

	sigstore sigstoreBundle
	proofs   []*tlog.Proof
}

// The sigstore bundle v0.3 in protobuf-JSON, as far as we use it (dev.sigstore.bundle.v1.Bundle).
type sigstoreBundle struct {
	MediaType string          `json:"mediaType"`
	Material  material        `json:"verificationMaterial"`
	DSSE      json.RawMessage `json:"dsseEnvelope"`
}

type material struct {
	PublicKey struct {
		Hint string `json:"hint"`
	} `json:"publicKey"`
	Entries []logEntry `json:"tlogEntries"`
}

type logEntry struct {
	LogIndex string `json:"logIndex"`
	LogID    struct {
		KeyID []byte `json:"keyId"`
	} `json:"logId"`
	KindVersion struct {
		Kind    string `json:"kind"`
		Version string `json:"version"`
	} `json:"kindVersion"`
	InclusionProof inclusionProof `json:"inclusionProof"`
	Body           []byte         `json:"canonicalizedBody"`
}

type inclusionProof struct {
	LogIndex   string   `json:"logIndex"`
	RootHash   []byte   `json:"rootHash"`
	TreeSize   string   `json:"treeSize"`
	Hashes     [][]byte `json:"hashes"`
	Checkpoint struct {
		Envelope string `json:"envelope"`
	} `json:"checkpoint"`
}

const sigstoreMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// Parts is what a run leaves behind, each as it was signed.
type Parts struct {
	Usage     []byte   // signed usage statement
	Evidence  []byte   // canonical evidence envelope
	Job       []byte   // signed job
	Manifests [][]byte // signed, the code's first, then the datasets' in the job's order
	Grants    [][]byte // signed, in the order of the statement's packages
	Ticket    []byte   // signed run ticket
	Commits   [][]byte // signed, in the order of the grants; nil where a broker gave none

	Proofs []*tlog.Proof // that the commits are in the log, in their order; nil, or too few, where that is not proven
}

// LeaseKey is the key that evidence binds for signing: the one the usage statement of the lease is logged and verified
// under. The evidence is only parsed, not verified.
func LeaseKey(evidence []byte) (envelope.PublicKey, error) {
	e, err := attestation.ParseEvidence(evidence)
	if err != nil {
		return envelope.PublicKey{}, err
	}
	return e.Claims.SigningKey, nil
}

// Body is the log entry of a usage statement signed under evidence.
func Body(signed, evidence []byte) ([]byte, error) {
	key, err := LeaseKey(evidence)
	if err != nil {
		return nil, err
	}
	return tlog.Body(signed, key)
}

// MakeBundle assembles a bundle from a run's parts and the proof that [Body] of its usage statement is in log. It checks
// the proof, so that no host publishes a bundle whose first finding is its own log.
func MakeBundle(p Parts, log *tlog.Log, proof tlog.Proof) ([]byte, error) {
	body, err := Body(p.Usage, p.Evidence)
	if err != nil {
		return nil, err
	}
	cp, err := log.VerifyInclusion(body, proof)
	if err != nil {
		return nil, err
	}
	key, err := LeaseKey(p.Evidence)
	if err != nil {
		return nil, err
	}
	s, err := envelope.Canonical(newSigstore(p.Usage, key, body, log.ID(), cp.Root, proof))
	if err != nil {
		return nil, err
	}
	proofs, err := rawProofs(p.Proofs, len(p.Commits))
	if err != nil {
		return nil, err
	}
	b := Bundle{
		Version: bundleVersion, Usage: s, Evidence: p.Evidence, Job: p.Job, Manifests: raws(p.Manifests),
		Grants: raws(p.Grants), Ticket: p.Ticket, Commits: raws(p.Commits), Proofs: proofs,
	}
	out, err := envelope.Canonical(b)
	if err != nil {
		return nil, err
	}
	if _, err := ParseBundle(out); err != nil {
		return nil, err
	}
	return out, nil
}

func newSigstore(signed []byte, key envelope.PublicKey, body []byte, log, root envelope.Digest, p tlog.Proof) sigstoreBundle {
	e := logEntry{LogIndex: strconv.FormatInt(p.Index, 10), Body: body}
	e.LogID.KeyID = log[:]
	e.KindVersion.Kind, e.KindVersion.Version = tlog.Kind, tlog.KindVersion
	e.InclusionProof = inclusionProof{
		LogIndex: e.LogIndex, RootHash: root[:], TreeSize: strconv.FormatInt(p.Size, 10), Hashes: [][]byte{},
	}
	for _, h := range p.Hashes {
		e.InclusionProof.Hashes = append(e.InclusionProof.Hashes, bytes.Clone(h[:]))
	}
	e.InclusionProof.Checkpoint.Envelope = p.Checkpoint
	s := sigstoreBundle{MediaType: sigstoreMediaType, DSSE: signed}
	s.Material.PublicKey.Hint = key.ID().Hex()
	s.Material.Entries = []logEntry{e}
	return s
}

func raws(in [][]byte) []json.RawMessage {
	out := []json.RawMessage{}
	for _, b := range in {
		out = append(out, b)
	}
	return out
}

// ParseBundle reads a bundle strictly. Nothing in it is trusted yet: [Bundle.Verify] decides. Every error is a
// [*PartError].
func ParseBundle(b []byte) (*Bundle, error) {
	var v Bundle
	if err := envelope.DecodeStrict(b, MaxBundle, &v); err != nil {
		return nil, &PartError{locate(b), err}
	}
	if err := v.check(); err != nil {
		return nil, err
	}
	c, err := envelope.Canonical(&v)
	if err != nil {
		return nil, &PartError{PartBundle, err}
	}
	if !bytes.Equal(c, b) {
		return nil, &PartError{v.notCanonical(), envelope.ErrNotCanonical}
	}
	return &v, nil
}

// check looks at the shape: everything present, lists of fitting lengths, the sigstore bundle well formed.
func (b *Bundle) check() error {
	bad := func(part, f string, a ...any) error { return &PartError{part, fmt.Errorf(f, a...)} }
	switch {
	case empty(b.Usage):
		return bad(PartUsage, "missing")
	case b.Version != bundleVersion:
		return bad(PartBundle, "version %d, this release reads %d", b.Version, bundleVersion)
	case len(b.Manifests) < 2 || len(b.Manifests) > maxPackages:
		return bad(PartBundle, "%d manifests, want 2 to %d", len(b.Manifests), maxPackages)
	case len(b.Grants) < 1 || len(b.Grants) > len(b.Manifests):
		return bad(PartBundle, "%d grants for %d manifests", len(b.Grants), len(b.Manifests))
	case len(b.Commits) != len(b.Grants) || len(b.Proofs) != len(b.Commits):
		return bad(PartBundle, "%d commits and %d proofs for %d grants", len(b.Commits), len(b.Proofs), len(b.Grants))
	}
	for _, m := range b.members() {
		if empty(m.raw) && m.name != PartCommit && m.name != partCommitProof {
			return bad(m.part, "missing")
		}
	}
	if err := envelope.DecodeStrict(b.Usage, MaxBundle, &b.sigstore); err != nil {
		return &PartError{PartProof, err}
	}
	// Member names in another case decode to the same struct; only the struct's own encoding counts.
	if c, err := envelope.Canonical(&b.sigstore); err != nil || !bytes.Equal(c, b.Usage) {
		return &PartError{b.notCanonical(), envelope.ErrNotCanonical}
	}
	switch s := &b.sigstore; {
	case s.MediaType != sigstoreMediaType:
		return bad(PartProof, "media type %q", s.MediaType)
	case empty(s.DSSE):
		return bad(PartUsage, "missing")
	case len(s.Material.Entries) != 1:
		return bad(PartProof, "%d log entries, want one", len(s.Material.Entries))
	}
	return b.readProofs()
}

type member struct {
	name, part string
	raw        json.RawMessage
}

func (b *Bundle) members() []member {
	out := []member{
		{PartProof, PartProof, b.Usage},
		{PartEvidence, PartEvidence, b.Evidence},
		{PartJob, PartJob, b.Job},
		{PartTicket, PartTicket, b.Ticket},
	}
	list := func(name string, l []json.RawMessage) {
		for i, r := range l {
			out = append(out, member{name, part(name, i), r})
		}
	}
	list(PartManifest, b.Manifests)
	list(PartGrant, b.Grants)
	list(PartCommit, b.Commits)
	for i, r := range b.Proofs {
		out = append(out, member{partCommitProof, part(PartProof, i), r})
	}
	return out
}

// notCanonical names the part that is not in canonical form.
func (b *Bundle) notCanonical() string {
	for _, m := range append([]member{{PartUsage, PartUsage, b.sigstore.DSSE}}, b.members()...) {
		if c, err := envelope.Canonical(m.raw); err != nil || !bytes.Equal(c, m.raw) {
			return m.part
		}
	}
	if c, err := envelope.Canonical(&b.sigstore); err != nil || !bytes.Equal(c, b.Usage) {
		return PartProof
	}
	return PartBundle
}

func empty(r json.RawMessage) bool { return len(r) == 0 || string(r) == "null" }

// Sigstore is the sigstore bundle v0.3 alone, for foreign tools.
func (b *Bundle) Sigstore() []byte { return bytes.Clone(b.Usage) }

// SignedUsage is the signed usage statement, unverified.
func (b *Bundle) SignedUsage() []byte { return bytes.Clone(b.sigstore.DSSE) }
