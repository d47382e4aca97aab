// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	tdxquote "github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/rawfile"
)

// ErrImport refuses files that make no evidence.
var ErrImport = errors.New("azure: not evidence of a confidential VM")

// ImportSNP makes an envelope of platform azure-snp of files: the JSON of Confidential Containers (az-snp-vtpm, all of its
// versions), the canonical evidence of this platform, or an HCL report with the TPM's quote beside it. Certificates are the
// chip's and AMD's. Nothing is believed yet. Errors: [ErrImport].
func ImportSNP(raw attestation.Raw) (*attestation.Evidence, error) {
	f, err := read(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	if len(f.TDQuote) != 0 {
		return nil, fmt.Errorf("%w of type SEV-SNP: there is a TD quote; is it platform azure-tdx?", ErrImport)
	}
	certs, err := rawfile.CertificateEndorsements(append(f.certs, raw.Certs...))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	crls, err := rawfile.CRLEndorsements(f.rest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	return f.envelope(attestation.PlatformAzureSNP, append(certs, crls...), raw.EventLogs)
}

// ImportTDX makes an envelope of platform azure-tdx, like [ImportSNP]; certificates and collateral are Intel's, read by
// package dcap.
func ImportTDX(raw attestation.Raw) (*attestation.Evidence, error) {
	f, err := read(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	if len(f.TDQuote) == 0 {
		return nil, fmt.Errorf("%w of type TDX: no TD quote; is it platform azure-snp? A file of its own is given as collateral", ErrImport)
	}
	if f.TDQuote, err = tdxquote.Cut(f.TDQuote); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	ends, err := dcap.Import(append(f.certs, raw.Certs...), f.rest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	return f.envelope(attestation.PlatformAzureTDX, ends, raw.EventLogs)
}

// files is what was found in them.
type files struct {
	hcl.Evidence
	values    [][]byte // PCR values in a row: all 24, or the quoted ones
	bareRSA   []byte   // signature without its TPMT_SIGNATURE
	certs     [][]byte
	rest      [][]byte // collateral that is not of this package
	canonical bool     // Evidence is whole as it was found
}

func (f *files) envelope(p attestation.Platform, ends []attestation.Endorsement, logs [][]byte) (*attestation.Evidence, error) {
	if err := f.complete(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	body, err := f.Encode()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	list, err := rawfile.EventLogs(logs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	return &attestation.Evidence{Version: 1, Platform: p, Evidence: body, Endorsements: ends, EventLogs: list}, nil
}

// complete names the PCR values, which the quote selects, and wraps the signature.
func (f *files) complete() error {
	switch {
	case len(f.HCLReport) == 0:
		return errors.New("no HCL report: read it from the TPM's index 0x01400001")
	case len(f.Quote) == 0 || (len(f.Signature) == 0 && len(f.bareRSA) == 0):
		return errors.New("no TPM quote with its signature; a file of its own is given as collateral")
	case f.canonical:
		return nil
	}
	if len(f.Signature) == 0 {
		f.Signature = quote.RSASignature(f.bareRSA)
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
		f.PCRs[quote.Name(pcr)] = hex.EncodeToString(f.values[i])
	}
	return nil
}

func read(raw attestation.Raw) (*files, error) {
	if len(raw.Report) == 0 || len(raw.Report) > maxImport || len(raw.Collateral) > maxFiles || len(raw.Certs) > maxFiles {
		return nil, fmt.Errorf("a report of %d bytes with %d certificates and %d other files", len(raw.Report), len(raw.Certs), len(raw.Collateral))
	}
	f := &files{}
	known, err := f.take(raw.Report)
	if err == nil && !known {
		err = errors.New("the report is neither an HCL report nor JSON with one")
	}
	for i, b := range raw.Collateral {
		if err != nil {
			break
		}
		if known, err = f.take(b); err == nil && !known {
			f.rest = append(f.rest, b)
		}
		if err != nil {
			err = fmt.Errorf("collateral file %d: %w", i+1, err)
		}
	}
	return f, err
}

// take keeps what b is, by its look; false if it is nothing of this package.
func (f *files) take(b []byte) (known bool, err error) {
	text := bytes.TrimSpace(b)
	if bytes.HasPrefix(text, []byte("{")) {
		return f.takeJSON(text)
	}
	bin := b
	if !isKnown(bin) {
		bin = rawfile.Binary(b)
	}
	switch {
	case isHCL(bin):
		return true, once(&f.HCLReport, bin, "HCL reports")
	case isTDQuote(bin):
		return true, once(&f.TDQuote, bin, "TD quotes")
	case isAttest(bin):
		return true, once(&f.Quote, bin, "TPM quotes")
	case isBincode(bin):
		return true, f.takeBincode(bin)
	}
	return false, nil
}

func isKnown(b []byte) bool   { return isHCL(b) || isTDQuote(b) || isAttest(b) || isBincode(b) }
func isHCL(b []byte) bool     { return bytes.HasPrefix(b, []byte("HCLA")) }
func isAttest(b []byte) bool  { return bytes.HasPrefix(b, []byte{0xff, 'T', 'C', 'G'}) }
func isBincode(b []byte) bool { return bytes.HasPrefix(b, []byte{0, 1, 0, 0, 0, 0, 0, 0}) } // a signature of 256 bytes
func isTDQuote(b []byte) bool {
	return len(b) > 8 && (b[0] == 4 || b[0] == 5) && bytes.Equal(b[4:8], []byte{0x81, 0, 0, 0})
}

func once(to *[]byte, b []byte, what string) error {
	if len(*to) != 0 && !bytes.Equal(*to, b) {
		return fmt.Errorf("two %s", what)
	}
	*to = b
	return nil
}

// takeBincode reads what the Rust crate az-cvm-vtpm writes with bincode: signature, message and 24 PCR values, each length
// as eight little-endian bytes.
func (f *files) takeBincode(b []byte) error {
	next := func(size uint64) []byte {
		if len(b) < 8 {
			return nil
		}
		n := binary.LittleEndian.Uint64(b)
		if b = b[8:]; n > uint64(len(b)) || n*size > uint64(len(b)) {
			return nil
		}
		out := b[:n*size]
		b = b[n*size:]
		return out
	}
	signature, message, values := next(1), next(1), next(32)
	if len(signature) == 0 || len(message) == 0 || len(values) == 0 || len(b) != 0 {
		return errors.New("a TPM quote in bincode, but cut short or followed by something")
	}
	for ; len(values) > 0; values = values[32:] {
		f.values = append(f.values, values[:32])
	}
	f.bareRSA = signature
	return once(&f.Quote, message, "TPM quotes")
}

// flexible is bytes as peers write them in JSON: a list of numbers, or text in hex, base64 or PEM.
type flexible []byte

// UnmarshalJSON implements [json.Unmarshaler].
func (x *flexible) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		if *x = []byte(s); !bytes.Contains(*x, []byte("-----BEGIN")) {
			*x = decode(s)
		}
		return nil
	}
	var numbers []byte
	if err := json.Unmarshal(b, &numbers); err != nil {
		return err
	}
	*x = numbers
	return nil
}

// decode prefers hex to base64, which a text of hex digits alone could also be.
func decode(s string) []byte {
	if b, err := hex.DecodeString(s); err == nil {
		return b
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if b, err := e.DecodeString(s); err == nil {
			return b
		}
	}
	return []byte(s)
}

// peerQuote is a TPM quote in any peer's JSON.
type peerQuote struct {
	Signature flexible   `json:"signature"`
	Message   flexible   `json:"message"`
	PCRs      []flexible `json:"pcrs"`
}

// peer is the JSON of Confidential Containers: version 0 has report and quote, later ones hcl_report and tpm_quote.
type peer struct {
	Report    flexible   `json:"report"`
	HCLReport flexible   `json:"hcl_report"`
	Quote     *peerQuote `json:"quote"`
	TPMQuote  *peerQuote `json:"tpm_quote"`
	TDQuote   flexible   `json:"td_quote"`
	VCEK      flexible   `json:"vcek"`
}

func (f *files) takeJSON(text []byte) (known bool, err error) {
	if e, err := hcl.ParseEvidence(text); err == nil {
		f.Evidence, f.canonical = *e, true
		return true, nil
	}
	var p peer
	if err := json.Unmarshal(text, &p); err == nil {
		if known, err = f.takePeer(&p); known || err != nil {
			return known, err
		}
	}
	var q peerQuote
	if err := json.Unmarshal(text, &q); err == nil && len(q.Message) != 0 {
		return true, f.takeQuote(&q)
	}
	return false, nil
}

func (f *files) takePeer(p *peer) (bool, error) {
	if len(p.HCLReport) == 0 {
		p.HCLReport = p.Report
	}
	if p.TPMQuote == nil {
		p.TPMQuote = p.Quote
	}
	if len(p.HCLReport) == 0 || p.TPMQuote == nil {
		return false, nil
	}
	if len(p.VCEK) != 0 {
		f.certs = append(f.certs, p.VCEK)
	}
	if len(p.TDQuote) != 0 {
		if err := once(&f.TDQuote, p.TDQuote, "TD quotes"); err != nil {
			return true, err
		}
	}
	if err := once(&f.HCLReport, p.HCLReport, "HCL reports"); err != nil {
		return true, err
	}
	return true, f.takeQuote(p.TPMQuote)
}

// takeQuote takes the signature as it is in a TPMT_SIGNATURE, or bare.
func (f *files) takeQuote(q *peerQuote) error {
	f.values = nil
	for _, v := range q.PCRs {
		f.values = append(f.values, v)
	}
	f.bareRSA, f.Signature = q.Signature, nil
	if len(q.Signature) == 6+256 {
		f.bareRSA, f.Signature = nil, []byte(q.Signature)
	}
	return once(&f.Quote, q.Message, "TPM quotes")
}
