// SPDX-License-Identifier: Apache-2.0

// Package certs holds what every verifier of a vendor's fixed certificate chain has to ask of a certificate.
//
// Trust domain: brokers, buyers and auditors; pure, standard library only. Its one job: refuse certificates that say more
// about their use than their verifier applies. Package x509 parses name constraints, extended key usages and policies, no
// longer calls them unhandled, and leaves applying them to its own path building, which a chain of known shape has no use for.
package certs

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// ErrCritical refuses a certificate (RFC 5280, section 4.2).
var ErrCritical = errors.New("certificate has a critical extension that is not applied here")

// Critical refuses c if it has a critical extension other than key usage, basic constraints, and those that the caller
// applies. Errors: [ErrCritical].
func Critical(c *x509.Certificate, applied ...asn1.ObjectIdentifier) error {
	keyUsage, basicConstraints := asn1.ObjectIdentifier{2, 5, 29, 15}, asn1.ObjectIdentifier{2, 5, 29, 19}
	for _, x := range c.Extensions {
		if x.Critical && !x.Id.Equal(keyUsage) && !x.Id.Equal(basicConstraints) && !slices.ContainsFunc(applied, x.Id.Equal) {
			return fmt.Errorf("%w: %s", ErrCritical, x.Id)
		}
	}
	return nil
}
