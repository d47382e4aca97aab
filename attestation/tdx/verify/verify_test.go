// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
	"github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tdx/tdxtest"
	"github.com/glovebox-dev/glovebox/attestation/tdx/verify"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
)

func TestVerify(t *testing.T) {
	for _, shape := range shapes {
		t.Run(fmt.Sprint(shape), func(t *testing.T) {
			s := newScenario(t, shape[0], shape[1])
			r, err := s.authenticate(t)
			if err != nil {
				t.Fatal(err)
			}
			if r.Assurance != attestation.AssuranceTEE || r.Debug || r.TCB.Status != attestation.UpToDate || r.Chip == "" || r.Root == "" {
				t.Errorf("%+v", r)
			}
			want := []string{"mrconfigid", "mrowner", "mrownerconfig", "mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"}
			if shape[1] == 3 {
				want = append(want, "mrservicetd")
			}
			for _, m := range want {
				if len(r.Measurements[m]) != 96 {
					t.Errorf("%s: %q", m, r.Measurements[m])
				}
			}
			if len(r.Measurements) != len(want) || r.Measurements["rtmr1"] != fmt.Sprintf("%x", s.td.RTMR[1]) {
				t.Errorf("%v", r.Measurements)
			}
			for _, name := range []string{
				"quote-format", "quote-signature", "attestation-key", "qe-report-signature", "pck-chain", "root", "tcb-info", "qe-identity",
				"root-crl", "pck-crl", "tdx-module", "event-log", "td-attributes", "xfam",
			} {
				if !passed(r)[name] {
					t.Errorf("check %s was not made", name)
				}
			}
			c, err := s.verify(t, nil)
			if err != nil || !c.Valid() || c.Platform() != attestation.PlatformTDX || c.Reference() != "ours" {
				t.Errorf("claims: %v", err)
			}
		})
	}
}

// bad is one way in which evidence is not what it should be.
type bad struct {
	change func(t testing.TB, s *scenario)
	want   error
	check  string
}

func quoteByte(at int, v byte) func(testing.TB, *scenario) {
	return func(_ testing.TB, s *scenario) { s.quote = func(b []byte) []byte { b[at] = v; return b } }
}

func changeTD(f func(td *tdxtest.TD)) func(testing.TB, *scenario) {
	return func(_ testing.TB, s *scenario) { f(s.td) }
}

func without(typ string) func(testing.TB, *scenario) {
	return func(_ testing.TB, s *scenario) {
		s.change = func(e *attestation.Evidence) {
			e.Endorsements = slices.DeleteFunc(e.Endorsements, func(x attestation.Endorsement) bool { return x.Type == typ })
		}
	}
}

func withLog(f func([]byte) []byte) func(testing.TB, *scenario) {
	return func(_ testing.TB, s *scenario) {
		s.change = func(e *attestation.Evidence) { e.EventLogs[0].Body = f(bytes.Clone(e.EventLogs[0].Body)) }
	}
}

