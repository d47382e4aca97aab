// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
)

// collateral is what the endorsements of an evidence hold, by what it is. Nothing in it is trusted yet.
type collateral struct {
	tcbInfo, qeIdentity *statement
	rootCRL, pckCRL     *x509.RevocationList
	others              []link // certificates that the quote does not hold
}

// statement is one of Intel's signed JSON documents.
type statement struct {
	body      []byte // exactly the bytes that are signed
	signature []byte
}

// Members that hold the signed body.
const (
	memberTCBInfo  = "tcbInfo"
	memberIdentity = "enclaveIdentity"
)

// openStatement takes {"member":body,"signature":"128 lower-case hex digits"} apart, byte for byte as Intel's service writes
// it: spaces between the members would be under no signature. [Import] brings other spellings into this one.
func openStatement(b []byte, member string) (*statement, error) {
	const middle, end = `,"signature":"`, `"}`
	tail := len(middle) + 2*signatureSize + len(end)
	body, ok := bytes.CutPrefix(b, []byte(`{"`+member+`":`))
	if !ok || len(b) > MaxStatement || len(body) < tail {
		return nil, fmt.Errorf("%w: not {%q:…,\"signature\":…} as Intel's service answers", ErrMalformed, member)
	}
	body, rest := body[:len(body)-tail], body[len(body)-tail:]
	digits := rest[len(middle) : len(rest)-len(end)]
	sig, err := hex.DecodeString(string(digits))
	if err != nil || !bytes.HasPrefix(rest, []byte(middle)) || !bytes.HasSuffix(rest, []byte(end)) || hex.EncodeToString(sig) != string(digits) {
		return nil, fmt.Errorf("%w: signature of %s is not lower-case hex after the body", ErrMalformed, member)
	}
	return &statement{body, sig}, nil
}

// join is the inverse of openStatement.
func (s *statement) join(member string) []byte {
	return fmt.Appendf(nil, `{%q:%s,"signature":"%x"}`, member, s.body, s.signature)
}

// findCollateral sorts the endorsements. What belongs to no part of this quote's verification is refused, so that every byte
// of an evidence is under a signature that was checked; [Import] leaves such things out.
func (v *verification) findCollateral() error {
	const name, want = "collateral", "TCB info, QE identity, root CRL, PCK CRL and TCB signing certificate"
	v.col = &collateral{}
	for _, e := range v.ends {
		if err := v.col.add(e, v.chain); err != nil {
			return v.r.Fail(name, e.Type, want, err)
		}
	}
	v.r.Pass(name, fmt.Sprintf("%d endorsements", len(v.ends)), want)
	return nil
}

func (c *collateral) add(e attestation.Endorsement, known *chain) error {
	var err error
	switch e.Type {
	case attestation.TCBInfoType:
		if c.tcbInfo != nil {
			return fmt.Errorf("%w: two TCB infos", ErrCollateral)
		}
		c.tcbInfo, err = openStatement(e.Body, memberTCBInfo)
	case attestation.QEIdentityType:
		if c.qeIdentity != nil {
			return fmt.Errorf("%w: two QE identities", ErrCollateral)
		}
		c.qeIdentity, err = openStatement(e.Body, memberIdentity)
	case attestation.CRLType:
		err = c.addCRL(e.Body, known)
	case attestation.CertificateType:
		err = c.addCertificate(e.Body, known)
	case attestation.ChainType:
		var ders [][]byte
		if ders, err = splitPEM(e.Body); err == nil && len(ders) == 0 {
			err = fmt.Errorf("%w: empty certificate chain", ErrMalformed)
		}
		for _, d := range ders {
			if err == nil {
				err = c.addCertificate(d, known)
			}
		}
	default:
		return fmt.Errorf("%w: endorsement of type %q is not for this platform", ErrCollateral, e.Type)
	}
	return err
}

// addCertificate passes over what is known already.
func (c *collateral) addCertificate(der []byte, known *chain) error {
	for _, x := range []*link{&known.pck, &known.ca, &known.root} {
		if bytes.Equal(der, x.cert.Raw) {
			return nil
		}
	}
	for i := range c.others {
		if bytes.Equal(der, c.others[i].cert.Raw) {
			return nil
		}
	}
	if len(c.others) == maxOthers {
		return fmt.Errorf("%w: more than %d certificates that the quote does not hold", ErrCollateral, maxOthers)
	}
	l, err := parseLink(der)
	if err != nil {
		return err
	}
	c.others = append(c.others, l)
	return nil
}

func (c *collateral) addCRL(der []byte, known *chain) error {
	l, err := parseCRL(der)
	if err != nil {
		return err
	}
	slot := &c.pckCRL
	switch {
	case bytes.Equal(l.RawIssuer, known.root.cert.RawSubject):
		slot = &c.rootCRL
	case !bytes.Equal(l.RawIssuer, known.ca.cert.RawSubject):
		return fmt.Errorf("%w: CRL of %q, which certified nothing here", ErrCollateral, l.Issuer.CommonName)
	}
	if *slot != nil {
		return fmt.Errorf("%w: two CRLs of %q", ErrCollateral, l.Issuer.CommonName)
	}
	*slot = l
	return nil
}

// signer is a certificate that may sign statements.
type signer struct{ link }

// tcbSigners: TCB signing certificates are issued by the root. So is every other certificate that came along, or the
// evidence is refused: the CA of another kind of platform does no harm, but nobody vouches for a stranger.
func (v *verification) tcbSigners() error {
	const name, want = "tcb-signing-chain", nameSigning + " ← the root"
	seen := ""
	fail := func(err error) error { return v.r.Fail(name, seen, want, err) }
	for i := range v.col.others {
		l := &v.col.others[i]
		cn := l.cert.Subject.CommonName
		seen += cn + " " + l.serial() + " "
		ca := cn == namePlatform || cn == nameProcessor || l.spki == v.root
		if !ca && cn != nameSigning {
			return fail(fmt.Errorf("%w: certificate %q has no part in this", ErrCollateral, cn))
		}
		if err := v.issued(l, &v.chain.root, ca); err != nil {
			return fail(err)
		}
		if !ca {
			v.signers = append(v.signers, &signer{*l})
			v.collateral("tcb-signing", l.cert.NotBefore, l.cert.NotAfter, 0)
		}
	}
	if len(v.signers) == 0 || len(v.signers) > 2 {
		return fail(fmt.Errorf("%w: %d TCB signing certificates, want one; %s", ErrMissing, len(v.signers), fetchHint))
	}
	v.r.Pass(name, seen, want)
	return nil
}

// open verifies a statement and decodes it. Where Intel has renewed its signing certificate, two may be there.
func (v *verification) open(s *statement, what string, out any) error {
	if s == nil {
		return fmt.Errorf("%w: no %s; %s", ErrMissing, what, fetchHint)
	}
	for _, by := range v.signers {
		if verifyRaw(by.key, s.body, s.signature) {
			return decode(s.body, out)
		}
	}
	return fmt.Errorf("%w: of the %s", ErrSignature, what)
}

// window checks the dates of a statement.
func (v *verification) window(what string, from, to time.Time) error {
	if from.IsZero() || to.IsZero() || !v.holds(from, to) {
		return fmt.Errorf("%w: %s of %s, next by %s; %s", ErrExpired, what, day(from), day(to), fetchHint)
	}
	return nil
}
