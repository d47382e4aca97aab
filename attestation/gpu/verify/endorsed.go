// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gpu/chain"
	"github.com/glovebox-dev/glovebox/attestation/gpu/rim"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// versionLabel opens the measurement of a driver or VBIOS that no manifest describes.
const versionLabel = "glovebox.dev/gpu-version/v1"

// revocation looks at OCSP answers for the device's chain. The leaf is issued by the device, which answers for nobody.
func (j *judgement) revocation() error {
	return j.answers("ocsp-device", j.certs, 1)
}

func (j *judgement) answers(name string, certs []*x509.Certificate, first int) error {
	found, err := chain.Revocation(certs, first, j.e.Find(attestation.OCSPType), j.now)
	if err != nil {
		return j.r.Fail(name, "", "good", err)
	}
	good := map[int]bool{}
	for _, a := range found {
		good[a.Index] = true
		j.r.Collateral = append(j.r.Collateral, attestation.Collateral{Name: fmt.Sprintf("%s-%d", name, a.Index), Issued: a.Issued, Expires: a.Expires})
	}
	for i := first; i < len(certs)-1; i++ {
		if !good[i] {
			j.d.unanswered = append(j.d.unanswered, certs[i].Subject.CommonName)
		}
	}
	if len(found) == 0 {
		j.r.NotApplicable(name, "no OCSP answer was given: whether the certificates were revoked is not shown")
		j.r.Fact(attestation.AboutWeakness, name, "nobody said that these certificates are not revoked")
		return nil
	}
	j.d.answered += len(found)
	j.r.Pass(name, fmt.Sprintf("%d good", len(found)), "good")
	return nil
}

// manifests verifies those that were given: at most one of each type, of this chip, driver and VBIOS.
func (j *judgement) manifests() (err error) {
	o := &j.spdm.Opaque
	if j.d.driver, err = j.manifest("driver-rim", attestation.DriverRIMType, o.Driver); err != nil {
		return err
	}
	j.d.vbios, err = j.manifest("vbios-rim", attestation.VBIOSRIMType, o.VBIOS)
	return err
}

func (j *judgement) manifest(name, typ, version string) (*rim.Manifest, error) {
	docs := j.e.Find(typ)
	if len(docs) == 0 {
		j.r.NotApplicable(name, "no manifest was given")
		j.r.Fact(attestation.AboutWeakness, name, "nobody compared the measurements with NVIDIA's: fetch the manifest of %s", version)
		return nil, nil
	}
	m, err := rim.Verify(docs[0], j.f.rim, j.now)
	if err != nil {
		return nil, j.r.Fail(name, "", "signed by NVIDIA", err)
	}
	seen, want := m.Product+" "+m.Version, chipName+" "+version
	if !strings.EqualFold(seen, want) {
		return nil, j.r.Fail(name, seen, want, ErrRIM)
	}
	j.r.Pass(name, seen, want)
	from, to := chain.Holds(m.Certificates)
	j.r.Collateral = append(j.r.Collateral, attestation.Collateral{Name: name, Issued: from, Expires: to})
	j.r.Fact(attestation.AboutSigner, name, "%s", m.Certificates[0].Subject.CommonName)
	return m, j.answers("ocsp-"+name, m.Certificates, 0)
}

// compare puts every active measurement of the manifests beside the report's. What a manifest lists first, as index 0, is
// the report's measurement 1. NVIDIA's verifier means to skip one of them while a video decoder is off; its condition
// never holds, so it does not, and neither does this.
func (j *judgement) compare() {
	seen := map[int]string{}
	for _, x := range []struct {
		name string
		m    *rim.Manifest
	}{{"driver", j.d.driver}, {"vbios", j.d.vbios}} {
		if x.m == nil {
			continue
		}
		for _, i := range slices.Sorted(maps.Keys(x.m.Golden)) {
			g := x.m.Golden[i]
			if !g.Active {
				continue
			}
			j.d.compared++
			if other := seen[i]; other != "" {
				j.d.differ = append(j.d.differ, fmt.Sprintf("%d (%s and %s both list it)", i, other, x.name))
				continue
			}
			seen[i] = x.name
			got, ok := j.spdm.Measurements[i+1]
			if !ok || len(got) != g.Size || !slices.ContainsFunc(g.Values, func(v []byte) bool { return bytes.Equal(v, got) }) {
				j.d.differ = append(j.d.differ, fmt.Sprintf("%d (%s)", i, x.name))
			}
		}
	}
}

// measure names what ran. With a manifest, the measurement is its digest: reference values pin the manifest, and its
// golden measurements pin the rest. Without one it is of the version that the GPU claims, which pins no code.
func (j *judgement) measure() {
	of := func(m *rim.Manifest, kind, version string) string {
		if m != nil {
			return hex.EncodeToString(m.Digest[:])
		}
		return envelope.Hash(versionLabel, []byte(kind), []byte(version)).Hex()
	}
	o := &j.spdm.Opaque
	j.r.Measurements = map[string]string{
		"driver": of(j.d.driver, "driver", o.Driver),
		"vbios":  of(j.d.vbios, "vbios", o.VBIOS),
		"record": envelope.Sum(j.spdm.Record).Hex(), // all measurements at once, for owners who pin a machine's state
	}
}

// Appraise implements [attestation.Appraiser]: every measurement that NVIDIA published is as published.
func (f *Format) Appraise(r *attestation.Report, p *attestation.Policy, _ int64) []attestation.Check {
	d, ok := r.Detail.(*detail)
	if !ok || p == nil {
		return []attestation.Check{{Step: attestation.StepAppraise, Name: "gpu-measurements", Outcome: attestation.Fail, Note: "no report of this verifier"}}
	}
	return []attestation.Check{d.measurements(p), d.revocation(p)}
}

func (d *detail) measurements(p *attestation.Policy) attestation.Check {
	c := attestation.Check{Step: attestation.StepAppraise, Name: "gpu-measurements", Outcome: attestation.Pass, Want: "as NVIDIA's manifests of driver and VBIOS list them"}
	c.Seen = fmt.Sprintf("%d compared, %d differ", d.compared, len(d.differ))
	switch missing := d.driver == nil || d.vbios == nil; {
	case len(d.differ) > 0:
		c.Outcome, c.Note = attestation.Fail, "measurements that differ: "+strings.Join(d.differ, ", ")
	case missing && p.GPU.UnsafeWithoutRIM:
		c.Outcome, c.Note = attestation.NotApplicable, "the policy accepts a GPU whose measurements nobody compared in full"
	case missing:
		c.Outcome, c.Note = attestation.Fail, "manifests of driver and VBIOS are needed: fetch them with glovebox operator endorsements fetch"
	}
	return c
}

func (d *detail) revocation(p *attestation.Policy) attestation.Check {
	c := attestation.Check{Step: attestation.StepAppraise, Name: "gpu-revocation", Outcome: attestation.Pass, Want: "a good OCSP answer for every certificate"}
	c.Seen = fmt.Sprintf("%d good, %d without an answer", d.answered, len(d.unanswered))
	switch {
	case len(d.unanswered) > 0 && p.GPU.UnsafeWithoutOCSP:
		c.Outcome, c.Note = attestation.NotApplicable, "the policy accepts certificates that nobody asked the vendor about"
	case len(d.unanswered) > 0:
		c.Outcome = attestation.Fail
		c.Note = "fetch answers with glovebox operator endorsements fetch, for: " + strings.Join(d.unanswered, ", ")
	}
	return c
}
