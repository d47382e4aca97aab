// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
)

// Values of claims (Google, "Attestation token claims").
const (
	spaceSoftware   = "CONFIDENTIAL_SPACE"
	productionImage = "disabled-since-boot" // dbgstat of production images; debug images open a shell to the operator

	hardwareTDX      = "GCP_INTEL_TDX"
	hardwareSNP      = "GCP_AMD_SEV_SNP"
	hardwareSEV      = "GCP_AMD_SEV"
	hardwareSEVES    = "GCP_AMD_SEV_ES"
	hardwareShielded = "GCP_SHIELDED_VM"

	attesterIntel = "INTEL"
	attesterAMD   = "AMD"
)

// assurance is what a hardware model lets one conclude when Google says that it saw it.
//
// TDX and SEV-SNP keep memory secret and whole, and sign what they run; the claim attester_tcb says that Google rooted this
// token in that report. Without it Google only looked at a vTPM, which the host implements.
//
// SEV and SEV-ES encrypt memory without integrity (a host can replay and move what it cannot read, and SEV shows it the
// registers too), and no AMD report is behind such a token: boot is vouched for by Google's vTPM alone. A Shielded VM's memory
// is open to the host. What these show is that known code was booted.
func (c *claims) assurance() (attestation.Assurance, error) {
	rooted := func(vendor string) attestation.Assurance {
		if slices.Contains(c.Attester, vendor) {
			return attestation.AssuranceTEE
		}
		return attestation.AssuranceTPM
	}
	switch c.Hardware {
	case hardwareTDX:
		return rooted(attesterIntel), nil
	case hardwareSNP:
		return rooted(attesterAMD), nil
	case hardwareSEV, hardwareSEVES, hardwareShielded:
		return attestation.AssuranceTPM, nil
	}
	return "", fmt.Errorf("%w: unknown hwmodel %.*q", ErrClaims, maxShown, c.Hardware)
}

// Appraise implements [attestation.Appraiser].
func (f *Format) Appraise(r *attestation.Report, p *attestation.Policy, _ int64) []attestation.Check {
	check := func(name string, ok bool, seen, want, note string) attestation.Check {
		c := attestation.Check{Step: attestation.StepAppraise, Name: name, Outcome: attestation.Pass, Seen: seen, Want: want}
		if !ok {
			c.Outcome, c.Note = attestation.Fail, note
		}
		return c
	}
	x, ok := detail{}, false
	if r != nil {
		x, ok = r.Detail.(detail)
	}
	if !ok || p == nil || p.OIDC == nil {
		return []attestation.Check{check("oidc-policy", false, "none", "a section oidc", "the policy accepts no token: give it a section oidc with audience, support and hardware")}
	}
	c, o := x.claims, p.OIDC
	list := func(s []string) string { return strings.Join(s, ",") }
	overridden := slices.Sorted(maps.Keys(c.EnvOverride))
	if len(c.ArgsOverride) > 0 {
		overridden = append([]string{"the arguments"}, overridden...)
	}
	a, err := c.assurance()
	unknownTCB := err != nil || c.Hardware == hardwareTDX && a == attestation.AssuranceTEE && c.TCBStatus == ""
	missing := slices.ContainsFunc(o.Support, func(s string) bool { return !slices.Contains(c.Support, s) })
	return []attestation.Check{
		check("oidc-audience", o.Audience != "" && c.Audience == o.Audience, printable(c.Audience), o.Audience, "the token was made for somebody else"),
		check("oidc-hardware", slices.Contains(o.Hardware, c.Hardware), printable(c.Hardware), list(o.Hardware), "the policy does not accept this hardware"),
		check("oidc-secure-boot", c.SecureBoot, strconv.FormatBool(c.SecureBoot), "true", "anything could have been booted"),
		check("oidc-tcb", !unknownTCB, printable(c.TCBStatus), "a status where a TD vouches", "the token does not say how well patched the TD's platform is"),
		check("overrides", len(overridden) == 0, printable(list(overridden)), "none", "the operator replaced the image's arguments or environment: start the machine without tee-cmd and tee-env"),
		check("oidc-support", len(o.Support) > 0 && !missing, printable(list(c.Support)), list(o.Support), "Google does not say of this image's version what the policy asks for"),
	}
}

// describe says what a token claims, before anything of it is checked.
func describe(r *attestation.Report, t *token, c *claims, ignored int) {
	signer := func(name, format string, args ...any) { r.Fact(attestation.AboutSigner, name, format, args...) }
	signer("issuer", "%q, from %s to %s", c.Issuer, when(c.issued()), when(time.Unix(c.Expires, 0)))
	signer("key", "%q", t.header.Kid)
	for i, x := range t.certs {
		signer("certificate "+strconv.Itoa(i), "%q, %s to %s", x.Subject.String(), when(x.NotBefore), when(x.NotAfter))
	}
	ran := func(name, format string, args ...any) { r.Fact(attestation.AboutRunning, name, format, args...) }
	ran("hardware", "%q, attested by %q, oemid %d", c.Hardware, c.Attester, c.OEM)
	ran("software", "%q %q, dbgstat %q, secure boot %t, support %q", c.Software, c.SoftwareVersion, c.Debug, c.SecureBoot, c.Support)
	ran("image", "sha256:%s, from %q, id sha256:%s", c.ImageDigest, c.ImageReference, c.ImageID)
	ran("arguments", "%q", c.Args)
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		ran("environment", "%q=%q", k, c.Env[k])
	}
	ran("instance", "project %q, zone %q, %q", c.Project, c.Zone, c.Instance)
	ran("audience", "%q", c.Audience)
	ran("nonces", "%q", c.Nonces)
	weaknesses(r, t, c, ignored)
}

func weaknesses(r *attestation.Report, t *token, c *claims, ignored int) {
	weak := func(name, format string, args ...any) { r.Fact(attestation.AboutWeakness, name, format, args...) }
	weak("one vendor", "Google runs the machine, looked at its evidence and signed this token: no hardware key is in it, so Google's word is all there is")
	weak("revocation", "tokens cannot be revoked; they die of age")
	if c.Debug != productionImage {
		weak("debug", "dbgstat is %q: the operator has a shell", c.Debug)
	}
	if a, err := c.assurance(); err == nil && a != attestation.AssuranceTEE {
		weak("hardware", "%q as attested by %q does not keep memory secret and whole from the host", c.Hardware, c.Attester)
	}
	if c.Hardware == hardwareTDX && c.TCBStatus == "" {
		weak("tcb", "the token does not say how well patched the TD's platform is")
	}
	if len(c.ArgsOverride) > 0 {
		weak("cmd_override", "the operator replaced the image's arguments: %q", c.ArgsOverride)
	}
	for _, k := range slices.Sorted(maps.Keys(c.EnvOverride)) {
		weak("env_override", "the operator set %q=%q", k, c.EnvOverride[k])
	}
	if t.certs == nil {
		weak("keys", "the key is as fresh as the policy: Google rotates its published keys")
	}
	if ignored > 0 {
		weak("endorsements", "%d endorsements or logs came along and are ignored: a token's keys come from the policy only", ignored)
	}
}
