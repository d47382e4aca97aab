// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tdx/verify"
)

// FuzzAuthenticate changes quote, log and TCB info. Properties: an answer in time, and nothing is accepted but what was
// signed.
func FuzzAuthenticate(f *testing.F) {
	corpus := 0
	good := map[int]*attestation.Evidence{}
	s := newScenario(f, 4, 2)
	for i, shape := range shapes {
		s := newScenario(f, shape[0], shape[1])
		e := s.evidence(f)
		good[i] = e
		f.Add(i, e.Evidence, e.EventLogs[0].Body, e.Endorsements[len(e.Endorsements)-2].Body)
		f.Add(i, e.Evidence[:len(e.Evidence)/2], []byte{}, []byte("{}"))
		corpus += 2
	}
	if corpus != 2*len(shapes) {
		f.Fatal("no seeds")
	}
	format := s.format()
	f.Fuzz(func(t *testing.T, i int, raw, log, tcbInfo []byte) {
		e := good[i]
		if e == nil {
			e = good[0]
		}
		m := *e
		m.Evidence, m.EventLogs = raw, []attestation.EventLog{{Type: attestation.CCELLog, Body: log}}
		m.Endorsements = append([]attestation.Endorsement{}, e.Endorsements...)
		m.Endorsements[len(m.Endorsements)-2].Body = tcbInfo
		start := time.Now()
		r, err := format.Authenticate(t.Context(), &m, s.now)
		if d := time.Since(start); d > 30*time.Second {
			t.Fatalf("took %v", d)
		}
		if err != nil {
			if failed(r) == "" {
				t.Fatalf("refused without saying which check: %v", err)
			}
			return
		}
		// Signatures are as random as each process of a fuzzer makes them; what is signed is not.
		q, err := quote.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, shape := range shapes {
			if bytes.Equal(q.Signed, newScenario(t, shape[0], shape[1]).td.Signed()) {
				return
			}
		}
		t.Fatalf("a quote that nobody signed is accepted: %v", r.Measurements)
	})
}

// FuzzImport: no panic, and what was imported is imported again as it is.
func FuzzImport(f *testing.F) {
	e := newScenario(f, 5, 3).evidence(f)
	f.Add(e.Evidence, e.EventLogs[0].Body)
	f.Add([]byte(`{"quote":"0x0500","event_log":"[]"}`), []byte(`[{"imr":3,"event_type":1,"digest":"","event":"x","event_payload":"00"}]`))
	f.Fuzz(func(t *testing.T, report, log []byte) {
		raw := attestation.Raw{Report: report}
		if len(log) > 0 {
			raw.EventLogs = [][]byte{log}
		}
		e, err := verify.Import(raw)
		if err != nil {
			return
		}
		raw.Report = e.Evidence
		for i := range e.EventLogs {
			raw.EventLogs = [][]byte{e.EventLogs[i].Body}
		}
		again, err := verify.Import(raw)
		if err != nil || !bytes.Equal(again.Evidence, e.Evidence) || len(again.EventLogs) != len(e.EventLogs) {
			t.Fatalf("imported once, refused twice: %v", err)
		}
	})
}
