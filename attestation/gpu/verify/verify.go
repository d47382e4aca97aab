// SPDX-License-Identifier: Apache-2.0

// Package verify authenticates the attestation report of an NVIDIA Hopper GPU.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: say which GPU signed a report, and whether
// the firmware and driver state that it measured is one that NVIDIA published. A report says nothing of the code that
// uses the GPU, and whoever holds one can hand it on, so it counts only nested under a CPU's evidence; the core sees to
// that. NVIDIA's local verifier ends in an unsigned token ("alg":"none"), which is no evidence and is not read here.
// Offline.
package verify

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gpu/chain"
	"github.com/glovebox-dev/glovebox/attestation/gpu/rim"
	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors.
var (
	ErrEndorsements = errors.New("gpu: unusable endorsements")
	ErrFirmware     = errors.New("gpu: the certificate was made for other firmware than reported")
	ErrGeneration   = errors.New("gpu: not a Hopper GPU")
	ErrRIM          = errors.New("gpu: manifest is of another GPU, driver or VBIOS")
)

// Roots of NVIDIA, by the SHA-256 of their certificates.
const (
	deviceRoot = "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48" // "NVIDIA Device Identity CA", 2021
	rimRoot    = "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1" // "NVIDIA CoRIM signing Root CA", 2023
)

// SignatureChecks is what one verification with both manifests contains: ECDSA P-384 over the report, four certificates
// of the device's chain, and for each manifest its own signature and three certificates. Each OCSP answer adds two.
const SignatureChecks = 1 + 4 + 2*(1+3)

// Format implements [attestation.Format] and [attestation.Appraiser]. Immutable.
type Format struct{ device, rim chain.Pin }

var (
	_ attestation.Format    = (*Format)(nil)
	_ attestation.Appraiser = (*Format)(nil)
)

// NewFormat accepts NVIDIA's roots and no others.
func NewFormat() (attestation.Format, error) {
	device, err := pin(deviceRoot)
	if err != nil {
		return nil, err
	}
	manifests, err := pin(rimRoot)
	return &Format{device, manifests}, err
}

func pin(s string) (p chain.Pin, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || copy(p[:], b) != len(p) {
		return p, fmt.Errorf("gpu: pinned root %q: %w", s, chain.ErrRoot)
	}
	return p, nil
}

// Platform implements [attestation.Format].
func (f *Format) Platform() attestation.Platform { return attestation.PlatformGPU }

// detail is what Appraise needs.
type detail struct {
	driver, vbios *rim.Manifest // nil: none was given
	differ        []string      // measurements that are not as the manifests want them
	compared      int
	unanswered    []string // certificates without an OCSP answer
	answered      int
}

// judgement is one verification under way.
type judgement struct {
	f     *Format
	e     *attestation.Evidence
	now   int64
	r     *attestation.Report
	spdm  *spdm.Report
	certs []*x509.Certificate
	d     detail
}

// Authenticate implements [attestation.Format]: the report is signed by the key of a certificate that leads to NVIDIA's
// root and was made for the firmware reported. Manifests and OCSP answers that are given must verify; that they are
// given is for Appraise to demand.
func (f *Format) Authenticate(_ context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	j := &judgement{f: f, e: e, now: now, r: &attestation.Report{Platform: attestation.PlatformGPU}}
	for _, step := range []func() error{j.sizes, j.parse, j.certificates, j.leaf, j.signature, j.chain, j.revocation, j.manifests} {
		if err := step(); err != nil {
			return j.r, err
		}
	}
	j.compare()
	j.measure()
	j.r.Assurance, j.r.Bound, j.r.Detail = attestation.AssuranceTEE, j.spdm.Nonce[:], &j.d
	return j.r, nil
}

// CheckBound implements [attestation.Format]: the report answers d as its whole nonce.
func (f *Format) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if r == nil || d.IsZero() || !bytes.Equal(r.Bound, d[:]) {
		return fmt.Errorf("%w: the report's nonce is not this binding's digest", attestation.ErrBind)
	}
	return nil
}

// sizes refuses what is too much before anything is read. Steps follow by cost: what needs no signature, the report's one,
// the chain's, and manifests last, which are read only beside an authentic report.
func (j *judgement) sizes() error {
	for _, x := range []struct{ name, typ string }{{"driver-rim", attestation.DriverRIMType}, {"vbios-rim", attestation.VBIOSRIMType}} {
		docs := j.e.Find(x.typ)
		if len(docs) > 1 {
			return j.r.Fail(x.name, strconv.Itoa(len(docs)), "1", fmt.Errorf("%w: more than one %s", ErrEndorsements, x.name))
		}
		if len(docs) == 1 && (len(docs[0]) == 0 || len(docs[0]) > rim.MaxRIM) {
			return j.r.Fail(x.name, fmt.Sprintf("%d bytes", len(docs[0])), fmt.Sprintf("1 to %d", rim.MaxRIM), ErrEndorsements)
		}
	}
	if n := len(j.e.Find(attestation.OCSPType)); n > chain.MaxAnswers {
		return j.r.Fail("ocsp", strconv.Itoa(n)+" answers", strconv.Itoa(chain.MaxAnswers), fmt.Errorf("%w: %d answers", chain.ErrOCSP, n))
	}
	return nil
}

