// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
)

// Import makes evidence of files as they are found: a quote (binary, hex, base64, or in the JSON of Confidential Containers,
// Intel Trust Authority or dstack), collateral as package dcap reads it, and a CCEL with or without its padding. Whatever
// follows a quote in its buffer is left behind. Errors: [ErrImport].
func Import(raw attestation.Raw) (*attestation.Evidence, error) {
	if len(raw.Report) == 0 || len(raw.Report) > attestation.MaxEvidence {
		return nil, fmt.Errorf("%w: quote of %d bytes, want 1 to %d", ErrImport, len(raw.Report), attestation.MaxEvidence)
	}
	in, err := readReport(raw.Report)
	if err != nil {
		return nil, fmt.Errorf("%w: quote: %w", ErrImport, err)
	}
	e := &attestation.Evidence{Version: 1, Platform: attestation.PlatformTDX}
	if e.Evidence, err = quote.Cut(in.quote); err != nil {
		return nil, fmt.Errorf("%w: quote: %w", ErrImport, err)
	}
	if e.Endorsements, err = importCollateral(e.Evidence, raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	logs := raw.EventLogs
	if len(logs) == 0 && in.log != nil {
		logs = [][]byte{in.log}
	}
	for _, b := range logs {
		l, err := readLog(b)
		if err != nil {
			return nil, fmt.Errorf("%w: event log: %w", ErrImport, err)
		}
		e.EventLogs = append(e.EventLogs, attestation.EventLog{Type: attestation.CCELLog, Body: l})
	}
	return e, nil
}

// importCollateral leaves out what concerns other platforms than the quote's: peers keep collateral of many together.
func importCollateral(raw []byte, files attestation.Raw) ([]attestation.Endorsement, error) {
	ends, err := dcap.Import(files.Certs, files.Collateral)
	if err != nil {
		return nil, err
	}
	q, err := quote.Parse(raw)
	if err != nil {
		return nil, err
	}
	s, err := dcap.ParseTDXSignature(q.AuthData)
	if err != nil {
		return ends, nil // for Authenticate to say what is wrong with it
	}
	return dcap.Select(ends, &dcap.Quote{TEE: dcap.TDX, Signed: q.Signed, Signature: s, Module: module(&q.TD)}), nil
}

// found is what a file with a quote has.
type found struct{ quote, log []byte }

// peer is evidence in the JSON of other projects. Only these members are read.
type peer struct {
	Quote    string          `json:"quote"`
	EventLog string          `json:"event_log"`   // dstack: a JSON list in a string
	CCEL     string          `json:"cc_eventlog"` // Confidential Containers: base64
	TDX      json.RawMessage `json:"tdx"`         // Intel Trust Authority: the same one level down
}

func readReport(b []byte) (found, error) {
	text := bytes.TrimSpace(b)
	if !bytes.HasPrefix(text, []byte("{")) {
		q, err := decodeText(b, isQuote)
		return found{quote: q}, err
	}
	var p peer
	err := json.Unmarshal(text, &p)
	if err == nil && p.Quote == "" && len(p.TDX) != 0 {
		err = json.Unmarshal(p.TDX, &p)
	}
	if err != nil {
		return found{}, fmt.Errorf("JSON: %w", err)
	}
	if p.Quote == "" {
		return found{}, fmt.Errorf(`JSON without "quote"`)
	}
	f := found{log: []byte(p.EventLog)}
	if p.EventLog == "" && p.CCEL != "" {
		f.log = []byte(p.CCEL)
	}
	if len(f.log) == 0 {
		f.log = nil
	}
	f.quote, err = decodeText([]byte(p.Quote), isQuote)
	return f, err
}

// isQuote reports whether b starts as a quote does. Neither hex nor base64 does.
func isQuote(b []byte) bool {
	return len(b) > 4 && b[1] == 0 && b[3] == 0 && b[0] < ' ' && b[2] < ' '
}

// isLog reports whether b starts as a log in the TCG's format does.
func isLog(b []byte) bool {
	return len(b) > 8 && b[0] <= 1 && bytes.Equal(b[1:8], []byte{0, 0, 0, 3, 0, 0, 0})
}

// decodeText is b itself if it is what was looked for, or what its hex or base64 stands for.
func decodeText(b []byte, is func([]byte) bool) ([]byte, error) {
	if is(b) {
		return b, nil
	}
	text := strings.Join(strings.Fields(string(b)), "")
	if out, err := hex.DecodeString(strings.TrimPrefix(text, "0x")); err == nil && is(out) {
		return out, nil
	}
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	if out, err := base64.RawStdEncoding.DecodeString(text); err == nil && is(out) {
		return out, nil
	}
	return nil, fmt.Errorf("neither binary, hex, base64 nor JSON with what was looked for")
}

// readLog is a CCEL without padding, made of dstack's list if it is one.
func readLog(b []byte) ([]byte, error) {
	if len(b) > attestation.MaxEvidence {
		return nil, fmt.Errorf("%d bytes, at most %d", len(b), attestation.MaxEvidence)
	}
	if text := bytes.TrimSpace(b); bytes.HasPrefix(text, []byte("[")) {
		return readList(text)
	}
	area, err := decodeText(b, isLog)
	if err != nil {
		return nil, err
	}
	return eventlog.TrimCC(area)
}
