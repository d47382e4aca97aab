// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gce/shielded"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// googleRoots are the SHA-256 of the SubjectPublicKeyInfo of Google's certificate authorities for vTPM keys. The second
// one certified instances made before 2022; both are valid for a hundred years.
func googleRoots() map[string]string {
	return map[string]string{
		"56a613f57126a385dd6949294e93b0b566f96ab0573be0c2368e6f5ca779831f": "Google EK/AK CA Root",
		"f23057f4f97d1d90e4cae0ce91d5a0fc99069f0a1bc147021dca33b1e9c4d0d9": "Google tpm_ek_v1_cloud_host_root",
	}
}

const wantChain = "leads to Google's root for vTPM keys"

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// checkChain verifies the attestation key's certificate up to a pinned root, and against whatever revocation lists there
// are.
func (f *Format) checkChain(r *attestation.Report, der []byte, list []attestation.Endorsement, now int64) (*x509.Certificate, error) {
	fail := func(seen string, format string, args ...any) error {
		return r.Fail("ak-chain", seen, wantChain, fmt.Errorf("%w: %w", ErrCertificate, fmt.Errorf(format, args...)))
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fail("not a certificate", "%w", err)
	}
	r.Fact(attestation.AboutSigner, "certificate", "serial %x by %s, %s to %s", cert.SerialNumber, cert.Issuer, day(cert.NotBefore), day(cert.NotAfter))
	if cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature {
		return nil, fail("another use", "not a signing key's: only an attestation key's certificate has the use digitalSignature and no other")
	}
	others, err := certificates(list)
	if err != nil {
		return nil, fail("endorsements", "%w", err)
	}
	chain, err := f.climb(cert, others)
	if err != nil {
		return nil, fail(cert.Issuer.String(), "%w", err)
	}
	if err := verifyChain(cert, chain, now); err != nil {
		return nil, fail("chain", "%w", err)
	}
	root := chain[len(chain)-1]
	r.Root = fmt.Sprintf("%s (SPKI SHA-256 %s)", f.roots[pin(root)], pin(root).Hex())
	r.Pass("ak-chain", fmt.Sprintf("%d certificates above the key's, root %s", len(chain), r.Root), wantChain)
	r.Fact(attestation.AboutSigner, "root", "%s", r.Root)
	for i, c := range append([]*x509.Certificate{cert}, chain...) {
		name := []string{"ak-certificate", "intermediate", "root", "root"}[min(i, 3)]
		r.Collateral = append(r.Collateral, attestation.Collateral{Name: name, Issued: c.NotBefore.Unix(), Expires: c.NotAfter.Unix()})
	}
	return cert, checkRevocation(r, cert, chain, list, now)
}

// certificates are those among the endorsements, each once.
func certificates(list []attestation.Endorsement) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	add := func(der []byte) error {
		if slices.ContainsFunc(out, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, der) }) {
			return nil
		}
		if len(out) == maxCertificates || len(der) > shielded.MaxCertificate {
			return fmt.Errorf("more than %d certificates, or one of %d bytes", maxCertificates, len(der))
		}
		c, err := x509.ParseCertificate(der)
		out = append(out, c)
		return err
	}
	for _, x := range list {
		switch x.Type {
		case attestation.CertificateType:
			if err := add(x.Body); err != nil {
				return nil, err
			}
		case attestation.ChainType:
			for p, rest := pem.Decode(x.Body); p != nil; p, rest = pem.Decode(rest) {
				if err := add(p.Bytes); err != nil {
					return nil, err
				}
			}
		}
	}
	return out, nil
}

// climb finds the issuers of cert by name and key identifier, up to a self-issued one whose key is pinned. It checks no
// signature, so that there is one chain to check, whatever the endorsements hold.
func (f *Format) climb(cert *x509.Certificate, others []*x509.Certificate) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for c := cert; len(chain) < maxChain; {
		i := slices.IndexFunc(others, func(o *x509.Certificate) bool {
			return bytes.Equal(o.RawSubject, c.RawIssuer) && (len(c.AuthorityKeyId) == 0 || bytes.Equal(o.SubjectKeyId, c.AuthorityKeyId))
		})
		if i < 0 {
			return nil, fmt.Errorf("no certificate of issuer %s among the endorsements: add Google's intermediate and root, which glovebox operator endorsements fetch gets", c.Issuer)
		}
		c = others[i]
		chain = append(chain, c)
		if !bytes.Equal(c.RawSubject, c.RawIssuer) {
			continue
		}
		if f.roots[pin(c)] == "" {
			return nil, fmt.Errorf("root %s with key %s is not Google's", c.Subject, pin(c).Hex())
		}
		return chain, nil
	}
	return nil, fmt.Errorf("no root within %d certificates", maxChain)
}

func pin(c *x509.Certificate) envelope.Digest { return envelope.Sum(c.RawSubjectPublicKeyInfo) }

