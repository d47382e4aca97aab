// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
	"github.com/glovebox-dev/glovebox/attestation/sgx/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// evidence is what the fake vendor makes.
func evidence(t testing.TB, v *dcaptest.Vendor) *attestation.Evidence {
	t.Helper()
	return &attestation.Evidence{Version: 1, Platform: attestation.PlatformSGX, Evidence: v.Quote(t), Endorsements: v.Endorsements(t)}
}

// judge authenticates with the fake vendor's root.
func judge(e *attestation.Evidence, v *dcaptest.Vendor) (*attestation.Report, error) {
	return verify.NewTestFormat(v.Pin()).Authenticate(context.Background(), e, v.Now.Unix())
}

func TestFakeVendorIsAccepted(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	r, err := judge(evidence(t, v), v)
	if err != nil {
		t.Fatal(err)
	}
	if failed := outcomes(r, attestation.Fail); failed != nil || r.TCB.Status != attestation.UpToDate || r.Debug || r.Chip == "" {
		t.Errorf("failed %q, TCB %+v, chip %q", failed, r.TCB, r.Chip)
	}
	for _, c := range r.Collateral {
		if c.Issued > v.Now.Unix() || c.Expires < v.Now.Unix() {
			t.Errorf("%+v does not hold now", c)
		}
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Authenticate(context.Background(), evidence(t, v), v.Now.Unix()); !errors.Is(err, dcap.ErrChain) {
		t.Errorf("under Intel's root: %v", err)
	}
}

// TestWrongQuoteRefused shows each refusal that is about SGX alone. What SGX and TDX share is in package dcap.
func TestWrongQuoteRefused(t *testing.T) {
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		change func(v *dcaptest.Vendor)
		edit   func(q []byte) []byte
		failed string
		err    error
	}{
		"version 2":            {change: func(v *dcaptest.Vendor) { v.Header[0] = 2 }, failed: "quote-format", err: verify.ErrQuote},
		"version 4":            {change: func(v *dcaptest.Vendor) { v.Header[0] = 4 }, failed: "quote-format", err: verify.ErrQuote},
		"EPID key":             {change: func(v *dcaptest.Vendor) { v.Header[2] = 0 }, failed: "quote-format", err: verify.ErrQuote},
		"P-384 key":            {change: func(v *dcaptest.Vendor) { v.Header[2] = 3 }, failed: "quote-format", err: verify.ErrQuote},
		"reserved header":      {change: func(v *dcaptest.Vendor) { v.Header[7] = 1 }, failed: "quote-format", err: verify.ErrQuote},
		"another QE vendor":    {change: func(v *dcaptest.Vendor) { v.Header[12]++ }, failed: "quote-format", err: verify.ErrQuote},
		"EPPID":                {change: func(v *dcaptest.Vendor) { v.CertType = 3 }, failed: "quote-format", err: dcap.ErrMalformed},
		"not initialised":      {change: func(v *dcaptest.Vendor) { v.Body[48] &^= dcap.FlagInit }, failed: "enclave-attributes", err: verify.ErrAttributes},
		"32-bit":               {change: func(v *dcaptest.Vendor) { v.Body[48] &^= dcap.FlagMode64 }, failed: "enclave-attributes", err: verify.ErrAttributes},
		"reserved attribute":   {change: func(v *dcaptest.Vendor) { v.Body[48] |= 8 }, failed: "enclave-attributes", err: verify.ErrAttributes},
		"reserved report byte": {change: func(v *dcaptest.Vendor) { v.Body[263] = 1 }, failed: "enclave-attributes", err: verify.ErrAttributes},
		"zeroed MRENCLAVE":     {change: func(v *dcaptest.Vendor) { clear(v.Body[64:96]) }, failed: "enclave-attributes", err: verify.ErrAttributes},
		"zeroed MRSIGNER":      {change: func(v *dcaptest.Vendor) { clear(v.Body[128:160]) }, failed: "enclave-attributes", err: verify.ErrAttributes},
		"empty":                {edit: func([]byte) []byte { return nil }, failed: "quote-format", err: verify.ErrQuote},
		"truncated":            {edit: func(q []byte) []byte { return q[:len(q)-1] }, failed: "quote-format", err: verify.ErrQuote},
		"zero padding":         {edit: func(q []byte) []byte { return append(q, 0) }, failed: "quote-format", err: verify.ErrQuote},
		"oversized":            {edit: func(q []byte) []byte { return append(q, make([]byte, 1<<20)...) }, failed: "quote-format", err: verify.ErrQuote},
		"length of 4 GiB":      {edit: func(q []byte) []byte { le.PutUint32(q[432:], 1<<32-1); return q }, failed: "quote-format", err: verify.ErrQuote},
		"header of EGo, other type": {
			edit: func(q []byte) []byte { q = wrap(q); q[4] = 1; return q }, failed: "quote-format", err: verify.ErrQuote,
		},
		"header of EGo, other length": {
			edit: func(q []byte) []byte { q = wrap(q); q[8]++; return q }, failed: "quote-format", err: verify.ErrQuote,
		},
		"header of EGo twice": {edit: func(q []byte) []byte { return wrap(wrap(q)) }, failed: "quote-format", err: verify.ErrQuote},
	} {
		v := dcaptest.New(dcap.SGX)
		if c.change != nil {
			c.change(v)
		}
		e := evidence(t, v)
		if c.edit != nil {
			e.Evidence = c.edit(e.Evidence)
		}
		r, err := judge(e, v)
		if !errors.Is(err, c.err) || r == nil || !slices.Equal(outcomes(r, attestation.Fail), []string{c.failed}) {
			t.Errorf("%s: %v, failed %q", name, err, outcomes(r, attestation.Fail))
		}
	}
}

