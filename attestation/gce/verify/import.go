// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gce/shielded"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/rawfile"
)

// ErrImport refuses files that make no evidence.
var ErrImport = errors.New("gce: not evidence of a Shielded VM")

const maxImport = 4 << 20

// Import makes an envelope of files: the attestation that go-tpm-tools writes (gotpm attest, as protobuf), the machine
// dump of go-attestation (JSON), or the canonical evidence of this platform; Google's intermediate and root certificates
// beside it. Nothing is believed yet.
func Import(raw attestation.Raw) (*attestation.Evidence, error) {
	if len(raw.Report) == 0 || len(raw.Report) > maxImport {
		return nil, fmt.Errorf("%w: a report of %d bytes; want what gotpm attest writes", ErrImport, len(raw.Report))
	}
	d, err := readReport(raw.Report)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	ends, err := rawfile.CertificateEndorsements(raw.Certs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	d.findCertificate(raw.Certs)
	for _, der := range d.intermediates {
		ends = rawfile.Add(ends, attestation.Endorsement{Type: attestation.CertificateType, Body: der})
	}
	crls, err := rawfile.CRLEndorsements(raw.Collateral)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	logs, err := d.logs(raw.EventLogs)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	body, err := d.Encode()
	if err != nil {
		return nil, err
	}
	return &attestation.Evidence{
		Version: 1, Platform: attestation.PlatformGCE, Evidence: body, Endorsements: append(ends, crls...), EventLogs: logs,
	}, nil
}

// dump is what any of the forms holds.
type dump struct {
	shielded.Evidence
	intermediates [][]byte
	log           []byte
}

func readReport(b []byte) (*dump, error) {
	text := bytes.TrimSpace(b)
	if bytes.HasPrefix(text, []byte("{")) {
		if e, err := shielded.Parse(text); err == nil {
			return &dump{Evidence: *e}, nil
		}
		return readMachineDump(text)
	}
	if d, err := readAttestation(b); err == nil {
		return d, nil
	}
	return readAttestation(rawfile.Binary(b))
}

// findCertificate takes the key's certificate from among files where the report has none.
func (d *dump) findCertificate(files [][]byte) {
	key, err := quote.CheckCloudAK(d.AKPublic)
	if err != nil || len(d.AKCertificate) != 0 {
		return
	}
	k, ok := key.Public.(interface{ Equal(crypto.PublicKey) bool })
	for _, f := range files {
		certs, err := rawfile.Certificates(f)
		if err != nil {
			continue
		}
		for _, c := range certs {
			if ok && k.Equal(c.PublicKey) {
				d.AKCertificate = c.Raw
			}
		}
	}
}

func (d *dump) logs(files [][]byte) ([]attestation.EventLog, error) {
	if len(d.log) != 0 {
		if len(files) > 1 || (len(files) == 1 && !bytes.Equal(files[0], d.log)) {
			return nil, errors.New("the report has an event log of its own, which is another than the file")
		}
		files = [][]byte{d.log}
	}
	return rawfile.EventLogs(files)
}

// readAttestation reads go-tpm-tools' message attest.Attestation. Fields that it may have beyond those read here are
// passed over, such as the reports of confidential VMs.
func readAttestation(b []byte) (*dump, error) {
	d := &dump{}
	var quotes [][]byte
	err := fields(b, func(n protowire.Number, v []byte, _ uint64) {
		switch n {
		case 1:
			d.AKPublic = v
		case 2:
			quotes = append(quotes, v)
		case 3:
			d.log = v
		case 6:
			d.AKCertificate = v
		case 7:
			d.intermediates = append(d.intermediates, v)
		}
	})
	if err != nil || len(d.AKPublic) == 0 || len(quotes) == 0 {
		return nil, fmt.Errorf("neither JSON nor an attestation of go-tpm-tools (%v, %d quotes)", err, len(quotes))
	}
	for _, q := range quotes {
		if err := d.readQuote(q); err != nil {
			return nil, err
		}
	}
	if len(d.Quote) == 0 {
		return nil, fmt.Errorf("none of %d quotes is of the SHA-256 bank", len(quotes))
	}
	return d, nil
}

// readQuote keeps q if it is of the SHA-256 bank.
func (d *dump) readQuote(q []byte) error {
	const sha256 = 11
	var message, signature, values []byte
	err := fields(q, func(n protowire.Number, v []byte, _ uint64) {
		switch n {
		case 1:
			message = v
		case 2:
			signature = v
		case 3:
			values = v
		}
	})
	if err != nil {
		return err
	}
	hash, pcrs, err := readPCRs(values)
	if err == nil && hash == sha256 {
		if len(d.Quote) != 0 {
			return errors.New("two quotes of the SHA-256 bank")
		}
		d.Quote, d.Signature, d.PCRs = message, signature, pcrs
	}
	return err
}

// readPCRs reads the message tpm.PCRs: an algorithm, and a map from number to value.
func readPCRs(b []byte) (hash uint64, pcrs map[string]string, err error) {
	pcrs = map[string]string{}
	err = fields(b, func(n protowire.Number, v []byte, u uint64) {
		switch n {
		case 1:
			hash = u
		case 2:
			if i, value, ok := readPCR(v); ok {
				pcrs[quote.Name(i)] = hex.EncodeToString(value)
			}
		}
	})
	return hash, pcrs, err
}

func readPCR(b []byte) (i int, value []byte, ok bool) {
	var number uint64
	err := fields(b, func(n protowire.Number, v []byte, u uint64) {
		switch n {
		case 1:
			number = u
		case 2:
			value = v
		}
	})
	return int(number & 0xff), value, err == nil && number < quote.PCRCount
}

// fields calls each with every field of a protobuf message: bytes, or a number.
func fields(b []byte, each func(n protowire.Number, v []byte, u uint64)) error {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return protowire.ParseError(size)
		}
		b = b[size:]
		switch typ {
		case protowire.BytesType:
			v, size := protowire.ConsumeBytes(b)
			if size < 0 {
				return protowire.ParseError(size)
			}
			each(n, v, 0)
			b = b[size:]
		case protowire.VarintType:
			u, size := protowire.ConsumeVarint(b)
			if size < 0 {
				return protowire.ParseError(size)
			}
			each(n, nil, u)
			b = b[size:]
		default:
			return fmt.Errorf("field %d of wire type %d", n, typ)
		}
	}
	return nil
}

