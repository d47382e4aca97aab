// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"

	"google.golang.org/protobuf/proto"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/proto/sevsnp"

	"github.com/glovebox-dev/glovebox/attestation/snp"
)

// dstackSNP starts a dstack attestation (SCALE) of version 0 with an SNP report: version, kind, the report's length.
var dstackSNP = []byte{0x00, 0x03, 0x81, 0x12}

// fromPeer reads what other projects keep reports in; report is nil if b is none of it. What is inside is read as strictly
// as any other file.
func fromPeer(b []byte) (report []byte, certs [][]byte) {
	if report, certs = fromDstack(b); report == nil {
		report, certs = fromProto(b)
	}
	if _, err := snp.ParseReport(report); err != nil {
		return nil, nil
	}
	return report, certs
}

// fromDstack reads a dstack attestation, binary or in its JSON, and the PEM certificates anywhere in it.
func fromDstack(b []byte) (report []byte, certs [][]byte) {
	var doc struct {
		Attestation string `json:"attestation"`
	}
	if json.Unmarshal(b, &doc) == nil {
		b, _ = hex.DecodeString(doc.Attestation) // what is no hex is no attestation either
	}
	rest, ok := bytes.CutPrefix(b, dstackSNP)
	if !ok || len(rest) < snp.ReportSize {
		return nil, nil
	}
	report, rest = rest[:snp.ReportSize], rest[snp.ReportSize:]
	for range maxCertificates {
		i := bytes.Index(rest, []byte("-----BEGIN CERTIFICATE-----"))
		if i < 0 {
			break
		}
		block, after := pem.Decode(rest[i:])
		if block == nil {
			break
		}
		certs, rest = append(certs, block.Bytes), after
	}
	return report, certs
}

// fromProto reads go-sev-guest's Attestation.
func fromProto(b []byte) (report []byte, certs [][]byte) {
	var a sevsnp.Attestation
	if proto.Unmarshal(b, &a) != nil || a.Report == nil {
		return nil, nil
	}
	report, err := abi.ReportToAbiBytes(a.Report)
	if err != nil {
		return nil, nil
	}
	c := a.GetCertificateChain()
	for _, f := range [][]byte{c.GetVcekCert(), c.GetVlekCert(), c.GetAskCert(), c.GetArkCert()} {
		if ders, err := importCertificates(f); err == nil {
			certs = append(certs, ders...)
		}
	}
	return report, certs
}
