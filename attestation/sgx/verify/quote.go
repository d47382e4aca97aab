// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/binary"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
)

// Layout of a quote (Intel's quoting library API, appendix A.4).
const (
	headerSize = 48
	signedSize = headerSize + 384 // with the enclave's report
	fixedSize  = signedSize + 4   // with the length of the signature data
	version3   = 3
	keyP256    = 2
	maxQuote   = fixedSize + dcap.MaxSignatureData
)

// Layout of the header that OpenEnclave, and so EGo, puts before a quote.
const (
	wrapSize    = 16
	wrapVersion = 1
	wrapRemote  = 2
)

// Attribute flags beyond those of package dcap.
const (
	reservedFlag   = 0x08
	flagProvision  = 0x10
	flagEINITToken = 0x20
)

// qeVendor is Intel's: whose QE it was is proven by signatures later, whose rules the quote follows is said here.
const qeVendor = "\x93\x9a\x72\x33\xf7\x9c\x4c\xa9\x94\x0a\x0d\xb3\x95\x7f\x06\x07"

// quote is a quote taken apart.
type quote struct {
	dcap.Quote
	report  *dcap.EnclaveReport
	sigData []byte
	qeSVN   uint16
	pceSVN  uint16
	wrapped bool
}

// parse reads a whole quote, and not a byte more.
func parse(b []byte) (*quote, error) {
	if len(b) > wrapSize+maxQuote {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrQuote, len(b), wrapSize+maxQuote)
	}
	b, wrapped, err := unwrap(b)
	if err != nil {
		return nil, err
	}
	n, err := size(b)
	if err != nil {
		return nil, err
	}
	if n != len(b) {
		return nil, fmt.Errorf("%w: %d bytes, but its lengths add up to %d", ErrQuote, len(b), n)
	}
	x, err := dcap.ParseEnclaveReport(b[headerSize:signedSize])
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	return &quote{
		Quote:  dcap.Quote{TEE: dcap.SGX, Signed: b[:signedSize]},
		report: x, sigData: b[fixedSize:], qeSVN: le.Uint16(b[8:]), pceSVN: le.Uint16(b[10:]), wrapped: wrapped,
	}, nil
}

// unwrap takes the header of OpenEnclave off, which says that a remote report of the rest's length follows.
func unwrap(b []byte) (rest []byte, wrapped bool, err error) {
	le := binary.LittleEndian
	if len(b) < wrapSize || le.Uint32(b) != wrapVersion {
		return b, false, nil
	}
	if kind, n := le.Uint32(b[4:]), le.Uint64(b[8:]); kind != wrapRemote || n != uint64(len(b)-wrapSize) {
		return nil, false, fmt.Errorf("%w: OpenEnclave header with report type %d and length %d before %d bytes", ErrQuote, kind, n, len(b)-wrapSize)
	}
	return b[wrapSize:], true, nil
}

// size checks the quote's header and is the length that it says it has.
func size(b []byte) (int, error) {
	if len(b) < fixedSize {
		return 0, fmt.Errorf("%w: %d bytes, at least %d", ErrQuote, len(b), fixedSize)
	}
	le := binary.LittleEndian
	switch v, k := le.Uint16(b), le.Uint16(b[2:]); {
	case v != version3 && (v == 4 || v == 5):
		return 0, fmt.Errorf("%w: version %d: a TDX quote? That is another platform", ErrQuote, v)
	case v != version3:
		return 0, fmt.Errorf("%w: version %d, want %d", ErrQuote, v, version3)
	case k != keyP256:
		return 0, fmt.Errorf("%w: attestation key of type %d, want %d: ECDSA-P256; EPID has no collateral", ErrQuote, k, keyP256)
	case le.Uint32(b[4:]) != 0:
		return 0, fmt.Errorf("%w: reserved bytes of the header are set", ErrQuote)
	case string(b[12:28]) != qeVendor:
		return 0, fmt.Errorf("%w: quoting enclave of vendor %x", ErrQuote, b[12:28])
	}
	n := le.Uint32(b[signedSize:])
	if n > dcap.MaxSignatureData || int(n) > len(b)-fixedSize {
		return 0, fmt.Errorf("%w: signature data of %d bytes, but %d follow", ErrQuote, n, len(b)-fixedSize)
	}
	return fixedSize + int(n), nil
}

// facts say what the quote says, before anything is believed.
func facts(q *quote, r *attestation.Report) {
	x := q.report
	run := func(name, format string, args ...any) { r.Fact(attestation.AboutRunning, name, format, args...) }
	run("quote", "version %d, by a quoting enclave of SVN %d and a PCE of SVN %d", version3, q.qeSVN, q.pceSVN)
	run("MRENCLAVE", "%x (the code, and how it is laid out)", x.MREnclave)
	run("MRSIGNER", "%x (whose key signed it)", x.MRSigner)
	run("version", "product %d, SVN %d", x.ProductID, x.SVN)
	run("ATTRIBUTES", "flags %x, XFRM %x, MISCSELECT %x", x.Attributes[:8], x.Attributes[8:], x.MiscSelect)
	run("report data", "%x", x.ReportData)
	if x.Attributes[0]&dcap.FlagKSS != 0 {
		run("key separation", "family %x, extended product %x, configuration %x of SVN %d (set by the host)", x.FamilyID, x.ExtProdID, x.ConfigID, x.ConfigSVN)
	}
	weak := func(name, text string) { r.Fact(attestation.AboutWeakness, name, "%s", text) }
	if x.Debug() {
		weak("debug", "the host can read and write the memory of this enclave: it protects nothing")
	}
	if x.Attributes[0]&(flagProvision|flagEINITToken) != 0 {
		weak("keys", "the enclave may derive the provisioning or launch key, which applications have no use for")
	}
	weak("side channels", "a quote says nothing of whether software takes the steps that Intel's advisories ask for")
}