// wrap puts OpenEnclave's header before a quote.
func wrap(q []byte) []byte {
	h := []byte{1, 0, 0, 0, 2, 0, 0, 0}
	return append(binary.LittleEndian.AppendUint64(h, uint64(len(q))), q...)
}

// TestEGoStripOpenEnclaveHeader: what GetRemoteReport returns is not a quote, but 16 bytes and a quote.
func TestEGoStripOpenEnclaveHeader(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	e := evidence(t, v)
	e.Evidence = wrap(e.Evidence)
	if _, err := judge(e, v); err != nil {
		t.Error(err)
	}
	got, err := verify.Import(attestation.Raw{Report: e.Evidence})
	if err != nil {
		t.Fatal(err)
	}
	got.Endorsements = e.Endorsements
	if _, err := judge(got, v); err != nil {
		t.Errorf("imported: %v", err)
	}
}

// TestDebugEnclaveRefused: a debug enclave is authentic, and refused by every policy.
func TestDebugEnclaveRefused(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	v.Body[48] |= dcap.FlagDebug
	if c := refusedByPolicy(t, v, "debug"); c.Seen != "true" {
		t.Errorf("%+v", c)
	}
}

// TestDowngradedTCBRefused: an old platform is authentic, and refused by the default policy.
func TestDowngradedTCBRefused(t *testing.T) {
	for svn, status := range map[int]string{4: attestation.SWHardeningNeeded, 3: attestation.OutOfDate, 1: attestation.Revoked} {
		v := dcaptest.New(dcap.SGX)
		v.Platform.Components[5] = svn
		if c := refusedByPolicy(t, v, "tcb-status"); len(c.Seen) < len(status) || c.Seen[:len(status)] != status {
			t.Errorf("%s: %+v", status, c)
		}
	}
}

// refusedByPolicy judges evidence whole, and wants exactly one check to fail beside that of the (absent) reference values.
func refusedByPolicy(t *testing.T, v *dcaptest.Vendor, name string) attestation.Check {
	t.Helper()
	verdict := inspect(t, v, nil)
	var failed []attestation.Check
	for _, c := range verdict.Parts[0].Checks {
		if c.Outcome == attestation.Fail && c.Name != "reference-values" {
			failed = append(failed, c)
		}
	}
	if len(failed) != 1 || failed[0].Name != name {
		t.Fatalf("failed %+v, want %s", failed, name)
	}
	return failed[0]
}

