// SPDX-License-Identifier: Apache-2.0

package bom

import (
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// The OpenSSF model signing format, v1.0: an in-toto statement over a folder's files, in a sigstore bundle without log entry.
type modelFiles struct {
	Serialization modelSerialization `json:"serialization"`
	Resources     []modelResource    `json:"resources"`
}

type modelSerialization struct {
	Method   string   `json:"method"`
	HashType string   `json:"hash_type"`
	Symlinks bool     `json:"allow_symlinks"`
	Ignore   []string `json:"ignore_paths"`
}

type modelResource struct {
	Name      string `json:"name"`
	Algorithm string `json:"algorithm"`
	Digest    string `json:"digest"`
}

type modelBundle struct {
	MediaType string          `json:"mediaType"`
	Material  modelMaterial   `json:"verificationMaterial"`
	DSSE      json.RawMessage `json:"dsseEnvelope"`
}

type modelMaterial struct {
	PublicKey struct {
		Hint string `json:"hint"`
	} `json:"publicKey"`
	Entries []struct{} `json:"tlogEntries"`
}

// SignModel signs a package's files, as they lie in a folder of blobs, so that OpenSSF model_signing verifies them with the
// owner's key. The owner says the same in her manifest; this is that word in another tool's format.
func SignModel(p *Package, owner *envelope.Signer) ([]byte, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	files := p.files()
	var all []byte
	predicate := modelFiles{modelSerialization{"files", "sha256", false, []string{}}, []modelResource{}}
	for _, d := range files {
		predicate.Resources = append(predicate.Resources, modelResource{d.Hex()[:2] + "/" + d.Hex()[2:], "sha256", d.Hex()})
		all = append(all, d[:]...)
	}
	signed, _, err := envelope.Sign(owner, envelope.ModelSigningType, []envelope.Subject{envelope.NewSubject(p.Manifest.Name, envelope.Sum(all))}, predicate)
	if err != nil {
		return nil, err
	}
	b := modelBundle{MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json", DSSE: signed}
	// model_signing's hint is of the PEM text, not of the key.
	b.Material.PublicKey.Hint = envelope.Sum(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: owner.Public().SPKI()})).Hex()
	b.Material.Entries = []struct{}{}
	return write(b)
}

// files are the distinct blobs of a package, by digest.
func (p *Package) files() []envelope.Digest {
	out := slices.Clone(p.Manifest.Tree.Levels)
	for i := range p.Manifest.Segments {
		if p.Manifest.Erased(i) == nil {
			out = append(out, p.Manifest.Segments[i].Blob)
		}
	}
	slices.SortFunc(out, func(a, b envelope.Digest) int { return strings.Compare(a.Hex(), b.Hex()) })
	return slices.Compact(out)
}
