// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/x509"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-tdx-guest/abi"
	library "github.com/google/go-tdx-guest/verify"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tdx/verify"
)

// second is go-tdx-guest's opinion of evidence, with every check on.
func second(s *service, e *attestation.Evidence, now int64, roots *x509.CertPool) error {
	return library.RawTdxQuote(e.Evidence, full(s, now, roots))
}

// first is ours, brought to the library's scale: authentic and up to date.
func first(t testing.TB, f *verify.Format, e *attestation.Evidence, now int64) (ok bool, r *attestation.Report, err error) {
	t.Helper()
	plain := *e
	plain.EventLogs = nil // the library's verification does not read them
	r, err = f.Authenticate(t.Context(), &plain, now)
	return err == nil && r.TCB.Status == attestation.UpToDate, r, err
}

// explained names why the library accepts what ours does not; "": for no reason that is known.
func explained(r *attestation.Report, err error) string {
	switch name := failed(r); {
	case err == nil && r.TCB.Status != attestation.UpToDate:
		return "the library takes the module's status for the platform's"
	case name == "xfam" || name == "td-attributes":
		return "the library leaves attributes to its package validate"
	case name == "tdx-module":
		return "the library compares every module with TDX 1.0's entry"
	case name == "certification-data" && strings.Contains(err.Error(), "certificate chain"):
		return "the library accepts bytes around certificates, which no signature covers"
	}
	return ""
}

// TestDifferentialReal: both read every real quote of version 4.
func TestDifferentialReal(t *testing.T) {
	f := &verify.Format{}
	if n, err := verify.NewFormat(); err == nil {
		f = n.(*verify.Format)
	}
	agree, reasons := 0, map[string]int{}
	for _, v := range vectors() {
		t.Run(string(v.quote), func(t *testing.T) {
			e := v.evidence(t)
			if q, err := quote.Parse(e.Evidence); err != nil || q.Version != 4 {
				return // which the library does not read
			}
			p, err := abi.QuoteToProto(e.Evidence)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := library.ExtractChainFromQuote(p); err != nil {
				t.Logf("the library cannot read the chain: %v", err)
				return
			}
			theirs := second(newService(t, e), e, v.with.now(t), nil)
			ok, r, ours := first(t, f, e, v.with.now(t))
			switch why := explained(r, ours); {
			case ok == (theirs == nil):
				agree++
			case theirs == nil && why != "":
				reasons[why]++
			default:
				t.Errorf("library: %v; ours: %v", theirs, ours)
			}
		})
	}
	t.Logf("%d agree; accepted by the library only: %v", agree, reasons)
}

// TestDifferentialMutations: a bit of a good quote is flipped, and both are asked.
func TestDifferentialMutations(t *testing.T) {
	s, roots := known(t, 4, 2)
	e := s.evidence(t)
	mutate(t, "our own vendor", s.format(), e, s.now, roots, 300)
	mutateCollateral(t, s, e, roots, 200)
	if testing.Short() {
		return
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("Intel", func(t *testing.T) {
		attestationtest.Shared(t, "tdx_quote_4.dat")
		v := vector{quote: shared + "tdx_quote_4.dat", with: june2023}
		mutate(t, "Intel", f.(*verify.Format), v.evidence(t), v.with.now(t), nil, 300)
	})
}

func mutate(t *testing.T, name string, f *verify.Format, e *attestation.Evidence, now int64, roots *x509.CertPool, n int) {
	t.Helper()
	s := newService(t, e)
	if ok, _, err := first(t, f, e, now); !ok || second(s, e, now, roots) != nil {
		t.Fatalf("%s: the quote itself: %v, library %v", name, err, second(s, e, now, roots))
	}
	r := rand.New(rand.NewPCG(5, 5))
	agree, reasons := 0, map[string]int{}
	for range n {
		m := *e
		m.Evidence = append([]byte{}, e.Evidence...)
		bit := r.IntN(8 * len(m.Evidence))
		m.Evidence[bit/8] ^= 1 << (bit % 8)
		theirs := second(s, &m, now, roots)
		ok, rep, ours := first(t, f, &m, now)
		switch why := explained(rep, ours); {
		case ok == (theirs == nil):
			agree++
		case theirs == nil && why != "":
			reasons[why]++
		default:
			t.Errorf("%s, byte %d bit %d: library %v; ours %v", name, bit/8, bit%8, theirs, ours)
		}
	}
	t.Logf("%s: %d of %d mutations agree; accepted by the library only: %v", name, agree, n, reasons)
}

// mutateCollateral flips a bit of TCB info or QE identity and asks both.
func mutateCollateral(t *testing.T, s *scenario, e *attestation.Evidence, roots *x509.CertPool, n int) {
	t.Helper()
	r := rand.New(rand.NewPCG(6, 6))
	agree, theirsOnly := 0, 0
	for i := range n {
		k := len(e.Endorsements) - 1 - i%2
		m := *e
		m.Endorsements = append([]attestation.Endorsement{}, e.Endorsements...)
		body := append([]byte{}, e.Endorsements[k].Body...)
		bit := r.IntN(8 * len(body))
		body[bit/8] ^= 1 << (bit % 8)
		m.Endorsements[k].Body = body
		theirs := second(newService(t, &m), &m, s.now, roots)
		ok, _, ours := first(t, s.format(), &m, s.now)
		switch {
		case ok == (theirs == nil):
			agree++
		case theirs == nil && ours != nil && (bit/8 < len(`{"tcbInfo":`)+8 || bit/8 >= len(body)-len(`,"signature":""}`)-128):
			theirsOnly++ // letters of the wrapper: names and hex digits in either case
		default:
			t.Errorf("%s, byte %d: library %v; ours %v", e.Endorsements[k].Type, bit/8, theirs, ours)
		}
	}
	t.Logf("%d of %d mutations of collateral agree; accepted by the library only, outside what is signed: %d", agree, n, theirsOnly)
}
