// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/google/go-sev-guest/verify/trust"
)

// ErrRoots is a bundle of roots that is not what it should be.
var ErrRoots = errors.New("snp: bad roots")

// line is one product line: who certifies its chips' keys. Certificates of AMD's own keys were checked when the line was
// made; nothing in it changes afterwards.
type line struct {
	name string
	ark  *x509.Certificate // AMD root key
	ask  *x509.Certificate // certifies VCEKs
	asvk *x509.Certificate // certifies VLEKs
	spki string            // SHA-256 of the root's SubjectPublicKeyInfo
}

// bundles are the two files that AMD publishes for a product line, each an intermediate and the root, PEM.
type bundles struct {
	name       string
	vcek, vlek []byte
}

// embedded are AMD's, as package trust has them.
func embedded() []bundles {
	return []bundles{
		{"Milan", trust.AskArkMilanVcekBytes, trust.AskArkMilanVlekBytes},
		{"Genoa", trust.AskArkGenoaVcekBytes, trust.AskArkGenoaVlekBytes},
		{"Turin", trust.AskArkTurinVcekBytes, trust.AskArkTurinVlekBytes},
	}
}

// newLine checks that the root signed itself and both intermediates, and that all have the names that AMD gives them.
func newLine(b bundles) (*line, error) {
	ask, ark, err := parseBundle(b.vcek)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrRoots, b.name, err)
	}
	asvk, ark2, err := parseBundle(b.vlek)
	if err != nil {
		return nil, fmt.Errorf("%w: %s, VLEK: %w", ErrRoots, b.name, err)
	}
	if !bytes.Equal(ark.Raw, ark2.Raw) {
		return nil, fmt.Errorf("%w: %s has two roots", ErrRoots, b.name)
	}
	for cn, c := range map[string]*x509.Certificate{"ARK-" + b.name: ark, "SEV-" + b.name: ask, "SEV-VLEK-" + b.name: asvk} {
		if c.Subject.CommonName != cn {
			return nil, fmt.Errorf("%w: %q, want %q", ErrRoots, c.Subject.CommonName, cn)
		}
		if err := c.CheckSignatureFrom(ark); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRoots, cn, err)
		}
	}
	sum := sha256.Sum256(ark.RawSubjectPublicKeyInfo)
	return &line{b.name, ark, ask, asvk, hex.EncodeToString(sum[:])}, nil
}

func parseBundle(b []byte) (intermediate, root *x509.Certificate, err error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, err
		}
		certs = append(certs, c)
	}
	if len(certs) != 2 || len(bytes.TrimSpace(b)) != 0 {
		return nil, nil, fmt.Errorf("%d certificates, want an intermediate and a root", len(certs))
	}
	return certs[0], certs[1], nil
}

// issuer is the intermediate for keys of a kind.
func (l *line) issuer(k kind) *x509.Certificate {
	if k == vlek {
		return l.asvk
	}
	return l.ask
}

// own reports whether der is one of AMD's own certificates, which evidence may carry and nobody needs.
func (l *line) own(der []byte) bool {
	return bytes.Equal(der, l.ask.Raw) || bytes.Equal(der, l.asvk.Raw) || bytes.Equal(der, l.ark.Raw)
}
