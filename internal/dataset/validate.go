// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// What terms may say.
const (
	LogsOff    = "off"
	LogsSealed = "sealed"
	AwayWait   = "wait"
	AwayFail   = "fail"
)

var (
	packageName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	term        = regexp.MustCompile(`^[a-z0-9][a-z0-9._:/-]{0,127}$`)
	currency    = regexp.MustCompile(`^[A-Z]{3}$`)
)

// outputClasses are the classes an output may have, as jobs declare them.
func outputClasses() []string { return []string{"metrics", "model", "table"} }

// assurances are those of attestation.Assurance. Only the last two are open to a package that is not for tests.
func assurances(test bool) []string {
	if test {
		return []string{"simulated", "software-tpm", "tpm", "tee"}
	}
	return []string{"tpm", "tee"}
}

func invalid(f string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrManifest, fmt.Sprintf(f, a...))
}

// Validate checks every field for itself and against the others. The zero Manifest is invalid.
func (m *Manifest) Validate() error {
	if m == nil {
		return invalid("none")
	}
	if err := m.validateOffer(); err != nil {
		return err
	}
	if err := m.validateContents(); err != nil {
		return err
	}
	return m.validateMetadata()
}

// validateContents checks what packing finds out: all that reading the package relies on.
func (m *Manifest) validateContents() error {
	if m == nil {
		return invalid("none")
	}
	if m.Dataset.IsZero() {
		return invalid("no dataset id")
	}
	if err := m.validateVersion(); err != nil {
		return err
	}
	if err := m.validateSegments(); err != nil {
		return err
	}
	if err := m.validateTree(); err != nil {
		return err
	}
	if err := m.validateUnits(); err != nil {
		return err
	}
	return m.validateTombstones()
}

// validateOffer checks what the owner says, as opposed to what packing finds out.
func (m *Manifest) validateOffer() error {
	switch {
	case m.Kind != KindDataset && m.Kind != KindCode:
		return invalid("kind %q", m.Kind)
	case !packageName.MatchString(m.Name):
		return invalid("name %q: want letters, digits, dot, dash or underscore, at most 128", m.Name)
	case !m.Format.known():
		return invalid("format %q: want %q, %q, %q or %q", m.Format, FormatCSV, FormatJSONL, FormatFiles, FormatSamples)
	case m.Credential != nil && m.Credential.IsZero():
		return invalid("zero credential digest")
	}
	if err := envelope.Distinct(m.Owner, m.Broker.Key); err != nil {
		return fmt.Errorf("%w: owner and broker: %w", ErrManifest, err)
	}
	if err := validateAddress(m.Broker.Address); err != nil {
		return err
	}
	if err := m.Terms.validate(m.Test); err != nil {
		return err
	}
	if err := m.Terms.validateModes(m.Kind); err != nil {
		return err
	}
	return m.unfailing()
}

