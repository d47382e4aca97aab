// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/glovebox-dev/glovebox/attestation"
)

// Import makes an envelope of a document as tools leave it: the COSE_Sign1 itself, the security module's answer with it
// inside, dstack's framing, a JSON object with it as text; binary, hex or base64. It brings its own certificates; CRLs may
// come as collateral.
func Import(raw attestation.Raw) (*attestation.Evidence, error) {
	if len(raw.Certs) > 0 || len(raw.EventLogs) > 0 {
		return nil, fmt.Errorf("%w: a Nitro document carries its certificates and has no event log: give --report, and CRLs as --collateral", ErrImport)
	}
	doc, err := unwrap(raw.Report)
	if err != nil {
		return nil, err
	}
	if _, _, err := parse(doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	e := &attestation.Evidence{Version: 1, Platform: attestation.PlatformNitro, Evidence: doc}
	for _, b := range raw.Collateral {
		crls, err := importCRLs(b)
		if err != nil {
			return nil, err
		}
		e.Endorsements = append(e.Endorsements, crls...)
	}
	return e, nil
}

// unwrap takes one layer after the other off what may be around a COSE_Sign1.
func unwrap(b []byte) ([]byte, error) {
	if len(b) == 0 || len(b) > maxImport {
		return nil, fmt.Errorf("%w: %d bytes, want 1 to %d", ErrImport, len(b), maxImport)
	}
	for range 4 {
		if b[0] == arrayOf4 || b[0] == tagSign1 {
			return b, nil
		}
		var err error
		switch {
		case bytes.HasPrefix(b, []byte{0, 2}):
			b, err = fromSCALE(b)
		case b[0] == 0xa1:
			b, err = fromModule(b)
		default:
			b, err = fromText(b)
		}
		if err != nil {
			return nil, err
		}
		if len(b) == 0 {
			break
		}
	}
	return nil, fmt.Errorf("%w: no attestation document; want the COSE_Sign1 that the enclave's /dev/nsm answered", ErrImport)
}

// fromModule reads the Nitro Security Module's answer: {"Attestation": {"document": …}}.
func fromModule(b []byte) ([]byte, error) {
	mode, err := strict(cbor.IndefLengthAllowed)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Attestation struct {
			Document []byte `cbor:"document"`
		}
	}
	if err := mode.Unmarshal(b, &answer); err != nil {
		return nil, fmt.Errorf("%w: neither a document nor a security module's answer: %w", ErrImport, err)
	}
	return answer.Attestation.Document, nil
}

// documentNames are the members that peers' tools put a document's text in.
func documentNames() []string {
	return []string{"document", "attestation_document", "attestationDocument", "attestation_doc", "attestation", "nsm_quote", "quote"}
}

func fromText(b []byte) ([]byte, error) {
	text := strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "{") {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrImport, err)
		}
		for _, name := range documentNames() {
			var s string
			if json.Unmarshal(members[name], &s) == nil && s != "" {
				return []byte(s), nil
			}
		}
		return nil, fmt.Errorf("%w: JSON without the document: want it as text in one of %q", ErrImport, documentNames())
	}
	text = strings.Join(strings.Fields(text), "")
	if out, err := hex.DecodeString(strings.TrimPrefix(text, "0x")); err == nil && len(out) > 0 {
		return out, nil
	}
	bare := strings.TrimRight(text, "=")
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if out, err := enc.DecodeString(bare); err == nil && len(out) > 0 {
			return out, nil
		}
	}
	return nil, fmt.Errorf("%w: neither CBOR nor hex nor base64", ErrImport)
}

func importCRLs(b []byte) ([]attestation.Endorsement, error) {
	if len(b) == 0 || len(b) > maxCRL {
		return nil, fmt.Errorf("%w: collateral of %d bytes, want 1 to %d", ErrImport, len(b), maxCRL)
	}
	var out []attestation.Endorsement
	for rest := b; ; {
		var p *pem.Block
		if p, rest = pem.Decode(rest); p == nil {
			break
		}
		if p.Type != "X509 CRL" {
			return nil, fmt.Errorf("%w: collateral has a PEM block %.*q: CRLs only", ErrImport, maxShown, p.Type)
		}
		out = append(out, attestation.Endorsement{Type: attestation.CRLType, Body: p.Bytes})
	}
	if out == nil {
		out = []attestation.Endorsement{{Type: attestation.CRLType, Body: b}}
	}
	return out, nil
}