// foreign are the bad inputs to the quote and what certifies it.
func foreign() map[string]bad {
	vendor := func(f func(v *dcaptest.Vendor)) func(testing.TB, *scenario) {
		return func(_ testing.TB, s *scenario) { f(s.vendor) }
	}
	return map[string]bad{
		"truncated quote":   {func(_ testing.TB, s *scenario) { s.quote = func(b []byte) []byte { return b[:len(b)-1] } }, quote.ErrQuote, "quote-format"},
		"quote with a tail": {func(_ testing.TB, s *scenario) { s.quote = func(b []byte) []byte { return append(b, 0) } }, quote.ErrTrailing, "quote-format"},
		"oversized quote":   {func(_ testing.TB, s *scenario) { s.quote = func([]byte) []byte { return make([]byte, 1<<20) } }, quote.ErrQuote, "quote-format"},
		"no quote":          {func(_ testing.TB, s *scenario) { s.quote = func([]byte) []byte { return nil } }, quote.ErrQuote, "quote-format"},
		"random bytes": {func(_ testing.TB, s *scenario) {
			s.quote = func([]byte) []byte { return bytes.Repeat([]byte("random"), 900) }
		}, quote.ErrUnsupported, "quote-format"},
		"SGX quote": {quoteByte(4, 0), quote.ErrUnsupported, "quote-format"},
		"wrong root": {func(_ testing.TB, s *scenario) {
			s.vendor.RootKey = attestationtest.PrivateKey("other root")
			pinTheFirst(s)
		}, dcap.ErrChain, "root"},
		"expired chain":        {func(_ testing.TB, s *scenario) { s.now += 2 * 365 * 86400 }, dcap.ErrExpired, "pck-chain"},
		"chain not valid yet":  {func(_ testing.TB, s *scenario) { s.now -= 2 * 365 * 86400 }, dcap.ErrExpired, "pck-chain"},
		"mixed quote and cert": {vendor(func(v *dcaptest.Vendor) { v.QEReportKey = attestationtest.PrivateKey("other platform") }), dcap.ErrSignature, "qe-report-signature"},
		"another key signed":   {vendor(func(v *dcaptest.Vendor) { v.QuoteKey = attestationtest.PrivateKey("other key") }), dcap.ErrSignature, "quote-signature"},
		"key of nobody":        {vendor(func(v *dcaptest.Vendor) { v.QEReport[320] = 1 }), dcap.ErrSignature, "attestation-key"},
		"QE of others":         {vendor(func(v *dcaptest.Vendor) { v.QEReport[128] ^= 1 }), dcap.ErrQE, "quoting-enclave"},
		"QE in debug mode":     {vendor(func(v *dcaptest.Vendor) { v.QEReport[48] |= 2 }), dcap.ErrQE, "quoting-enclave"},
		"revoked platform":     {vendor(func(v *dcaptest.Vendor) { revoke(v.PCKCRL, v.PCK) }), dcap.ErrRevoked, "pck-crl"},
		"revoked PCK CA":       {vendor(func(v *dcaptest.Vendor) { revoke(v.RootCRL, v.CA) }), dcap.ErrRevoked, "root-crl"},
		"revoked TCB signer":   {vendor(func(v *dcaptest.Vendor) { revoke(v.RootCRL, v.Signing) }), dcap.ErrRevoked, "root-crl"},
		"no PCK CRL":           {vendor(func(v *dcaptest.Vendor) { v.PCKCRL = nil }), dcap.ErrMissing, "pck-crl"},
		"no root CRL":          {vendor(func(v *dcaptest.Vendor) { v.RootCRL = nil }), dcap.ErrMissing, "root-crl"},
		"no TCB info":          {without(attestation.TCBInfoType), dcap.ErrMissing, "tcb-info"},
		"no QE identity":       {without(attestation.QEIdentityType), dcap.ErrMissing, "qe-identity"},
		"no collateral":        {func(_ testing.TB, s *scenario) { s.change = func(e *attestation.Evidence) { e.Endorsements = nil } }, dcap.ErrMissing, "tcb-signing-chain"},
		"TCB info of SGX":      {vendor(func(v *dcaptest.Vendor) { v.TCBInfo["id"] = "SGX" }), dcap.ErrCollateral, "tcb-info"},
		"identity of SGX's QE": {vendor(func(v *dcaptest.Vendor) { v.QEIdentity["id"] = "QE" }), dcap.ErrCollateral, "qe-identity"},
		"another family":       {vendor(func(v *dcaptest.Vendor) { v.TCBInfo["fmspc"] = "00806F050000" }), dcap.ErrCollateral, "tcb-info"},
		"expired TCB info":     {vendor(func(v *dcaptest.Vendor) { v.TCBInfo["nextUpdate"] = v.Now.Add(-time.Second).Format(time.RFC3339) }), dcap.ErrExpired, "tcb-info"},
	}
}

