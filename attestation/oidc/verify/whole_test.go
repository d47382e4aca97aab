// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/oidc/verify"
)

// TestWholeVerification puts tokens to the verifier that brokers have: what authenticates is not yet accepted.
func TestWholeVerification(t *testing.T) {
	b := attestationtest.Binding(t, "oidc")
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, v any) func(*fake) { return func(f *fake) { f.claims[name] = v } }
	for name, c := range map[string]struct {
		change func(*fake)
		at     time.Time
		want   error
	}{
		"good":                   {nil, stamp, nil},
		"clock behind":           {nil, stamp.Add(-time.Minute), nil},
		"nonce in a list":        {set("eat_nonce", []string{d.Hex()}), stamp, nil},
		"before its time":        {nil, stamp.Add(-3 * time.Minute), attestation.ErrAuthenticate},
		"expired":                {nil, stamp.Add(time.Hour + time.Second), attestation.ErrAppraise},
		"leaf expired since":     {shorten, stamp.Add(30 * time.Minute), attestation.ErrAppraise},
		"debug image":            {set("dbgstat", "enabled"), stamp, attestation.ErrAppraise},
		"debug, unknown word":    {set("dbgstat", "disabled"), stamp, attestation.ErrAppraise},
		"another audience":       {set("aud", audience+"2"), stamp, attestation.ErrAppraise},
		"another image":          {func(f *fake) { f.sub("container")["image_digest"] = "sha256:" + imageID }, stamp, attestation.ErrAppraise},
		"no Secure Boot":         {set("secboot", false), stamp, attestation.ErrAppraise},
		"no support":             {func(f *fake) { delete(f.sub("confidential_space"), "support_attributes") }, stamp, attestation.ErrAppraise},
		"less support":           {func(f *fake) { f.sub("confidential_space")["support_attributes"] = []string{"USABLE"} }, stamp, attestation.ErrAppraise},
		"SEV":                    {set("hwmodel", "GCP_AMD_SEV"), stamp, attestation.ErrAppraise},
		"TD out of date":         {func(f *fake) { f.claims["tdx"].(map[string]any)["gcp_attester_tcb_status"] = "OutOfDate" }, stamp, attestation.ErrAppraise},
		"TD revoked":             {func(f *fake) { f.claims["tdx"].(map[string]any)["gcp_attester_tcb_status"] = "Revoked" }, stamp, attestation.ErrAppraise},
		"no nonce":               {func(f *fake) { delete(f.claims, "eat_nonce") }, stamp, attestation.ErrBind},
		"nonce in upper case":    {set("eat_nonce", strings.ToUpper(d.Hex())), stamp, attestation.ErrBind},
		"nonce with more":        {set("eat_nonce", d.Hex()+"00"), stamp, attestation.ErrBind},
		"nonce as bytes":         {set("eat_nonce", strings.Repeat("0", 32)), stamp, attestation.ErrBind},
		"another nonce":          {set("eat_nonce", image), stamp, attestation.ErrBind},
		"eat_nonce among others": {set("eat_nonce", []string{d.Hex(), "0123456789"}), stamp, attestation.ErrBind},
		"eat_nonce twice":        {set("eat_nonce", []string{d.Hex(), d.Hex()}), stamp, attestation.ErrBind},
		"nonce null":             {set("eat_nonce", nil), stamp, attestation.ErrBind},
		"no nonces":              {set("eat_nonce", []string{}), stamp, attestation.ErrBind},
		"nonce elsewhere":        {func(f *fake) { delete(f.claims, "eat_nonce"); f.claims["nonce"] = d.Hex() }, stamp, attestation.ErrBind},
	} {
		for kind, base := range map[string]func(any) *fake{"certificates": newFake, "published key": published} {
			if name == "leaf expired since" && kind != "certificates" {
				continue
			}
			raw, v := bound(t, b, base, c.change, policy(t))
			claims, err := v.Verify(t.Context(), raw, c.at.Unix())
			if !errors.Is(err, c.want) || (err == nil) != claims.Valid() {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
		}
	}
}

func shorten(f *fake) {
	if f.pki != nil {
		f.pki.certs[0].NotAfter = stamp.Add(10 * time.Minute)
	}
}

// TestEatNonceAmongOthers: six askers can share one token; then each holds one that the five others can show as well.
func TestEatNonceAmongOthers(t *testing.T) {
	b := attestationtest.Binding(t, "among others")
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, nonces := range [][]string{{d.Hex(), image}, {image, d.Hex()}, {d.Hex(), d.Hex()}, {image, imageID}} {
		raw, v := bound(t, b, newFake, func(f *fake) { f.claims["eat_nonce"] = nonces }, policy(t))
		if _, err := v.Verify(t.Context(), raw, stamp.Unix()); !errors.Is(err, attestation.ErrBind) {
			t.Errorf("%q: %v", nonces, err)
		}
	}
}