func validateAddress(s string) error {
	u, err := url.Parse(s)
	switch {
	case len(s) > MaxAddress || err != nil:
		return invalid("broker address is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil, u.RawQuery != "" || u.ForceQuery, u.Fragment != "":
		return invalid("broker address %q: want http(s)://HOST[:PORT][/PATH]", s)
	}
	return nil
}

func (m *Manifest) validateVersion() error {
	switch {
	case m.Version < 1 || m.Version > MaxAmount:
		return invalid("version %d", m.Version)
	case (m.Version == 1) != (m.Previous == nil), m.Previous != nil && m.Previous.IsZero():
		return invalid("version %d and the digest of the version before contradict each other", m.Version)
	}
	return nil
}

func (m *Manifest) validateSegments() error {
	if len(m.Segments) == 0 || len(m.Segments) > MaxSegments {
		return invalid("%d segments, want 1 to %d", len(m.Segments), MaxSegments)
	}
	var records, most, leaves, batches, least int64
	blobs := make(map[envelope.Digest]bool, len(m.Segments))
	for i, s := range m.Segments {
		if err := s.validate(m.Version); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
		if i > 0 && !s.after(m.Segments[i-1]) {
			return invalid("segment %d is repeated or out of order", i)
		}
		if blobs[s.Blob] {
			return invalid("segment %d repeats a blob", i)
		}
		blobs[s.Blob] = true
		leaves, batches = leaves+s.Leaves, batches+s.Batches
		if m.Erased(i) == nil {
			records, most, least = records+s.Records, most+s.mostRaw(), least+s.Batches
		}
	}
	switch {
	case records != m.Records || records < 1:
		return invalid("%d records, the segments that are there have %d", m.Records, records)
	case batches > MaxBatches:
		return invalid("%d batches, at most %d", batches, MaxBatches)
	case m.RawBytes < max(least, records) || m.RawBytes > padme(most) || m.RawBytes != padme(m.RawBytes):
		return invalid("%d raw bytes in %d batches, or the length is not padded", m.RawBytes, least)
	case leaves != m.Tree.Size:
		return invalid("a tree of %d leaves, the segments have %d", m.Tree.Size, leaves)
	}
	return m.validateIndexes(blobs)
}

// validateIndexes: each version that segments are of has one, as long as its batches make it. No other blob is one.
func (m *Manifest) validateIndexes(blobs map[envelope.Digest]bool) error {
	at := 0
	for i := 0; i < len(m.Segments); at++ {
		version, batches := m.Segments[i].Version, int64(0)
		for ; i < len(m.Segments) && m.Segments[i].Version == version; i++ {
			batches += m.Segments[i].Batches
		}
		if at == len(m.Indexes) {
			return invalid("version %d has no index", version)
		}
		x := &m.Indexes[at]
		if x.Version != version || x.Bytes != indexBytes(batches) || x.Blob.IsZero() || blobs[x.Blob] {
			return invalid("index %d is not of the %d batches of version %d", at, batches, version)
		}
		blobs[x.Blob] = true
	}
	if at != len(m.Indexes) {
		return invalid("%d indexes for %d versions", len(m.Indexes), at)
	}
	return nil
}

// mostRaw is how much of the plaintext stream a segment can have.
func (s *Segment) mostRaw() int64 { return min(s.Batches*MaxBatchBytes, MaxSegmentBytes) }

func (s Segment) after(p Segment) bool {
	return s.Version > p.Version || s.Version == p.Version && s.Index > p.Index
}

func (s Segment) validate(version int64) error {
	leaves, err := segmentLeaves(s.Bytes)
	switch {
	case s.Version < 1 || s.Version > version || s.Index < 0 || s.Index >= MaxSegments:
		return invalid("version %d, index %d", s.Version, s.Index)
	case s.Blob.IsZero():
		return invalid("no blob")
	case err != nil:
		return invalid("%v", err)
	case s.Leaves != leaves:
		return invalid("%d leaves, %d bytes make %d", s.Leaves, s.Bytes, leaves)
	case s.Batches < 1 || s.Batches > MaxBatches || s.Records < 0 || s.Records > s.mostRaw():
		return invalid("%d batches, %d records", s.Batches, s.Records)
	}
	plain := plainSize(s.Bytes)
	if plain != padme(plain) || plain <= s.Batches*batchHeader || plain > padme(s.Batches*int64(batchHeader+packedBound(MaxBatchBytes))) {
		return invalid("%d bytes for %d batches, or the length is not padded", s.Bytes, s.Batches)
	}
	return nil
}

func (m *Manifest) validateTree() error {
	if m.Tree.Root.IsZero() {
		return invalid("no root")
	}
	if len(m.Tree.Levels) != treeLevels(m.Tree.Size) {
		return invalid("%d levels of hashes, %d leaves make %d", len(m.Tree.Levels), m.Tree.Size, treeLevels(m.Tree.Size))
	}
	for i, d := range m.Tree.Levels {
		if d.IsZero() {
			return invalid("no hashes of level %d", i)
		}
	}
	return nil
}

// Validate checks terms by themselves, of a dataset that is packed as a test or not.
func (t *Terms) Validate(test bool) error {
	if err := t.validate(test); err != nil {
		return err
	}
	return t.validateModes(KindDataset)
}

// validateModes holds each mode to what its promise rests on.
func (t *Terms) validateModes(kind Kind) error {
	if err := t.validateSteps(kind); err != nil {
		return err
	}
	return t.validatePrivate(kind)
}

func (t *Terms) validate(test bool) error {
	if err := t.validateLists(); err != nil {
		return err
	}
	switch {
	case t.MaxOutputBytes < 1 || t.MaxOutputBytes > MaxOutputBytes:
		return invalid("terms: output of %d bytes, want 1 to %d", t.MaxOutputBytes, int64(MaxOutputBytes))
	case t.MaxEpochs < 1 || t.MaxEpochs > MaxEpochs:
		return invalid("terms: %d epochs, want 1 to %d", t.MaxEpochs, MaxEpochs)
	case t.MaxUses < 1 || t.MaxUses > MaxAmount:
		return invalid("terms: %d uses", t.MaxUses)
	case t.Logs != LogsOff && t.Logs != LogsSealed:
		return invalid("terms: logs %q, want %q or %q", t.Logs, LogsOff, LogsSealed)
	case t.Allowance < 1 || t.Allowance > MaxAmount:
		return invalid("terms: allowance of %d leaves a heartbeat", t.Allowance)
	case t.LeaseSeconds < 1 || t.LeaseSeconds > MaxLeaseSeconds:
		return invalid("terms: lease of %d s, want 1 to %d", t.LeaseSeconds, MaxLeaseSeconds)
	case t.BrokerAway != AwayWait && t.BrokerAway != AwayFail:
		return invalid("terms: broker away %q, want %q or %q", t.BrokerAway, AwayWait, AwayFail)
	case !currency.MatchString(t.Price.Currency):
		return invalid("terms: currency %q is not ISO 4217", t.Price.Currency)
	case t.Price.PerRecord < 0 || t.Price.PerRecord > MaxAmount || t.Price.PerUse < 0 || t.Price.PerUse > MaxAmount:
		return invalid("terms: price out of range")
	case t.NotAfter < 1 || t.NotAfter > MaxAmount:
		return invalid("terms: no expiry")
	case !slices.Contains(assurances(test), t.MinAssurance):
		return invalid("terms: assurance %q, want one of %q (less only for a package packed as a test)", t.MinAssurance, assurances(test))
	}
	return t.validateAccess()
}

func (t *Terms) validateLists() error {
	for name, l := range map[string][]string{"modes": t.Modes, "purposes": t.Purposes, "outputs": t.Outputs} {
		if len(l) == 0 || len(l) > MaxList {
			return invalid("terms: no %s, or too many", name)
		}
		if !slices.IsSorted(l) || len(slices.Compact(slices.Clone(l))) != len(l) {
			return invalid("terms: %s must be sorted and distinct", name)
		}
	}
	for _, s := range t.Modes {
		if !Enforced(s) {
			return fmt.Errorf("%w: %q; this release enforces %q", ErrMode, s, Modes())
		}
	}
	for _, s := range t.Purposes {
		if !term.MatchString(s) {
			return invalid("terms: purpose %q", s)
		}
	}
	for _, s := range t.Outputs {
		if !slices.Contains(outputClasses(), s) {
			return invalid("terms: output class %q, want of %q", s, outputClasses())
		}
	}
	return nil
}
