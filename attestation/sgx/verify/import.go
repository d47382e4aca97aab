// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
)

// Import makes evidence of files as they are found: a quote (binary, hex, base64, or in JSON under "quote"; with or without
// OpenEnclave's header, with the zeros of the buffer that it was made in) and collateral as package dcap reads it. A quote that
// does not hold its PCK chain gets the one among the certificates. Errors: [ErrImport].
func Import(raw attestation.Raw) (*attestation.Evidence, error) {
	if len(raw.EventLogs) != 0 {
		return nil, fmt.Errorf("%w: SGX has no event log", ErrImport)
	}
	if len(raw.Report) == 0 || len(raw.Report) > attestation.MaxEvidence {
		return nil, fmt.Errorf("%w: quote of %d bytes, want 1 to %d", ErrImport, len(raw.Report), attestation.MaxEvidence)
	}
	b, err := readQuote(raw.Report)
	if err == nil {
		b, err = cut(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: quote: %w", ErrImport, err)
	}
	ends, err := dcap.Import(raw.Certs, raw.Collateral)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	b = withChain(b, ends)
	if q, err := parse(b); err == nil {
		// A quote whose signature data cannot be read is still evidence, which Authenticate refuses and explains.
		if q.Signature, err = dcap.ParseSGXSignature(q.sigData); err == nil {
			ends = dcap.Select(ends, &q.Quote)
		}
	}
	return &attestation.Evidence{Version: 1, Platform: attestation.PlatformSGX, Evidence: b, Endorsements: ends}, nil
}

// withChain completes a quote that names its platform to Intel only with a PCK chain that was given beside it.
func withChain(b []byte, certs []attestation.Endorsement) []byte {
	q, err := parse(b)
	if err != nil {
		return b
	}
	data, ok := dcap.WithChain(q.sigData, certs)
	if !ok {
		return b
	}
	out := binary.LittleEndian.AppendUint32(bytes.Clone(q.Signed), uint32(len(data)))
	return append(out, data...)
}

// isQuote reports whether b starts as a quote does, or as OpenEnclave's header. Neither hex nor base64 does.
func isQuote(b []byte) bool { return len(b) > 4 && b[0] < ' ' && b[1] == 0 && b[3] == 0 }

func readQuote(b []byte) ([]byte, error) {
	if isQuote(b) {
		return b, nil
	}
	text := bytes.TrimSpace(b)
	if bytes.HasPrefix(text, []byte("{")) {
		var peer struct {
			Quote string `json:"quote"`
		}
		if err := json.Unmarshal(text, &peer); err != nil || peer.Quote == "" {
			return nil, fmt.Errorf(`JSON without "quote"`)
		}
		text = []byte(peer.Quote)
	}
	s := strings.Join(strings.Fields(string(text)), "")
	if out, err := hex.DecodeString(strings.TrimPrefix(s, "0x")); err == nil && isQuote(out) {
		return out, nil
	}
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	if out, err := base64.RawStdEncoding.DecodeString(s); err == nil && isQuote(out) {
		return out, nil
	}
	return nil, fmt.Errorf("neither binary, hex, base64 nor JSON with a quote in it")
}

// cut takes the zeros behind a quote off. Nothing else may be there: it would be under no signature.
func cut(b []byte) ([]byte, error) {
	inner, wrapped, err := unwrap(b)
	if err != nil {
		return nil, err
	}
	n, err := size(inner)
	switch {
	case err != nil:
		return nil, err
	case wrapped:
		return b, nil // the header says the length, so nothing can follow
	case len(bytes.Trim(inner[n:], "\x00")) != 0:
		return nil, fmt.Errorf("%d bytes after it that are not padding", len(inner)-n)
	}
	return inner[:n], nil
}
