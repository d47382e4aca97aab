// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
)

// Import makes an envelope of a vendor's files: the report (binary, hex or base64), the device's certificates (PEM, DER,
// or base64 of PEM, leaf first), manifests and OCSP answers among the collateral. The report may also be the JSON that
// NVIDIA's remote service, Trustee or go-nvtrust take: {"evidence", "certificate"}, alone or as the only one in a list.
func Import(raw attestation.Raw) (*attestation.Evidence, error) {
	e := &attestation.Evidence{Version: 1, Platform: attestation.PlatformGPU}
	report, certs := bytes.TrimSpace(raw.Report), raw.Certs
	if len(raw.Report) == 0 || len(raw.Report) > maxImport {
		return nil, refuse("report: %d bytes, want 1 to %d", len(raw.Report), maxImport)
	}
	if len(raw.EventLogs) != 0 {
		return nil, refuse("a GPU has no event log")
	}
	if len(report) > 0 && report[0] == '{' {
		d, err := fromJSON(report)
		if err != nil {
			return nil, err
		}
		report = []byte(d.Evidence)
		if d.Certificate != "" {
			certs = append([][]byte{[]byte(d.Certificate)}, certs...)
		}
	}
	var err error
	if e.Evidence, err = binary(raw.Report, report); err != nil {
		return nil, err
	}
	for i, c := range certs {
		ders, err := ders(c)
		if err != nil {
			return nil, refuse("certificate file %d: %v", i+1, err)
		}
		for _, der := range ders {
			e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: attestation.CertificateType, Body: der})
		}
	}
	if len(e.Endorsements) == 0 {
		return nil, refuse("no certificates: give the device's chain, leaf first, with --cert")
	}
	for i, c := range raw.Collateral {
		x, err := collateral(c)
		if err != nil {
			return nil, refuse("collateral file %d: %v", i+1, err)
		}
		e.Endorsements = append(e.Endorsements, x)
	}
	return e, nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: gpu: %s", attestation.ErrMalformed, fmt.Sprintf(format, args...))
}

// device is one GPU in the peers' JSON forms.
type device struct {
	Evidence    string `json:"evidence"`
	Certificate string `json:"certificate"`
}

func fromJSON(b []byte) (*device, error) {
	var x struct {
		device
		List   []device        `json:"device_evidence_list"`
		NRAS   []device        `json:"evidence_list"`
		Claims json.RawMessage `json:"claims"`
		EAT    json.RawMessage `json:"detached_eat"`
	}
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, refuse("report: %v", err)
	}
	if x.Claims != nil || x.EAT != nil {
		return nil, refuse(`report: this is the answer of NVIDIA's verifier, which its local form does not sign ("alg":"none"): give the report itself`)
	}
	list := append(x.List, x.NRAS...)
	if x.Evidence != "" {
		list = append(list, x.device)
	}
	if len(list) != 1 || list[0].Evidence == "" {
		return nil, refuse("report: want the evidence of one GPU, got %d", len(list))
	}
	return &list[0], nil
}

// binary undoes hex or base64. Whole is the file, text what of it may be text.
func binary(whole, text []byte) ([]byte, error) {
	out := whole
	if !bytes.HasPrefix(whole, []byte{0x11, 0xe0}) { // how a report begins
		s := strings.Join(strings.Fields(string(text)), "")
		var err error
		if out, err = hex.DecodeString(s); err != nil {
			if out, err = base64.StdEncoding.DecodeString(s); err != nil {
				return nil, refuse("report: neither binary, hex nor base64")
			}
		}
	}
	out = spdm.Trim(out)
	if _, err := spdm.Parse(out); err != nil {
		return nil, refuse("report: %v", err)
	}
	return bytes.Clone(out), nil
}

// ders reads certificates from a file: PEM, several, DER, or base64 of either.
func ders(b []byte) ([][]byte, error) {
	if len(b) == 0 || len(b) > maxImport {
		return nil, fmt.Errorf("%d bytes", len(b))
	}
	if !bytes.Contains(b, []byte("-----BEGIN")) && b[0] != 0x30 {
		x, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(b)), ""))
		if err != nil {
			return nil, fmt.Errorf("neither PEM, DER nor base64")
		}
		b = x
	}
	if len(b) > 0 && b[0] == 0x30 {
		return [][]byte{b}, nil
	}
	var out [][]byte
	for {
		p, rest := pem.Decode(b)
		if p == nil {
			break
		}
		if p.Type != "CERTIFICATE" || len(out) == maxChain {
			return nil, fmt.Errorf("%s, or more than %d certificates", p.Type, maxChain)
		}
		out, b = append(out, p.Bytes), rest
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no certificate")
	}
	return out, nil
}

// collateral says what a file is: a manifest of a driver or of a VBIOS, or an OCSP answer. Nothing is believed of it yet.
func collateral(b []byte) (x attestation.Endorsement, err error) {
	if len(b) == 0 || len(b) > maxImport {
		return x, fmt.Errorf("%d bytes, want 1 to %d", len(b), maxImport)
	}
	text := bytes.TrimSpace(b)
	if len(text) > 0 && text[0] == '{' { // as NVIDIA's RIM service answers
		var answer struct {
			RIM []byte `json:"rim"`
		}
		if err := json.Unmarshal(text, &answer); err != nil || len(answer.RIM) == 0 {
			return x, fmt.Errorf("JSON without a rim")
		}
		b, text = answer.RIM, bytes.TrimSpace(answer.RIM)
	}
	switch {
	case bytes.HasPrefix(text, []byte("<")):
		x = attestation.Endorsement{Type: attestation.DriverRIMType, Body: b}
		if vbiosVersion.Match(b) {
			x.Type = attestation.VBIOSRIMType
		}
		return x, nil
	case len(b) > 0 && b[0] == 0x30:
		return attestation.Endorsement{Type: attestation.OCSPType, Body: b}, nil
	}
	return x, fmt.Errorf("neither a manifest (XML, or the RIM service's JSON) nor an OCSP answer (DER)")
}

// vbiosVersion is how a VBIOS's manifest differs from a driver's to the eye. Verification compares versions.
var vbiosVersion = regexp.MustCompile(`colloquialVersion="([0-9A-Fa-f]{2}\.){4}[0-9A-Fa-f]{2}"`)
