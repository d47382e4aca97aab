// SPDX-License-Identifier: Apache-2.0

package certs_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/certs"
)

// TestCritical: also what package x509 understands is refused where nobody applies it.
func TestCritical(t *testing.T) {
	own := asn1.ObjectIdentifier{1, 2, 3}
	for name, c := range map[string]struct {
		id       asn1.ObjectIdentifier
		critical bool
		ok       bool
	}{
		"key usage":             {asn1.ObjectIdentifier{2, 5, 29, 15}, true, true},
		"basic constraints":     {asn1.ObjectIdentifier{2, 5, 29, 19}, true, true},
		"name constraints":      {asn1.ObjectIdentifier{2, 5, 29, 30}, true, false},
		"extended key usage":    {asn1.ObjectIdentifier{2, 5, 29, 37}, true, false},
		"policies":              {asn1.ObjectIdentifier{2, 5, 29, 32}, true, false},
		"not critical":          {asn1.ObjectIdentifier{2, 5, 29, 30}, false, true},
		"the caller's own":      {own, true, true},
		"one like the caller's": {asn1.ObjectIdentifier{1, 2, 3, 4}, true, false},
	} {
		err := certs.Critical(&x509.Certificate{Extensions: []pkix.Extension{{Id: c.id, Critical: c.critical}}}, own)
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, certs.ErrCritical) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