// domains are the bad inputs to the trust domain and its log.
func domains() map[string]bad {
	return map[string]bad{
		"module signed by another": {changeTD(func(td *tdxtest.TD) { td.MRSIGNERSEAM[47] = 1 }), verify.ErrModule, "tdx-module-signer"},
		"debug module":             {changeTD(func(td *tdxtest.TD) { td.SEAMAttributes = 1 }), verify.ErrModule, "tdx-module-attributes"},
		"reserved attribute":       {changeTD(func(td *tdxtest.TD) { td.Attributes |= 1 << 40 }), verify.ErrAttributes, "td-attributes"},
		"XFAM without SSE":         {changeTD(func(td *tdxtest.TD) { td.XFAM = 1 }), verify.ErrAttributes, "xfam"},
		"XFAM of the future":       {changeTD(func(td *tdxtest.TD) { td.XFAM |= 1 << 62 }), verify.ErrAttributes, "xfam"},
		"unknown module version":   {changeTD(func(td *tdxtest.TD) { td.TCBSVN[1] = 9 }), dcap.ErrTCB, "tdx-module"},
		"below every TCB level":    {changeTD(func(td *tdxtest.TD) { td.TCBSVN[5] = 0 }), dcap.ErrTCB, "tcb-level"},
		"log of another boot":      {changeTD(func(td *tdxtest.TD) { td.Log = tdxtest.New(4, 2, [64]byte{}).Log; td.RTMR[2][0] ^= 1 }), eventlog.ErrReplay, "event-log"},
		"log without RTMR3":        {changeTD(func(td *tdxtest.TD) { td.RTMR[3][0] = 1 }), eventlog.ErrReplay, "event-log"},
		"empty log":                {withLog(func([]byte) []byte { return eventlog.CCHeader() }), eventlog.ErrEmpty, "event-log"},
		"log of no bytes":          {withLog(func([]byte) []byte { return nil }), eventlog.ErrEmpty, "event-log"},
		"padded log":               {withLog(func(b []byte) []byte { return append(b, 0xff) }), eventlog.ErrFormat, "event-log"},
		"cut log":                  {withLog(func(b []byte) []byte { return b[:len(b)-1] }), eventlog.ErrFormat, "event-log"},
		"oversized log":            {withLog(func([]byte) []byte { return make([]byte, 2<<20) }), eventlog.ErrFormat, "event-log"},
		"log of a TPM": {func(_ testing.TB, s *scenario) {
			s.change = func(e *attestation.Evidence) { e.EventLogs[0].Type = attestation.TCG2Log }
		}, verify.ErrEventLog, "event-log"},
		"two logs": {func(_ testing.TB, s *scenario) {
			s.change = func(e *attestation.Evidence) { e.EventLogs = append(e.EventLogs, e.EventLogs[0]) }
		}, verify.ErrEventLog, "event-log"},
	}
}

// pinTheFirst keeps the pin of the vendor as it was made.
func pinTheFirst(s *scenario) { s.pin = dcaptest.New(dcap.TDX).Pin() }

func revoke(l *x509.RevocationList, c *x509.Certificate) {
	l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{
		SerialNumber: new(big.Int).Set(c.SerialNumber), RevocationTime: l.ThisUpdate,
	})
}

// TestRefused: each bad input alone, over properly signed evidence of every shape.
func TestRefused(t *testing.T) {
	for _, shape := range shapes {
		n := 0
		for _, set := range []map[string]bad{foreign(), domains()} {
			for name, b := range set {
				t.Run(fmt.Sprint(shape, name), func(t *testing.T) {
					s := newScenario(t, shape[0], shape[1])
					b.change(t, s)
					r, err := s.authenticate(t)
					if !errors.Is(err, b.want) || failed(r) != b.check {
						t.Errorf("failed check %q, want %q: %v", failed(r), b.check, err)
					}
				})
				n++
			}
		}
		t.Logf("shape %v: %d bad inputs refused", shape, n)
	}
}

// TestAppraised: authentic evidence that the policy does not accept.
func TestAppraised(t *testing.T) {
	strict := attestation.DefaultPolicy()
	strict.TDX.RequireEventLog = true
	noSEPT := attestation.DefaultPolicy()
	noSEPT.TDX.UnsafeWithoutSEPTVE = true
	noLog := func(_ testing.TB, s *scenario) { s.change = func(e *attestation.Evidence) { e.EventLogs = nil } }
	lowered := func(_ testing.TB, s *scenario) { s.vendor.Platform.Components[3] = 3 }
	for name, c := range map[string]struct {
		change func(testing.TB, *scenario)
		policy *attestation.Policy
		check  string // that refuses; "": accepted
	}{
		"as it should be":              {nil, strict, ""},
		"debug":                        {changeTD(func(td *tdxtest.TD) { td.Attributes |= 1 }), nil, "debug"},
		"profiled":                     {changeTD(func(td *tdxtest.TD) { td.Attributes |= 1 << 5 }), nil, "debug"},
		"reserved debug bit":           {changeTD(func(td *tdxtest.TD) { td.Attributes |= 1 << 7 }), nil, "debug"},
		"without SEPT_VE_DISABLE":      {changeTD(func(td *tdxtest.TD) { td.Attributes = 0 }), nil, "sept-ve-disable"},
		"without, and policy says so":  {changeTD(func(td *tdxtest.TD) { td.Attributes = 0 }), noSEPT, ""},
		"migratable":                   {changeTD(func(td *tdxtest.TD) { td.Attributes |= 1 << 29 }), noSEPT, "migratable"},
		"service TD, not migratable":   {changeTD(func(td *tdxtest.TD) { td.MRSERVICETD[0] = 1 }), nil, ""},
		"no log":                       {noLog, nil, ""},
		"no log, and policy wants one": {noLog, strict, "event-log-present"},
		"other code":                   {changeTD(func(td *tdxtest.TD) { td.Measure(2, "more") }), nil, "reference-values"},
		"other firmware":               {changeTD(func(td *tdxtest.TD) { td.MRTD[0] ^= 1 }), nil, "reference-values"},
		"nothing behind the firmware":  {changeTD(func(td *tdxtest.TD) { td.RTMR, td.Log = [4][48]byte{}, eventlog.CCHeader(); td.Measure(0, "x") }), nil, "reference-values"},
		"downgraded platform":          {lowered, nil, "tcb-status"},
		"downgraded module":            {changeTD(func(td *tdxtest.TD) { td.TCBSVN[0], td.TCBSVN2[0] = 3, 3 }), nil, "tcb-status"},
		"relaunch advised":             {changeTD(func(td *tdxtest.TD) { td.TCBSVN[0] = 3 }), nil, "tcb-status"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScenario(t, 5, 3)
			if c.change != nil {
				c.change(t, s)
			}
			_, err := s.verify(t, c.policy)
			switch {
			case c.check == "" && err != nil:
				t.Error(err)
			case c.check != "" && (!errors.Is(err, attestation.ErrAppraise) || !strings.Contains(err.Error(), "tdx: "+c.check)):
				t.Errorf("want %s: %v", c.check, err)
			}
		})
	}
}

