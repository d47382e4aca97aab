// SPDX-License-Identifier: Apache-2.0

package swtpm

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	caLife     = 10 * 365 * 24 * time.Hour
	maxKeyFile = 8 << 10
)

// certify makes the test CA and the endorsement key's certificate where they are missing or for another key.
func (i *Instance) certify(ctx context.Context, dir string) error {
	public, err := tpm.EndorsementKey(ctx, i.Device())
	if err != nil {
		return err
	}
	ek, err := quote.CheckEK(public)
	if err != nil {
		return err
	}
	ca, key, err := i.openCA(filepath.Join(dir, "ca.key"))
	if err != nil {
		return err
	}
	if i.certified(ca, ek.Public) {
		return nil
	}
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Glovebox software TPM (swtpm)"},
		NotBefore: now.Add(-time.Hour), NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageKeyAgreement,
		BasicConstraintsValid: true,
	}, ca, ek.Public.ECDSA(), key)
	if err != nil {
		return fmt.Errorf("certify endorsement key: %w", err)
	}
	return replaceFile(i.EKCertFile, der)
}

// certified reports whether the certificate on disk is this CA's for this key.
func (i *Instance) certified(ca *x509.Certificate, ek envelope.PublicKey) bool {
	der, err := os.ReadFile(i.EKCertFile)
	if err != nil {
		return false
	}
	cert, err := x509.ParseCertificate(der)
	return err == nil && ek.ECDSA().Equal(cert.PublicKey) && cert.CheckSignatureFrom(ca) == nil
}

// openCA reads the CA or makes one. A CA without its key, or a key without its CA, is replaced as a whole.
func (i *Instance) openCA(keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, kerr := readCAKey(keyFile)
	cert, cerr := readCACert(i.CAFile)
	if errors.Is(kerr, envelope.ErrKeyMode) {
		return nil, nil, kerr
	}
	if kerr == nil && cerr == nil && key.PublicKey.Equal(cert.PublicKey) {
		return cert, key, nil
	}
	return i.createCA(keyFile)
}

func (i *Instance) createCA(keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: quote.SoftwareCA},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(caLife), KeyUsage: x509.KeyUsageCertSign,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	defer clear(pkcs8)
	if err := replaceFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})); err != nil {
		return nil, nil, err
	}
	if err := replaceFile(i.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}

func readCAKey(path string) (*ecdsa.PrivateKey, error) {
	b, err := envelope.ReadSecretFile(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	e, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an ECDSA key", path)
	}
	return e, nil
}

func readCACert(path string) (*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", path)
	}
	return x509.ParseCertificate(block.Bytes)
}

func serial() *big.Int {
	n := envelope.NewNonce()
	n[0] &= 0x7f
	return new(big.Int).SetBytes(n[:16])
}
