// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/rawfile"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ErrImport refuses files that make no evidence.
var ErrImport = errors.New("tpm: not a quote with its key and values")

const maxImport = 1 << 20

// Import makes an envelope of a TPM's quote as tools leave it, for people to look at: the canonical evidence of this
// platform, Confidential Containers' JSON {ak_public, tpm_quote}, or the files of tpm2-tools: the message as report, and
// among the collateral the signature, the key (TPMT_PUBLIC, TPM2B_PUBLIC, or PEM) and the values (tpm2_quote -F values: in a
// row). No broker has endorsed such a key, so the evidence is nobody's: it can be explained, and never accepted.
// Errors: [ErrImport].
func Import(raw attestation.Raw) (*attestation.Evidence, error) {
	if len(raw.Report) == 0 || len(raw.Report) > maxImport || len(raw.Collateral) > maxEndorsed {
		return nil, fmt.Errorf("%w: a report of %d bytes and %d files", ErrImport, len(raw.Report), len(raw.Collateral))
	}
	f := &files{}
	for _, b := range append([][]byte{raw.Report}, append(raw.Collateral, raw.Certs...)...) {
		if err := f.take(b); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrImport, err)
		}
	}
	if err := f.complete(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	body, err := f.Encode()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	logs, err := rawfile.EventLogs(raw.EventLogs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	return &attestation.Evidence{Version: 1, Platform: attestation.PlatformTPM, Evidence: body, EventLogs: logs}, nil
}

// files is what was found in them.
type files struct {
	quote.Evidence
	values []string // in a row: all 24, or the quoted ones
}

// take keeps what b is, by its look.
func (f *files) take(b []byte) error {
	if text := bytes.TrimSpace(b); bytes.HasPrefix(text, []byte("{")) {
		return f.takeJSON(text)
	}
	if p, _ := pem.Decode(b); p != nil && p.Type == "PUBLIC KEY" {
		f.AKPublic = p.Bytes
		return nil
	}
	if f.takeBinary(b) || f.takeBinary(rawfile.Binary(b)) {
		return nil
	}
	return fmt.Errorf("a file of %d bytes is neither quote, signature, key nor values", len(b))
}

func (f *files) takeBinary(b []byte) bool {
	has := func(prefix ...byte) bool { return bytes.HasPrefix(b, prefix) }
	switch {
	case has(0xff, 'T', 'C', 'G'):
		f.Quote = b
	case has(0x00, 0x14, 0x00, 0x0b) || has(0x00, 0x18, 0x00, 0x0b):
		f.Signature = b
	case has(0x00, 0x01, 0x00, 0x0b) || has(0x00, 0x23, 0x00, 0x0b) || has(0x30, 0x82) || has(0x30, 0x59):
		f.AKPublic = b
	case len(b) > 2 && int(binary.BigEndian.Uint16(b)) == len(b)-2:
		f.AKPublic = b[2:]
	case len(b) > 0 && len(b)%32 == 0 && len(b) <= 32*quote.PCRCount:
		f.values = nil
		for ; len(b) > 0; b = b[32:] {
			f.values = append(f.values, hex.EncodeToString(b[:32]))
		}
	default:
		return false
	}
	return true
}

func (f *files) takeJSON(text []byte) error {
	if envelope.Decode(text, quote.MaxEvidence, &f.Evidence) == nil && len(f.PCRs) > 0 {
		return nil
	}
	f.Evidence = quote.Evidence{}
	var p struct {
		Key   string `json:"ak_public"`
		Quote struct {
			Message, Signature string
			PCRs               []string
		} `json:"tpm_quote"`
	}
	if err := json.Unmarshal(text, &p); err != nil || p.Key == "" || p.Quote.Message == "" {
		return fmt.Errorf("JSON, but without ak_public and tpm_quote (%v)", err)
	}
	f.AKPublic = rawfile.Binary([]byte(p.Key))
	f.Quote, f.Signature, f.values = rawfile.Binary([]byte(p.Quote.Message)), rawfile.Binary([]byte(p.Quote.Signature)), p.Quote.PCRs
	return nil
}

// complete names the values, which the quote selects.
func (f *files) complete() error {
	if len(f.Quote) == 0 || len(f.Signature) == 0 || len(f.AKPublic) == 0 {
		return errors.New("want the quote's message as report, and its signature, its key and the PCR values beside it, as collateral")
	}
	if len(f.PCRs) > 0 {
		return nil
	}
	a, err := quote.ParseAttest(f.Quote)
	if err != nil {
		return err
	}
	if len(f.values) != quote.PCRCount && len(f.values) != len(a.PCRs) {
		return fmt.Errorf("%d PCR values; want all 24, or the %d that are quoted", len(f.values), len(a.PCRs))
	}
	f.PCRs = map[string]string{}
	for i, pcr := range a.PCRs {
		if len(f.values) == quote.PCRCount {
			i = pcr
		}
		f.PCRs[quote.Name(pcr)] = f.values[i]
	}
	return nil
}
