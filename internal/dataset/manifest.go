// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/licence"
)

// Kind says whether a package is data or code. They are otherwise the same: sealed, owned, and released by a broker.
type Kind string

// The kinds.
const (
	KindDataset Kind = "dataset"
	KindCode    Kind = "code"
)

// Format says how a package's plaintext stream divides into records.
type Format string

// The formats. The plaintext of a package is one stream: the CSV or JSON Lines text as packed, or a tar archive of
// whole files.
const (
	FormatCSV   Format = "csv"   // one record a line after the header line; quoted fields may hold newlines
	FormatJSONL Format = "jsonl" // one record a line
	FormatFiles Format = "files" // one record a file, presented as a tar stream
	// FormatSamples has one record a sample, which is a few files that belong together; presented as a tar stream of all files.
	FormatSamples Format = "samples"
)

// Manifest is the predicate of a [envelope.ManifestType] statement. Subject: the package's name with the Merkle root.
type Manifest struct {
	Kind       Kind               `json:"kind"`
	Name       string             `json:"name"`
	Dataset    ID                 `json:"dataset"`
	Version    int64              `json:"version"`    // from 1
	Previous   *envelope.Digest   `json:"previous"`   // manifest of the version before; null in version 1
	Owner      envelope.PublicKey `json:"owner"`      // signs this statement
	Credential *envelope.Digest   `json:"credential"` // of a verifiable credential about the owner, or null
	Broker     Broker             `json:"broker"`
	Test       bool               `json:"test"` // may be released below assurance "tpm"
	Format     Format             `json:"format"`
	Records    int64              `json:"records"`  // that are there: not those of erased segments
	RawBytes   int64              `json:"rawBytes"` // the plaintext stream of all that is there has no more: its length, padded
	Segments   []Segment          `json:"segments"`
	Indexes    []Index            `json:"indexes"`    // one for each version that segments are of, ascending
	Units      []ErasureUnit      `json:"units"`      // null: all segments under one key; else those of contributors, in order
	Tombstones []Tombstone        `json:"tombstones"` // null: nothing is erased; else of units, in order
	Tree       Tree               `json:"tree"`
	Terms      Terms              `json:"terms"`
	Metadata   Metadata           `json:"metadata"` // Croissant 1.1
}

// Broker is where the package's key is asked for, and the key that signs the answers.
type Broker struct {
	Address string             `json:"address"` // http or https URL
	Key     envelope.PublicKey `json:"key"`
}

// Segment is one Cobblestone-256 message: a run of whole batches of records.
type Segment struct {
	Version int64           `json:"version"` // that created it; part of its encryption context
	Index   int64           `json:"index"`   // within that version; part of its encryption context
	Blob    envelope.Digest `json:"blob"`    // SHA-256 of the ciphertext
	Bytes   int64           `json:"bytes"`   // of ciphertext
	Leaves  int64           `json:"leaves"`
	Batches int64           `json:"batches"`
	Records int64           `json:"records"` // that begin in it
}

// Blobs are all that the package needs in a store: not those of erased segments.
func (m *Manifest) Blobs() []envelope.Digest {
	out := make([]envelope.Digest, 0, len(m.Segments)+len(m.Indexes)+len(m.Tree.Levels))
	for i := range m.Segments {
		if m.Erased(i) == nil {
			out = append(out, m.Segments[i].Blob)
		}
	}
	for i := range m.Indexes {
		out = append(out, m.Indexes[i].Blob)
	}
	return append(append(out, m.Tree.Levels...), m.Terms.Modules()...)
}

// Tree is the RFC 6962 tree over all leaves of all segments, in order.
type Tree struct {
	Size   int64             `json:"size"` // leaves
	Root   envelope.Digest   `json:"root"`
	Levels []envelope.Digest `json:"levels"` // blobs of hashes: level 0 has every leaf hash, level n+1 one hash for each 256 full ones of level n
}

// Terms are what the owner allows. Everything absent is forbidden.
type Terms struct {
	Modes          []string `json:"modes"`    // privacy modes, sorted
	Purposes       []string `json:"purposes"` // allowed, sorted
	Outputs        []string `json:"outputs"`  // output classes that may leave, sorted
	MaxOutputBytes int64    `json:"maxOutputBytes"`
	MaxEpochs      int      `json:"maxEpochs"` // per job
	MaxUses        int64    `json:"maxUses"`   // jobs in all
	Logs           string   `json:"logs"`      // "off" or "sealed"
	Allowance      int64    `json:"allowance"` // leaves per heartbeat
	LeaseSeconds   int64    `json:"leaseSeconds"`
	BrokerAway     string   `json:"brokerAway"` // "wait" or "fail"
	Price          Price    `json:"price"`
	NotAfter       int64    `json:"notAfter"` // Unix seconds
	MinAssurance   string   `json:"minAssurance"`

	Access   string          `json:"access"` // AccessOpen, AccessReceipt or AccessPermit
	Code     Code            `json:"code"`
	Buyers   Buyers          `json:"buyers"`
	Licence  licence.Licence `json:"licence"`
	Receipts *Receipts       `json:"receipts"` // null unless access is AccessReceipt
	Privacy  Privacy         `json:"privacy"`
	Consent  bool            `json:"consent"` // units without consent for the job's purpose are withheld
	Steps    []ModeSteps     `json:"steps"`   // of the modes that have them, sorted by mode
	Private  []ModePrivacy   `json:"private"` // of the modes in which the enclave adds the noise, sorted by mode; null if there are none
}

// Price is per billable record, in millionths of a currency unit.
type Price struct {
	Currency  string `json:"currency"` // ISO 4217
	PerRecord int64  `json:"perRecord"`
	PerUse    int64  `json:"perUse"`
}
