// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
)

// forms are the files in which people have one and the same evidence.
func forms(t testing.TB, e *attestation.Evidence) map[string]attestation.Raw {
	t.Helper()
	q := e.Evidence
	chain, crls := e.Find(attestation.ChainType)[0], e.Find(attestation.CRLType)
	tcb, qe := e.Find(attestation.TCBInfoType)[0], e.Find(attestation.QEIdentityType)[0]
	pemCRL := func(b []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: b}) }
	hexed := func(b []byte) []byte { return []byte(hex.EncodeToString(b)) }
	indent := func(b []byte) []byte {
		var out bytes.Buffer
		if err := json.Indent(&out, b, "", "  "); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	split := func(b []byte, member string) (string, string) {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		return string(m[member]), string(bytes.Trim(m["signature"], `"`))
	}
	marshal := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tcbBody, tcbSig := split(tcb, "tcbInfo")
	qeBody, qeSig := split(qe, "enclaveIdentity")
	qvl := marshal(map[string]any{
		"pck_crl_issuer_chain": string(chain), "root_ca_crl": string(hexed(crls[0])), "pck_crl": string(hexed(crls[1])),
		"tcb_info_issuer_chain": string(chain), "tcb_info": tcbBody, "tcb_info_signature": tcbSig,
		"qe_identity_issuer_chain": string(chain), "qe_identity": qeBody, "qe_identity_signature": qeSig, "pck_certificate_chain": nil,
	})
	provider := marshal(map[string]any{
		"version": 3, "pck_crl_issuer_chain": string(chain), "root_ca_crl": string(pemCRL(crls[0])), "pck_crl": string(pemCRL(crls[1])),
		"tcb_info_issuer_chain": string(chain), "tcb_info": string(tcb), "qe_identity_issuer_chain": string(chain), "qe_identity": string(qe),
	})
	plain := [][]byte{tcb, qe, crls[0], crls[1]}
	return map[string]attestation.Raw{
		"separate files":      {Report: q, Certs: [][]byte{chain}, Collateral: plain},
		"hex quote":           {Report: append([]byte("0x"), hexed(q)...), Certs: [][]byte{chain}, Collateral: plain},
		"base64 quote":        {Report: []byte(base64.StdEncoding.EncodeToString(q)), Certs: [][]byte{chain}, Collateral: plain},
		"base64 for URLs":     {Report: []byte(base64.RawURLEncoding.EncodeToString(q)), Certs: [][]byte{chain}, Collateral: plain},
		"quote in JSON":       {Report: marshal(map[string]any{"quote": base64.StdEncoding.EncodeToString(q)}), Certs: [][]byte{chain}, Collateral: plain},
		"buffer of 8000":      {Report: append(bytes.Clone(q), make([]byte, 8000-len(q))...), Certs: [][]byte{chain}, Collateral: plain},
		"EGo's header":        {Report: wrap(q), Certs: [][]byte{chain}, Collateral: plain},
		"PEM CRLs in one":     {Report: q, Certs: [][]byte{chain}, Collateral: [][]byte{append(pemCRL(crls[0]), pemCRL(crls[1])...), tcb, qe}},
		"hex CRLs":            {Report: q, Certs: [][]byte{chain}, Collateral: [][]byte{hexed(crls[0]), hexed(crls[1]), tcb, qe}},
		"PCS header":          {Report: q, Certs: [][]byte{[]byte(url.PathEscape(string(chain)))}, Collateral: plain},
		"indented":            {Report: q, Certs: [][]byte{chain}, Collateral: [][]byte{indent(tcb), indent(qe), crls[0], crls[1]}},
		"twice":               {Report: q, Certs: [][]byte{chain, chain}, Collateral: append(plain, plain...)},
		"dcap-qvl's file":     {Report: q, Collateral: [][]byte{qvl}},
		"quote provider file": {Report: q, Collateral: [][]byte{provider}},
		"our own list":        {Report: q, Collateral: [][]byte{marshal(e.Endorsements)}},
	}
}
