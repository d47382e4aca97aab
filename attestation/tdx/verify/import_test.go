// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tdx/verify"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
)

// files are a scenario's evidence as vendors' tools would leave it.
func files(t testing.TB, e *attestation.Evidence) attestation.Raw {
	t.Helper()
	raw := attestation.Raw{Report: e.Evidence}
	for _, x := range e.Endorsements {
		raw.Collateral = append(raw.Collateral, x.Body)
	}
	for _, l := range e.EventLogs {
		raw.EventLogs = append(raw.EventLogs, l.Body)
	}
	return raw
}

func object(t testing.TB, members map[string]any) []byte {
	t.Helper()
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestImport: every form in which a quote is found comes to the same evidence.
func TestImport(t *testing.T) {
	s := newScenario(t, 5, 3)
	e := s.evidence(t)
	q, log := e.Evidence, e.EventLogs[0].Body
	url := base64.RawURLEncoding.EncodeToString(q)
	list, err := json.Marshal(asList(t, log))
	if err != nil {
		t.Fatal(err)
	}
	for name, report := range map[string][]byte{
		"binary":             q,
		"padded":             append(bytes.Clone(q), make([]byte, 3000)...),
		"with a remark":      append(bytes.Clone(q), "remark"...),
		"hex":                []byte(hex.EncodeToString(q) + "\n"),
		"0x hex":             []byte("0x" + strings.ToUpper(hex.EncodeToString(q))),
		"hex in lines":       []byte(hex.EncodeToString(q)[:64] + "\r\n" + hex.EncodeToString(q)[64:]),
		"base64":             []byte(base64.StdEncoding.EncodeToString(q)),
		"base64url":          []byte(url),
		"JSON, hex":          object(t, map[string]any{"quote": hex.EncodeToString(q), "vm_config": "{}"}),
		"JSON, base64":       object(t, map[string]any{"quote": base64.StdEncoding.EncodeToString(q), "cc_eventlog": base64.StdEncoding.EncodeToString(log)}),
		"JSON, a level down": object(t, map[string]any{"tdx": map[string]any{"quote": url, "runtime_data": nil}}),
		"JSON, listed log":   object(t, map[string]any{"quote": hex.EncodeToString(q), "event_log": string(list)}),
	} {
		raw := files(t, e)
		raw.Report = report
		if strings.Contains(string(report), "event") {
			raw.EventLogs = nil
		}
		got, err := verify.Import(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(got.Evidence, q) || len(got.EventLogs) != 1 || got.Platform != attestation.PlatformTDX || got.Bound() {
			t.Errorf("%s: %d bytes, %d logs", name, len(got.Evidence), len(got.EventLogs))
		}
		if _, err := s.format().Authenticate(t.Context(), got, s.now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b, err := got.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := attestation.ParseImported(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// asList is a log as dstack lists it.
func asList(t testing.TB, log []byte) (out []map[string]any) {
	t.Helper()
	l, err := eventlog.ParseCC(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range l.Events {
		out = append(out, map[string]any{
			"imr": e.Register - 1, "event_type": e.Type, "digest": hex.EncodeToString(e.Digest[:]), "event": "", "event_payload": hex.EncodeToString(e.Data),
		})
	}
	return out
}

// TestImportLog: a log is imported without what surrounds it.
func TestImportLog(t *testing.T) {
	e := newScenario(t, 4, 2).evidence(t)
	log := e.EventLogs[0].Body
	for name, b := range map[string][]byte{
		"as it is":        log,
		"padded with 0":   append(bytes.Clone(log), make([]byte, 1<<16)...),
		"padded with ff":  append(bytes.Clone(log), bytes.Repeat([]byte{0xff}, eventlog.MaxLog)...),
		"hex":             []byte(hex.EncodeToString(log)),
		"base64":          []byte(base64.StdEncoding.EncodeToString(log)),
		"base64 of a pad": []byte(base64.StdEncoding.EncodeToString(append(bytes.Clone(log), 0xff, 0xff))),
	} {
		raw := files(t, e)
		raw.EventLogs = [][]byte{b}
		if got, err := verify.Import(raw); err != nil || len(got.EventLogs) != 1 || !bytes.Equal(got.EventLogs[0].Body, log) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestImportRefused(t *testing.T) {
	e := newScenario(t, 4, 2).evidence(t)
	quoteIs := func(b []byte) func(*attestation.Raw) { return func(r *attestation.Raw) { r.Report = b } }
	logIs := func(b []byte) func(*attestation.Raw) { return func(r *attestation.Raw) { r.EventLogs = [][]byte{b} } }
	event := func(name string, v any) func(*attestation.Raw) {
		list := asList(t, e.EventLogs[0].Body)
		list[1][name] = v
		b, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return logIs(b)
	}
	for name, change := range map[string]func(*attestation.Raw){
		"nothing":                quoteIs(nil),
		"oversized":              quoteIs(make([]byte, attestation.MaxEvidence+1)),
		"text":                   quoteIs([]byte("a quote")),
		"cut":                    quoteIs(e.Evidence[:700]),
		"an SGX quote":           quoteIs(append([]byte{3, 0, 2, 0}, e.Evidence[4:]...)),
		"JSON without a quote":   quoteIs([]byte(`{"report":"x"}`)),
		"JSON with a bad quote":  quoteIs([]byte(`{"quote":"zz"}`)),
		"JSON that is none":      quoteIs([]byte(`{"quote":`)),
		"JSON of other shape":    quoteIs([]byte(`{"quote":7}`)),
		"collateral of nobody":   func(r *attestation.Raw) { r.Collateral = append(r.Collateral, []byte("text")) },
		"certificate of nobody":  func(r *attestation.Raw) { r.Certs = [][]byte{{0x30, 0}} },
		"log of text":            logIs([]byte("a log")),
		"log of nothing":         logIs(nil),
		"log without events":     logIs(eventlog.CCHeader()),
		"log of a TPM":           logIs(eventlog.Header()),
		"oversized log":          logIs(make([]byte, attestation.MaxEvidence+1)),
		"empty list":             logIs([]byte("[]")),
		"list that is none":      logIs([]byte("[{]")),
		"event of register 4":    event("imr", 4),
		"event of register -1":   event("imr", -1),
		"event with short hash":  event("digest", "00"),
		"event with other text":  event("event_payload", "text"),
		"event with long digest": event("digest", strings.Repeat("00", 64)),
	} {
		raw := files(t, e)
		raw.Collateral = slices.Clone(raw.Collateral)
		change(&raw)
		if got, err := verify.Import(raw); !errors.Is(err, verify.ErrImport) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestImportKeepsWhatConcernsTheQuote: peers keep collateral of many platforms together.
func TestImportKeepsWhatConcernsTheQuote(t *testing.T) {
	s, other := newScenario(t, 4, 2), newScenario(t, 4, 2)
	other.vendor.Platform.FMSPC = [6]byte{1, 2, 3, 4, 5, 6}
	other.vendor.TCBInfo["fmspc"] = fmt.Sprintf("%x", other.vendor.Platform.FMSPC)
	e := s.evidence(t)
	raw := files(t, e)
	for _, x := range other.evidence(t).Endorsements {
		if x.Type == attestation.TCBInfoType {
			raw.Collateral = append([][]byte{x.Body}, raw.Collateral...)
		}
	}
	got, err := verify.Import(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.format().Authenticate(t.Context(), got, s.now); err != nil {
		t.Error(err)
	}
}