// verifyChain checks each signature once, also the root's own: its key is pinned, but its dates and its name are not.
func verifyChain(cert *x509.Certificate, chain []*x509.Certificate, now int64) error {
	// The TCG's profile puts a directory name into a critical subject alternative name, which crypto/x509 leaves
	// unhandled. It names the TPM's maker and model; nothing here rests on it. Any other critical extension stays fatal.
	cert.UnhandledCriticalExtensions = slices.DeleteFunc(cert.UnhandledCriticalExtensions, subjectAltName.Equal)
	root := chain[len(chain)-1]
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	for _, c := range chain[:len(chain)-1] {
		between.AddCert(c)
	}
	_, err := cert.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: time.Unix(now, 0), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return err
	}
	return root.CheckSignatureFrom(root)
}

// checkRevocation holds each certificate of the chain against the lists of its issuer. Google publishes lists, but not
// with its evidence: without any, that is said.
func checkRevocation(r *attestation.Report, cert *x509.Certificate, chain []*x509.Certificate, list []attestation.Endorsement, now int64) error {
	links, n, covered := append([]*x509.Certificate{cert}, chain...), 0, false
	for _, x := range list {
		if x.Type != attestation.CRLType {
			continue
		}
		if n++; n > maxCRLs || len(x.Body) > maxCRL {
			return r.Fail("ak-crl", "too much", "at most 8 lists", fmt.Errorf("%w: too many revocation lists, or one too large", ErrCertificate))
		}
		leaf, err := checkList(r, x.Body, links, now)
		if err != nil {
			return r.Fail("ak-crl", "refused", "signed by the issuer, in force, without these certificates", err)
		}
		covered = covered || leaf
	}
	if !covered {
		r.NotApplicable("ak-crl", "no revocation list of the key's issuer among the endorsements")
		r.Fact(attestation.AboutWeakness, "revocation", "not checked: no revocation list was given; the certificate names %v", cert.CRLDistributionPoints)
		return nil
	}
	r.Pass("ak-crl", "not revoked", "signed by the issuer, in force, without these certificates")
	return nil
}

// checkList reports whether der speaks of the key's certificate; neither that nor another of the chain may be revoked.
func checkList(r *attestation.Report, der []byte, links []*x509.Certificate, now int64) (leaf bool, err error) {
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return false, fmt.Errorf("%w: revocation list: %w", ErrCertificate, err)
	}
	for i, c := range links[:len(links)-1] {
		issuer := links[i+1]
		if !bytes.Equal(crl.RawIssuer, issuer.RawSubject) {
			continue
		}
		if err := crl.CheckSignatureFrom(issuer); err != nil {
			return false, fmt.Errorf("%w: revocation list of %s: %w", ErrCertificate, issuer.Subject, err)
		}
		if crl.ThisUpdate.Unix() > now+int64(clockSkew.Seconds()) || crl.NextUpdate.Unix() < now {
			return false, fmt.Errorf("%w: revocation list of %s holds from %s to %s", ErrCertificate, issuer.Subject, day(crl.ThisUpdate), day(crl.NextUpdate))
		}
		for _, x := range crl.RevokedCertificateEntries {
			if x.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return false, fmt.Errorf("%w: serial %x at %s", ErrRevoked, c.SerialNumber, day(x.RevocationTime))
			}
		}
		r.Collateral = append(r.Collateral, attestation.Collateral{Name: "ak-crl", Issued: crl.ThisUpdate.Unix(), Expires: crl.NextUpdate.Unix()})
		leaf = leaf || i == 0
	}
	return leaf, nil
}

// checkInstance reads whose key it is. A certificate without the extension, or of a test fleet, could be anybody's.
func checkInstance(r *attestation.Report, cert *x509.Certificate) error {
	const want = "an instance of the production fleet"
	for _, x := range cert.Extensions {
		if !x.Id.Equal(shielded.InstanceOID) {
			continue
		}
		i, err := shielded.ParseInstance(x.Value)
		if err != nil {
			return r.Fail("instance", hex.EncodeToString(x.Value), want, fmt.Errorf("%w: %w", ErrInstance, err))
		}
		r.Fact(attestation.AboutSigner, "instance", "%s (%d) in project %s (%d), zone %s", i.Name, i.ID, i.ProjectID, i.ProjectNumber, i.Zone)
		r.Fact(attestation.AboutSigner, "security-version", "%d", i.SecurityVersion)
		if !i.Production {
			return r.Fail("instance", "not production", want, fmt.Errorf("%w: not production", ErrInstance))
		}
		r.Chip = fmt.Sprintf("%016x", i.ID)
		r.Pass("instance", fmt.Sprintf("%s/%s/%s", i.ProjectID, i.Zone, i.Name), want)
		return nil
	}
	return r.Fail("instance", "no extension "+shielded.InstanceOID.String(), want, ErrInstance)
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