func inspect(t *testing.T, v *dcaptest.Vendor, p *attestation.Policy) *attestation.Verdict {
	t.Helper()
	i, err := attestation.NewInspector(nil, p, verify.NewTestFormat(v.Pin()))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := evidence(t, v).Encode()
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := i.Inspect(context.Background(), raw, v.Now.Unix(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func TestMinimumSVN(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	f := verify.NewTestFormat(v.Pin()).(attestation.Appraiser)
	r, err := judge(evidence(t, v), v)
	if err != nil {
		t.Fatal(err)
	}
	for least, want := range map[int]attestation.Outcome{0: attestation.Pass, 2: attestation.Pass, 3: attestation.Fail} {
		p := attestation.DefaultPolicy()
		p.SGX.MinimumSVN = &least
		if got := f.Appraise(r, p, v.Now.Unix()); len(got) != 1 || got[0].Outcome != want {
			t.Errorf("at least %d: %+v", least, got)
		}
	}
	if got := f.Appraise(r, attestation.DefaultPolicy(), 1); got[0].Outcome != attestation.NotApplicable {
		t.Errorf("no minimum: %+v", got)
	}
	if got := f.Appraise(&attestation.Report{}, attestation.DefaultPolicy(), 1); got[0].Outcome != attestation.Fail {
		t.Errorf("no detail: %+v", got)
	}
}

// TestBound: another binding, a replayed nonce (which makes another binding), a non-zero tail.
func TestBound(t *testing.T) {
	b := attestationtest.Binding(t, "a")
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	replayed := attestationtest.Binding(t, "a")
	replayed.Owners[0].Nonce = attestationtest.Binding(t, "b").Owners[0].Nonce
	other, err := replayed.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data [64]byte
		d    envelope.Digest
		ok   bool
	}{
		"this binding":   {attestation.ReportData(d), d, true},
		"another nonce":  {attestation.ReportData(other), d, false},
		"another key":    {attestation.ReportData(envelope.Sum([]byte("another key"))), d, false},
		"non-zero tail":  {func() [64]byte { x := attestation.ReportData(d); x[63] = 1; return x }(), d, false},
		"nothing at all": {[64]byte{}, d, false},
		"zero digest":    {[64]byte{}, envelope.Digest{}, false},
	} {
		v := dcaptest.New(dcap.SGX)
		copy(v.Body[320:], c.data[:])
		r, err := judge(evidence(t, v), v)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := verify.NewTestFormat(v.Pin()).CheckBound(r, c.d); (err == nil) != c.ok || (err != nil && !errors.Is(err, attestation.ErrBind)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (&verify.Format{}).CheckBound(nil, d); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("no report: %v", err)
	}
}

func TestImportForms(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	e := evidence(t, v)
	for name, raw := range forms(t, e) {
		got, err := verify.Import(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r, err := judge(got, v); err != nil {
			t.Errorf("%s: %v, failed %q", name, err, outcomes(r, attestation.Fail))
		}
	}
	for name, raw := range map[string]attestation.Raw{
		"nothing":         {},
		"garbage":         {Report: []byte("not a quote")},
		"trailing byte":   {Report: append(slices.Clone(e.Evidence), 1)},
		"late byte":       {Report: append(append(slices.Clone(e.Evidence), make([]byte, 100)...), 1)},
		"JSON without":    {Report: []byte(`{"evidence":""}`)},
		"event log":       {Report: e.Evidence, EventLogs: [][]byte{{1}}},
		"bad collateral":  {Report: e.Evidence, Collateral: [][]byte{[]byte("{}")}},
		"bad certificate": {Report: e.Evidence, Certs: [][]byte{{0x30, 0}}},
	} {
		if _, err := verify.Import(raw); !errors.Is(err, verify.ErrImport) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestImportCompletesQuote: a quote with an encrypted PPID, and the PCK chain beside it; of several, in any order.
func TestImportCompletesQuote(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	good := evidence(t, v)
	root, ca, pck, signing := v.Certificates(t)
	v.CertType, v.Chain = 3, make([]byte, 404)
	q := v.Quote(t)
	for name, c := range map[string]struct {
		certs [][]byte
		err   error
	}{
		"chain":           {[][]byte{dcaptest.PEM(pck, ca, root)}, nil},
		"reversed":        {[][]byte{root, ca, pck, signing}, nil},
		"no PCK":          {[][]byte{ca, root}, dcap.ErrMalformed},
		"no root":         {[][]byte{pck, ca}, dcap.ErrMalformed},
		"nothing":         {nil, dcap.ErrMalformed},
		"of another":      {[][]byte{dcaptest.PEM(strange(t), ca, root)}, dcap.ErrSignature},
		"EGo's header on": {[][]byte{dcaptest.PEM(pck, ca, root)}, nil},
	} {
		in := q
		if name == "EGo's header on" {
			in = wrap(q)
		}
		e, err := verify.Import(attestation.Raw{Report: in, Certs: c.certs, Collateral: [][]byte{good.Endorsements[0].Body}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e.Endorsements = good.Endorsements
		if _, err := judge(e, v); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// strange is another platform's PCK certificate, by the same CA.
func strange(t *testing.T) []byte {
	w := dcaptest.New(dcap.SGX)
	w.PCKKey = dcaptest.Key("another PCK")
	_, _, pck, _ := w.Certificates(t)
	return pck
}

// TestEventLogRefused: nothing of an SGX quote leads to a log, so that one would be under no signature.
func TestEventLogRefused(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	e := evidence(t, v)
	e.EventLogs = []attestation.EventLog{{Type: attestation.CCELLog, Body: []byte{1}}}
	if r, err := judge(e, v); !errors.Is(err, verify.ErrQuote) || !slices.Equal(outcomes(r, attestation.Fail), []string{"event-log"}) {
		t.Errorf("%v", err)
	}
}

func TestNothingHoldsState(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	f, good, bad := verify.NewTestFormat(v.Pin()), evidence(t, v), evidence(t, v)
	bad.Evidence[100] ^= 1
	done := make(chan error)
	for i := range 16 {
		go func() {
			e, want := good, error(nil)
			if i%2 == 1 {
				e, want = bad, dcap.ErrSignature
			}
			var err error
			for range 8 {
				if _, err = f.Authenticate(context.Background(), e, v.Now.Unix()); !errors.Is(err, want) {
					break
				}
				err = nil
			}
			done <- err
		}()
	}
	deadline := time.After(30 * time.Second)
	for range 16 {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-deadline:
			t.Fatal("too slow")
		}
	}
}
