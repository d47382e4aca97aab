// SPDX-License-Identifier: Apache-2.0

package endorsements_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/endorsements/endorsementstest"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
)

// intelCollateral is what a peer kept of Intel's answers, by the names that it gave them.
type intelCollateral struct {
	PCKChain       string `json:"pck_crl_issuer_chain"`
	RootCRL        string `json:"root_ca_crl"`
	PCKCRL         string `json:"pck_crl"`
	TCBChain       string `json:"tcb_info_issuer_chain"`
	TCB            string `json:"tcb_info"`
	TCBSignature   string `json:"tcb_info_signature"`
	QEChain        string `json:"qe_identity_issuer_chain"`
	QE             string `json:"qe_identity"`
	QESignature    string `json:"qe_identity_signature"`
	tee, fmspc, ca string
}

// serve answers as Intel's service did then.
func (c *intelCollateral) serve(t *testing.T, v *endorsementstest.Vendor) {
	t.Helper()
	chain := func(header, pem string) map[string]string { return map[string]string{header: url.PathEscape(pem)} }
	crl := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	v.Set("/"+c.tee+"/certification/v4/tcb?fmspc="+c.fmspc, endorsementstest.Answer{
		Body: fmt.Appendf(nil, `{"tcbInfo":%s,"signature":%q}`, c.TCB, c.TCBSignature), Header: chain("TCB-Info-Issuer-Chain", c.TCBChain),
	})
	v.Set("/"+c.tee+"/certification/v4/qe/identity", endorsementstest.Answer{
		Body: fmt.Appendf(nil, `{"enclaveIdentity":%s,"signature":%q}`, c.QE, c.QESignature), Header: chain("SGX-Enclave-Identity-Issuer-Chain", c.QEChain),
	})
	v.Set("/sgx/certification/v4/pckcrl?ca="+c.ca+"&encoding=der", endorsementstest.Answer{Body: crl(c.PCKCRL), Header: chain("SGX-PCK-CRL-Issuer-Chain", c.PCKChain)})
	v.Set("/IntelSGXRootCA.der", endorsementstest.Answer{Body: crl(c.RootCRL)})
}

// TestFilledQuoteVerifies: a real quote without collateral is refused; filled with what Intel's service answered at the
// time, played back over TLS, its verifier accepts it under Intel's own root.
func TestFilledQuoteVerifies(t *testing.T) {
	for _, x := range []struct {
		platform       attestation.Platform
		quote, at, tee string
	}{
		{attestation.PlatformTDX, "sample_tdx_quote", "2025-06-20T00:00:00Z", "tdx"},
		{attestation.PlatformSGX, "sample_sgx_quote", "2025-06-25T00:00:00Z", "sgx"},
	} {
		t.Run(string(x.platform), func(t *testing.T) {
			e, err := verifiers.Import(x.platform, attestation.Raw{Report: attestationtest.Peer(t, "dcap-qvl", x.quote)})
			if err != nil {
				t.Fatal(err)
			}
			c := intelCollateral{tee: x.tee}
			if err := json.Unmarshal(attestationtest.Peer(t, "dcap-qvl", x.quote+"_collateral.json"), &c); err != nil {
				t.Fatal(err)
			}
			var tcb struct{ FMSPC string }
			if err := json.Unmarshal([]byte(c.TCB), &tcb); err != nil {
				t.Fatal(err)
			}
			c.fmspc = tcb.FMSPC
			for _, c.ca = range []string{"platform", "processor"} {
				at, err := time.Parse(time.RFC3339, x.at)
				if err != nil {
					t.Fatal(err)
				}
				v := endorsementstest.New(t)
				c.serve(t, v)
				cfg := config(v)
				cfg.Timing(5*time.Second, time.Millisecond, func() time.Time { return at }, func(context.Context, time.Duration) error { return nil })
				if _, err := fetcher(t, cfg).Fill(t.Context(), e); err != nil {
					t.Logf("%s: %v", c.ca, err)
					continue
				}
				before, err := imported(x.platform, e.Evidence).Encode()
				if err != nil || authentic(t, before, at.Unix()) {
					t.Errorf("without collateral it is authentic (%v)", err)
				}
				b, err := e.Encode()
				if err != nil || !authentic(t, b, at.Unix()) {
					t.Errorf("filled, it is not authentic (%v)", err)
				}
				return
			}
			t.Error("it could not be filled")
		})
	}
}