// readMachineDump reads what go-attestation's attest-tool writes. Its key has no certificate, and its quote may be of the
// SHA-1 bank: both are for the verifier to say.
func readMachineDump(b []byte) (*dump, error) {
	var m struct {
		AK    struct{ Public []byte }
		Quote struct{ Quote, Signature []byte }
		Log   struct {
			PCRs []struct {
				Index  int
				Digest []byte
			}
			Raw []byte
		}
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("JSON, but neither this platform's evidence nor a machine dump: %w", err)
	}
	if len(m.AK.Public) == 0 || len(m.Quote.Quote) == 0 || len(m.Log.PCRs) > quote.PCRCount {
		return nil, errors.New("JSON, but neither this platform's evidence nor a machine dump with key, quote and at most 24 PCRs")
	}
	d := &dump{log: m.Log.Raw}
	d.AKPublic, d.Quote, d.Signature, d.PCRs = m.AK.Public, m.Quote.Quote, m.Quote.Signature, map[string]string{}
	for _, p := range m.Log.PCRs {
		name := "pcr" + strconv.Itoa(p.Index)
		if p.Index < 0 || p.Index >= quote.PCRCount || d.PCRs[name] != "" {
			return nil, fmt.Errorf("PCR %d is none, or given twice", p.Index)
		}
		d.PCRs[name] = hex.EncodeToString(p.Digest)
	}
	return d, nil
}