func TestAnotherKeysToken(t *testing.T) {
	raw, v := bound(t, attestationtest.Binding(t, "first"), newFake, nil, policy(t))
	e, err := attestation.ParseEvidence(raw)
	if err != nil {
		t.Fatal(err)
	}
	e.Claims = attestationtest.Binding(t, "second")
	if raw, err = e.Encode(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), raw, stamp.Unix()); !errors.Is(err, attestation.ErrBind) {
		t.Error(err)
	}
}

// TestPolicyWithoutTokens: where the policy says nothing of tokens, none is accepted.
func TestPolicyWithoutTokens(t *testing.T) {
	raw, v := bound(t, attestationtest.Binding(t, "default"), newFake, nil, attestation.DefaultPolicy())
	if _, err := v.Verify(t.Context(), raw, stamp.Unix()); !errors.Is(err, attestation.ErrAppraise) || !strings.Contains(err.Error(), "oidc") {
		t.Error(err)
	}
	f := verify.FormatWithRoot([32]byte{})
	for _, r := range []*attestation.Report{nil, {}} {
		for _, c := range f.Appraise(r, policy(t), stamp.Unix()) {
			if c.Outcome != attestation.Fail {
				t.Errorf("%+v", c)
			}
		}
		if err := f.CheckBound(r, [32]byte{1}); !errors.Is(err, attestation.ErrBind) {
			t.Error(err)
		}
	}
}

// TestAssurance: Google's word on hardware is worth what the hardware is.
func TestAssurance(t *testing.T) {
	for name, c := range map[string]struct {
		model    string
		attester []string
		want     attestation.Assurance
	}{
		"TDX":                  {"GCP_INTEL_TDX", []string{"INTEL"}, attestation.AssuranceTEE},
		"TDX seen by the vTPM": {"GCP_INTEL_TDX", nil, attestation.AssuranceTPM},
		"TDX seen by another":  {"GCP_INTEL_TDX", []string{"AMD"}, attestation.AssuranceTPM},
		"SNP":                  {"GCP_AMD_SEV_SNP", []string{"AMD"}, attestation.AssuranceTEE},
		"SNP seen by the vTPM": {"GCP_AMD_SEV_SNP", nil, attestation.AssuranceTPM},
		"SEV":                  {"GCP_AMD_SEV", []string{"AMD"}, attestation.AssuranceTPM},
		"SEV-ES":               {"GCP_AMD_SEV_ES", []string{"AMD", "INTEL"}, attestation.AssuranceTPM},
		"Shielded VM":          {"GCP_SHIELDED_VM", []string{"INTEL"}, attestation.AssuranceTPM},
	} {
		f := newFake("0123456789")
		f.claims["hwmodel"] = c.model
		delete(f.claims, "attester_tcb")
		if c.attester != nil {
			f.claims["attester_tcb"] = c.attester
		}
		token, format := f.build(t)
		r, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix())
		if err != nil || r.Assurance != c.want {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// TestOverridesAreShown: what the operator changed at launch is told to people, and arguments can be pinned.
func TestOverridesAreShown(t *testing.T) {
	plain, format := newFake("0123456789").build(t)
	r, err := format.Authenticate(t.Context(), evidence(plain), stamp.Unix())
	if err != nil {
		t.Fatal(err)
	}
	f := newFake("0123456789")
	f.sub("container")["cmd_override"] = []string{"--debug"}
	f.sub("container")["args"] = []string{"/enclave", "--debug"}
	f.sub("container")["env_override"] = map[string]string{"LOG": "1"}
	token, format := f.build(t)
	changed, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix())
	if err != nil || changed.Measurements["args"] == r.Measurements["args"] {
		t.Fatalf("%+v, %v", changed, err)
	}
	weak := map[string]bool{}
	for _, x := range changed.Facts {
		if x.About == attestation.AboutWeakness {
			weak[x.Name] = true
		}
	}
	if !weak["cmd_override"] || !weak["env_override"] {
		t.Errorf("%+v", changed.Facts)
	}
}

// TestStrangersTextOnATerminal: what nobody has authenticated yet is shown without its control characters.
func TestStrangersTextOnATerminal(t *testing.T) {
	f := published("0123456789")
	f.header["kid"], f.claims["iss"] = "\x1b[2Jkid", "\x1b[2Jissuer\n"
	token, format := f.build(t)
	r, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix())
	if err == nil {
		t.Fatal("accepted")
	}
	for _, c := range r.Checks {
		if strings.ContainsAny(c.Seen+c.Want+c.Note, "\x1b\n") {
			t.Errorf("%+v", c)
		}
	}
	for _, x := range r.Facts {
		if strings.ContainsAny(x.Value, "\x1b\n") {
			t.Errorf("%+v", x)
		}
	}
}