func (j *judgement) parse() error {
	var err error
	if len(j.e.EventLogs) != 0 {
		return j.r.Fail("report", "event logs", "none", fmt.Errorf("%w: a GPU has no event log", spdm.ErrMalformed))
	}
	if j.spdm, err = spdm.Parse(j.e.Evidence); err != nil {
		return j.r.Fail("report", fmt.Sprintf("%d bytes", len(j.e.Evidence)), "SPDM 1.1 measurements", err)
	}
	j.r.Pass("report", fmt.Sprintf("%d measurements", len(j.spdm.Measurements)), "SPDM 1.1 measurements")
	o := &j.spdm.Opaque
	j.r.Fact(attestation.AboutRunning, "driver", "%s", o.Driver)
	j.r.Fact(attestation.AboutRunning, "vbios", "%s", o.VBIOS)
	j.r.Fact(attestation.AboutRunning, "project", "%s", strings.Join([]string{o.Project, o.ProjectSKU, o.ChipSKU}, " "))
	if o.Feature == "PPCIE" {
		j.r.Fact(attestation.AboutWeakness, "mode", "protected PCIe: traffic between GPUs is not encrypted")
	}
	j.r.Fact(attestation.AboutWeakness, "mode", "the report does not say whether confidential computing or its developer mode is on; only a measurement that no manifest lists would show it")
	if o.Chip != "" && o.Chip != chipName {
		return j.r.Fail("generation", o.Chip, chipName, ErrGeneration)
	}
	return nil
}

func (j *judgement) certificates() error {
	ders, err := certificates(j.e)
	if err == nil {
		j.certs, err = chain.Parse(ders)
	}
	if err != nil {
		return j.r.Fail("certificates", fmt.Sprintf("%d certificates", len(ders)), "leaf to root", err)
	}
	for i, c := range j.certs {
		j.r.Fact(attestation.AboutSigner, fmt.Sprintf("certificate-%d", i), "%s, serial %x", c.Subject.CommonName, c.SerialNumber)
	}
	if err := chain.Check(j.certs, j.f.device, j.now); err != nil {
		return j.r.Fail("device-chain", j.certs[len(j.certs)-1].Subject.String(), hex.EncodeToString(j.f.device[:]), err)
	}
	return nil
}

// chain checks the signatures of the chain, after that of the report: whatever was changed, one failing check is enough.
func (j *judgement) chain() error {
	root := j.certs[len(j.certs)-1]
	sum := sha256.Sum256(root.Raw)
	if err := chain.Verify(j.certs, j.f.device, j.now); err != nil {
		return j.r.Fail("device-chain", hex.EncodeToString(sum[:]), hex.EncodeToString(j.f.device[:]), err)
	}
	j.r.Pass("device-chain", hex.EncodeToString(sum[:]), hex.EncodeToString(j.f.device[:]))
	j.r.Root = root.Subject.CommonName
	from, to := chain.Holds(j.certs)
	j.r.Collateral = append(j.r.Collateral, attestation.Collateral{Name: "device-chain", Issued: from, Expires: to})
	return nil
}

// certificates are those of the device, one each or one PEM file.
func certificates(e *attestation.Evidence) ([][]byte, error) {
	ders, chains := e.Find(attestation.CertificateType), e.Find(attestation.ChainType)
	if len(chains) > 1 || len(chains) == 1 && len(ders) > 0 {
		return nil, fmt.Errorf("%w: want one chain", ErrEndorsements)
	}
	if len(chains) == 0 {
		return ders, nil
	}
	rest := chains[0]
	for len(ders) <= maxChain {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%w: %s among the certificates", ErrEndorsements, b.Type)
		}
		ders = append(ders, b.Bytes)
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("%w: bytes after the certificates", ErrEndorsements)
	}
	return ders, nil
}

// leaf checks what the device's own firmware wrote into the leaf: which firmware it is, and for which device key.
func (j *judgement) leaf() error {
	id, err := readIdentity(j.certs[0])
	if err != nil {
		return j.r.Fail("firmware-id", "", "a DICE identity in the leaf", err)
	}
	if !bytes.Equal(id.device, j.certs[1].RawSubjectPublicKeyInfo) {
		return j.r.Fail("device-key", "another key in the leaf", "the issuer's", ErrFirmware)
	}
	j.r.Pass("device-key", "the issuer's", "the issuer's")
	if err := j.firmware(id.fwid); err != nil {
		return err
	}
	if id.chip != chipName {
		return j.r.Fail("generation", id.chip, chipName, ErrGeneration)
	}
	j.r.Pass("generation", id.chip, chipName)
	j.r.Chip = serial(j.certs[1])
	j.r.Fact(attestation.AboutSigner, "device", "%s", id.name)
	j.r.Fact(attestation.AboutSigner, "chip", "%s (serial number of the certificate that NVIDIA gave it)", j.r.Chip)
	return nil
}

// firmware compares the FWID that the report states with the leaf's. Early firmware states none; its report is signed by
// the key of a leaf that names the firmware all the same.
func (j *judgement) firmware(certified []byte) error {
	seen, want := hex.EncodeToString(j.spdm.Opaque.FWID), hex.EncodeToString(certified)
	j.r.Fact(attestation.AboutRunning, "firmware-id", "%s, as certified", want)
	switch {
	case seen == "":
		j.r.NotApplicable("firmware-id", "the report states none, as that of early firmware")
		j.r.Fact(attestation.AboutWeakness, "firmware-id", "only the certificate names the firmware, the report does not")
	case seen != want:
		return j.r.Fail("firmware-id", seen, want, ErrFirmware)
	default:
		j.r.Pass("firmware-id", seen, want)
	}
	return nil
}

func (j *judgement) signature() error {
	key, ok := j.certs[0].PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return j.r.Fail("report-signature", "no ECDSA key", "ECDSA P-384", spdm.ErrSignature)
	}
	if err := j.spdm.Verify(key); err != nil {
		return j.r.Fail("report-signature", "does not verify", "ECDSA P-384 by "+j.certs[0].Subject.CommonName, err)
	}
	j.r.Pass("report-signature", "ECDSA P-384", "ECDSA P-384 by "+j.certs[0].Subject.CommonName)
	return nil
}
