// SPDX-License-Identifier: Apache-2.0

package tpmtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Cloud is a cloud's virtual TPM: an attestation key of the cloud's template, RSA or ECC, all 24 registers, and the log of
// a boot. Template, Attest and Hierarchy may be bent by a test.
type Cloud struct {
	PCRs      [quote.PCRCount][sha256.Size]byte
	Log       []byte
	Select    []uint // what is quoted; all by default
	Template  tpm2.TPMTPublic
	Hierarchy tpm2.TPMHandle
	Attest    func(*tpm2.TPMSAttest)
	Key       crypto.Signer
}

var rsaKeys sync.Map

// RSAKey is a key of a name, one in a process.
func RSAKey(tb testing.TB, name string, bits int) *rsa.PrivateKey {
	tb.Helper()
	if k, ok := rsaKeys.Load(name); ok {
		return k.(*rsa.PrivateKey) //nolint:errcheck // stored below
	}
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	stored, _ := rsaKeys.LoadOrStore(name, k)
	return stored.(*rsa.PrivateKey) //nolint:errcheck // stored here
}

// RSATemplate is what clouds make RSA attestation keys of.
func RSATemplate() tpm2.TPMTPublic {
	t := AKTemplate()
	t.Type, t.ObjectAttributes.NoDA = tpm2.TPMAlgRSA, false
	t.Parameters = tpm2.NewTPMUPublicParms(tpm2.TPMAlgRSA, &tpm2.TPMSRSAParms{
		Scheme: tpm2.TPMTRSAScheme{
			Scheme:  tpm2.TPMAlgRSASSA,
			Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgRSASSA, &tpm2.TPMSSigSchemeRSASSA{HashAlg: tpm2.TPMAlgSHA256}),
		},
		KeyBits: 2048,
	})
	return t
}

// ECCTemplate is what clouds make ECC attestation keys of.
func ECCTemplate() tpm2.TPMTPublic {
	t := AKTemplate()
	t.ObjectAttributes.NoDA = false
	return t
}

// NewCloud boots a machine with a TPM whose key is an *rsa.PrivateKey or an *ecdsa.PrivateKey. Firmware, boot loader and
// the enclave's launcher are measured; IMA extends PCR 10 without a word in the log.
func NewCloud(tb testing.TB, key crypto.Signer) *Cloud {
	tb.Helper()
	c := &Cloud{Key: key, Template: ECCTemplate(), Hierarchy: tpm2.TPMRHEndorsement, Log: eventlog.Header()}
	if _, ok := key.(*rsa.PrivateKey); ok {
		c.Template = RSATemplate()
	}
	for i := range c.PCRs {
		c.Select = append(c.Select, uint(i))
		if i >= 17 && i <= 22 {
			c.PCRs[i] = [sha256.Size]byte{0: 0xff, 31: 0xff}
		}
	}
	for pcr := range 10 {
		c.Measure(tb, pcr, 4, []byte{byte(pcr)})
	}
	c.Extend(10, envelope.Sum([]byte("ima")))
	enclave := envelope.Sum([]byte("an enclave binary"))
	c.append(tb, eventlog.Event{PCR: quote.EnclavePCR, Type: eventlog.IPL, Digest: enclave, Data: []byte(eventlog.EnclaveEvent)})
	return c
}

// Measure extends pcr with data's digest, and says so in the log.
func (c *Cloud) Measure(tb testing.TB, pcr int, typ uint32, data []byte) {
	tb.Helper()
	c.append(tb, eventlog.Event{PCR: pcr, Type: typ, Digest: sha256.Sum256(data), Data: data})
}

func (c *Cloud) append(tb testing.TB, e eventlog.Event) {
	tb.Helper()
	var err error
	if c.Log, err = eventlog.Append(c.Log, e); err != nil {
		tb.Fatal(err)
	}
	c.Extend(e.PCR, e.Digest)
}

// Extend measures without a word in the log.
func (c *Cloud) Extend(pcr int, d [sha256.Size]byte) {
	old := c.PCRs[pcr]
	c.PCRs[pcr] = sha256.Sum256(append(old[:], d[:]...))
}

// AKPublic is the TPMT_PUBLIC of the attestation key.
func (c *Cloud) AKPublic() []byte {
	if k, ok := c.Key.Public().(*ecdsa.PublicKey); ok {
		return Public(c.Template, k)
	}
	t := c.Template
	n := c.Key.Public().(*rsa.PublicKey).N.Bytes() //nolint:errcheck // there is no third kind
	t.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgRSA, &tpm2.TPM2BPublicKeyRSA{Buffer: n})
	return tpm2.Marshal(t)
}

// Values are the selected registers by name.
func (c *Cloud) Values() map[string]string {
	out := map[string]string{}
	for _, i := range c.Select {
		out[quote.Name(int(i))] = hex.EncodeToString(c.PCRs[i][:])
	}
	return out
}

// Quote makes a TPMS_ATTEST over qualifying data and its TPMT_SIGNATURE.
func (c *Cloud) Quote(tb testing.TB, qualifying []byte) (message, signature []byte) {
	tb.Helper()
	var values []byte
	for _, i := range c.Select {
		values = append(values, c.PCRs[i][:]...)
	}
	digest := sha256.Sum256(values)
	a := tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestQuote,
		QualifiedSigner: tpm2.TPM2BName{Buffer: QualifiedName(c.Hierarchy, c.AKPublic())},
		ExtraData:       tpm2.TPM2BData{Buffer: qualifying},
		ClockInfo:       tpm2.TPMSClockInfo{Clock: 1, ResetCount: 2, RestartCount: 3, Safe: true},
		FirmwareVersion: 4,
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
			PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
				{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(c.Select...)},
			}},
			PCRDigest: tpm2.TPM2BDigest{Buffer: digest[:]},
		}),
	}
	if c.Attest != nil {
		c.Attest(&a)
	}
	message = tpm2.Marshal(a)
	return message, c.Sign(tb, message)
}

// Sign makes a TPMT_SIGNATURE.
func (c *Cloud) Sign(tb testing.TB, message []byte) []byte {
	tb.Helper()
	h := sha256.Sum256(message)
	switch k := c.Key.(type) {
	case *rsa.PrivateKey:
		s, err := rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, h[:])
		if err != nil {
			tb.Fatal(err)
		}
		return tpm2.Marshal(tpm2.TPMTSignature{SigAlg: tpm2.TPMAlgRSASSA, Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgRSASSA, &tpm2.TPMSSignatureRSA{
			Hash: tpm2.TPMAlgSHA256, Sig: tpm2.TPM2BPublicKeyRSA{Buffer: s},
		})})
	case *ecdsa.PrivateKey:
		return (&TPM{key: k}).sign(tb, message)
	}
	tb.Fatalf("a key of type %T", c.Key)
	return nil
}

// ECCKey is a key of a name.
func ECCKey(name string) *ecdsa.PrivateKey { return attestationtest.PrivateKey("cloud " + name) }
