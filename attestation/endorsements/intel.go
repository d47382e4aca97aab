// SPDX-License-Identifier: Apache-2.0

package endorsements

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
)

// kind is how Intel's service and its statements call the two.
func kind(p attestation.Platform) (path, id, qe string) {
	if p == attestation.PlatformSGX {
		return "sgx", "SGX", "QE"
	}
	return "tdx", "TDX", "TD_QE"
}

func (f *Fetcher) needsIntel(p *attestation.Nested) (*needs, error) {
	quote, err := intelQuote(p)
	if err != nil {
		return nil, err
	}
	part := *p
	part.Evidence = quote
	certs := certificatesIn(&part)
	pck, fmspc := findPCK(certs)
	if pck == nil {
		return nil, fmt.Errorf("%w: no PCK certificate in the quote or beside it; quotes whose certification data is not a chain are served by the platform's PCCS: import the chain with --cert", ErrNeeds)
	}
	var ca string
	switch cn := pck.Issuer.CommonName; cn {
	case "Intel SGX PCK Platform CA":
		ca = "platform"
	case "Intel SGX PCK Processor CA":
		ca = "processor"
	default:
		return nil, fmt.Errorf("%w: the PCK certificate is by %q", ErrNeeds, cn)
	}
	path, id, qe := kind(p.Platform)
	base, root := f.cfg.PCS, f.cfg.RootCRL
	if f.cfg.PCCS != "" {
		base, root = f.cfg.PCCS, f.cfg.PCCS+"/sgx/certification/v4/rootcacrl"
	}
	pckCRL := crlRequest("pck-crl", base+"/sgx/certification/v4/pckcrl?ca="+ca+"&encoding=der", pck.RawIssuer)
	return &needs{requests: []request{
		tcbInfoRequest(base+"/"+path+"/certification/v4/tcb?fmspc="+fmspc, id, fmspc),
		identityRequest(base+"/"+path+"/certification/v4/qe/identity", qe),
		withIssuers(pckCRL, "SGX-PCK-CRL-Issuer-Chain"),
		rootCRLRequest(root),
	}}, nil
}

// findPCK is the certificate with Intel's SGX extension, and the platform's FMSPC in it.
func findPCK(certs []*x509.Certificate) (c *x509.Certificate, fmspc string) {
	for _, c := range certs {
		for _, x := range c.Extensions {
			if !x.Id.Equal(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}) {
				continue
			}
			var parts []struct {
				ID    asn1.ObjectIdentifier
				Value asn1.RawValue
			}
			if rest, err := asn1.Unmarshal(x.Value, &parts); err != nil || len(rest) != 0 {
				continue
			}
			for _, part := range parts {
				if part.ID.Equal(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1, 4}) && len(part.Value.Bytes) == 6 {
					return c, strings.ToUpper(hex.EncodeToString(part.Value.Bytes))
				}
			}
		}
	}
	return nil, ""
}

// withIssuers adds the chain that a response's header carries.
func withIssuers(r request, headers ...string) request {
	read := r.read
	r.read = func(a *answer, now time.Time) (*statement, error) {
		s, err := read(a, now)
		if err != nil {
			return nil, err
		}
		for _, h := range headers {
			v := a.Header[h]
			if v == "" {
				continue
			}
			certs, err := headerChain(v)
			if err != nil {
				return nil, fmt.Errorf("header %s: %w", h, err)
			}
			return s.and(chainStatement(certs)), nil
		}
		return nil, fmt.Errorf("no header %s", strings.Join(headers, " or "))
	}
	return r
}

// headerChain reads PEM that was escaped for a header. A bare + is one of base64's, or a space where it was escaped as a
// form is.
func headerChain(v string) ([]*x509.Certificate, error) {
	text, err := url.PathUnescape(v)
	if err != nil {
		return nil, err
	}
	if certs, err := parseChain([]byte(text)); err == nil {
		return certs, nil
	}
	if text, err = url.QueryUnescape(v); err != nil {
		return nil, err
	}
	return parseChain([]byte(text))
}

// signedJSON is the frame of Intel's statements; member is the one that is signed.
func signedJSON(b []byte, member string) (json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, errors.New("not JSON")
	}
	var signature string
	if json.Unmarshal(m["signature"], &signature) != nil || len(signature) != 128 || len(m[member]) == 0 {
		return nil, fmt.Errorf("not a signed %s", member)
	}
	return m[member], nil
}

// issuance is what TCB infos and QE identities have in common.
type issuance struct {
	ID         string    `json:"id"`
	FMSPC      string    `json:"fmspc"`
	IssueDate  time.Time `json:"issueDate"`
	NextUpdate time.Time `json:"nextUpdate"`
	Evaluation int       `json:"tcbEvaluationDataNumber"`
}

func readIssuance(b []byte, member string) (*issuance, error) {
	raw, err := signedJSON(b, member)
	if err != nil {
		return nil, err
	}
	var i issuance
	if err := json.Unmarshal(raw, &i); err != nil || i.IssueDate.IsZero() || i.NextUpdate.IsZero() {
		return nil, fmt.Errorf("a %s without its dates", member)
	}
	return &i, nil
}

// statement keeps an answer as verifiers want it, byte for byte, however a caching service in between wrote its frame.
func (i *issuance) statement(body []byte) (*statement, error) {
	list, err := dcap.Import(nil, [][]byte{body})
	if err != nil {
		return nil, err
	}
	return &statement{list, i.IssueDate, i.NextUpdate}, nil
}

func tcbInfoRequest(addr, id, fmspc string) request {
	r := request{name: "tcb-info", url: addr, hint: "Intel knows no platform with FMSPC " + fmspc, read: func(a *answer, _ time.Time) (*statement, error) {
		i, err := readIssuance(a.Body, "tcbInfo")
		switch {
		case err != nil:
			return nil, err
		case !strings.EqualFold(i.FMSPC, fmspc):
			return nil, fmt.Errorf("TCB info of FMSPC %q, not of %s", i.FMSPC, fmspc)
		case i.ID != id:
			return nil, fmt.Errorf("TCB info of %q, not of %s", i.ID, id)
		}
		return i.statement(a.Body)
	}}
	return withIssuers(r, "TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain")
}

func identityRequest(addr, id string) request {
	r := request{name: "qe-identity", url: addr, read: func(a *answer, _ time.Time) (*statement, error) {
		i, err := readIssuance(a.Body, "enclaveIdentity")
		switch {
		case err != nil:
			return nil, err
		case i.ID != id:
			return nil, fmt.Errorf("the identity of %q, not of %s", i.ID, id)
		}
		return i.statement(a.Body)
	}}
	return withIssuers(r, "SGX-Enclave-Identity-Issuer-Chain")
}

func rootCRLRequest(addr string) request {
	r := crlRequest("root-crl", addr, nil)
	read := r.read
	r.read = func(a *answer, now time.Time) (*statement, error) {
		s, err := read(a, now)
		if err != nil {
			return nil, err
		}
		l, err := x509.ParseRevocationList(s.endorsements[0].Body)
		if err == nil && l.Issuer.CommonName != "Intel SGX Root CA" {
			err = fmt.Errorf("a revocation list of %s", l.Issuer)
		}
		return s, err
	}
	return r
}