// TestRelaunch: a TD started under an old module, on a machine that has a current one now, is to be started again. Only TD
// report 1.5 can say so.
func TestRelaunch(t *testing.T) {
	for _, shape := range shapes {
		s := newScenario(t, shape[0], shape[1])
		s.td.TCBSVN[0] = 3
		want := attestation.OutOfDate
		if shape[1] == 3 {
			want = attestation.TDRelaunchAdvised
		}
		if r, err := s.authenticate(t); err != nil || r.TCB.Status != want {
			t.Errorf("%v: want %s: %v", shape, want, err)
		}
	}
}

// TestBinding: report data with anything in its tail, of another exchange, or of another key.
func TestBinding(t *testing.T) {
	for name, change := range map[string]func(s *scenario){
		"tail not zero":          func(s *scenario) { s.td.ReportData[63] = 1 },
		"tail not zero, at once": func(s *scenario) { s.td.ReportData[32] = 1 },
		"all zero":               func(s *scenario) { s.td.ReportData = [64]byte{} },
		"replayed nonce":         func(s *scenario) { s.binding.Owners[0].Nonce[0] ^= 1 },
		"another key's evidence": func(s *scenario) { s.binding.HPKEKey[0] ^= 1 },
		"another enclave's":      func(s *scenario) { s.binding = attestationtest.Binding(t, "another") },
	} {
		s := newScenario(t, 4, 2)
		change(s)
		if _, err := s.verify(t, nil); !errors.Is(err, attestation.ErrBind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := newScenario(t, 4, 2).format()
	if err := f.CheckBound(nil, newScenario(t, 4, 2).digest(t)); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("no report: %v", err)
	}
	if c := f.Appraise(&attestation.Report{}, attestation.DefaultPolicy(), 1); len(c) != 1 || c[0].Outcome != attestation.Fail {
		t.Errorf("another platform's report: %+v", c)
	}
}

// TestNewFormatPinsIntel: what the fake vendor signs is nothing to a format of the program.
func TestNewFormatPinsIntel(t *testing.T) {
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	s := newScenario(t, 4, 2)
	if r, err := f.Authenticate(t.Context(), s.evidence(t), s.now); !errors.Is(err, dcap.ErrChain) || failed(r) != "root" {
		t.Errorf("got %v", err)
	}
}

// TestConcurrent: one format, many goroutines, good and bad quotes mixed.
func TestConcurrent(t *testing.T) {
	good, worse := newScenario(t, 5, 3), newScenario(t, 4, 2)
	worse.vendor.QuoteKey = attestationtest.PrivateKey("other key")
	e, bad := good.evidence(t), worse.evidence(t)
	f := good.format()
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			if i%2 == 0 {
				if _, err := f.Authenticate(t.Context(), e, good.now); err != nil {
					t.Error(err)
				}
			} else if _, err := f.Authenticate(t.Context(), bad, good.now); !errors.Is(err, dcap.ErrSignature) {
				t.Errorf("bad quote: %v", err)
			}
		})
	}
	wg.Wait()
}
