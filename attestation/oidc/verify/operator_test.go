// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/oidc/verify"
)

// TestOperatorsDoing: what the operator puts over an image decides what runs, and a TD without a status vouches for nothing.
// Each is refused at its own check and no other.
func TestOperatorsDoing(t *testing.T) {
	evil := []string{"/bin/sh", "-c", "evil"}
	box := func(name string, v any) func(*fake) { return func(f *fake) { f.sub("container")[name] = v } }
	for name, c := range map[string]struct {
		change func(*fake)
		check  string // that fails; "": none does
	}{
		"arguments": {func(f *fake) { box("args", evil)(f); box("cmd_override", evil)(f) }, "overrides"},
		"environment": {func(f *fake) {
			box("env", map[string]string{"LD_PRELOAD": "/evil.so"})(f)
			box("env_override", map[string]string{"LD_PRELOAD": "/evil.so"})(f)
		}, "overrides"},
		"one empty argument": {box("cmd_override", []string{""}), "overrides"},
		"an empty variable":  {box("env_override", map[string]string{"": ""}), "overrides"},
		"nothing overridden": {func(f *fake) { box("cmd_override", []string{})(f); box("env_override", map[string]string{})(f) }, ""},
		"nulls":              {func(f *fake) { box("cmd_override", nil)(f); box("env_override", nil)(f) }, ""},
		"no status":          {func(f *fake) { delete(f.claims, "tdx") }, "oidc-tcb"},
		"status empty":       {func(f *fake) { f.claims["tdx"] = map[string]any{"gcp_attester_tcb_status": ""} }, "oidc-tcb"},
		// Neither changes what runs nor who reads it: a restart is a new binding, and memory monitoring counts bytes.
		"restarts":   {box("restart_policy", "Always"), ""},
		"monitoring": {func(f *fake) { f.sub("confidential_space")["monitoring_enabled"] = map[string]any{"memory": true} }, ""},
	} {
		for kind, base := range map[string]func(any) *fake{"certificates": newFake, "published key": published} {
			raw, v := bound(t, attestationtest.Binding(t, "operator"), base, c.change, policy(t))
			_, err := v.Verify(t.Context(), raw, stamp.Unix())
			if (err == nil) != (c.check == "") || err != nil && !errors.Is(err, attestation.ErrAppraise) {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
			f := base("0123456789")
			c.change(f)
			token, format := f.build(t)
			r, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix())
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range format.(attestation.Appraiser).Appraise(r, policy(t), stamp.Unix()) {
				if failed := got.Outcome != attestation.Pass; failed && got.Name != c.check && got.Name != "oidc-audience" || !failed && got.Name == c.check {
					t.Errorf("%s, %s: %+v", name, kind, got)
				}
			}
		}
	}
}

// TestEnvironmentIsMeasured: all of it, and what of it the operator set.
func TestEnvironmentIsMeasured(t *testing.T) {
	seen := map[string]string{}
	for name, set := range map[string]map[string]map[string]string{
		"plain": {}, "another": {"env": {"PATH": "/evil"}}, "override": {"env_override": {"PATH": "/bin"}}, "none": {"env": {}},
	} {
		f := newFake("0123456789")
		for k, v := range set {
			f.sub("container")[k] = v
		}
		token, format := f.build(t)
		r, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix())
		if err != nil || len(r.Measurements["env"]) != 64 {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		if other := seen[r.Measurements["env"]]; other != "" {
			t.Errorf("%s is measured as %s", name, other)
		}
		seen[r.Measurements["env"]] = name
	}
}

// TestOnePolicySectionStopsOneFormat: keys that cannot be used do not keep a verifier from being made.
func TestOnePolicySectionStopsOneFormat(t *testing.T) {
	p := policy(t)
	p.OIDC.Issuers[0].Keys = json.RawMessage("null")
	raw, v := bound(t, attestationtest.Binding(t, "keys"), published, nil, p)
	// bound's format has good keys of its own; what counts is what the verifier's policy makes of it.
	if _, err := v.Verify(t.Context(), raw, stamp.Unix()); !errors.Is(err, attestation.ErrAuthenticate) || !strings.Contains(err.Error(), "bad policy") {
		t.Error(err)
	}
	if err := verify.CheckPolicy(nil); err != nil {
		t.Error(err)
	}
	if err := verify.CheckPolicy(p.OIDC); !errors.Is(err, verify.ErrPolicy) {
		t.Error(err)
	}
}

// TestOneSpellingOfCertificates: what base64 would skip is refused, although the token's signature covers it.
func TestOneSpellingOfCertificates(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for name, change := range map[string]func(string) string{
		"line break": func(s string) string { return s[:64] + "\n" + s[64:] },
		"spare bits": func(s string) string {
			bare := strings.TrimRight(s, "=")
			last := strings.IndexByte(letters, bare[len(bare)-1])
			return bare[:len(bare)-1] + letters[last+1:last+2] + s[len(bare):]
		},
	} {
		f := newFake("0123456789")
		f.pki.certs[0].Subject.CommonName += strings.Repeat("x", padding(t))
		f.raw = func(h, p string) (string, string) {
			var head map[string]any
			if err := json.Unmarshal([]byte(h), &head); err != nil {
				t.Fatal(err)
			}
			certs := head["x5c"].([]any)
			s := certs[0].(string)
			if !strings.HasSuffix(s, "=") {
				t.Fatal("no spare bits")
			}
			certs[0] = change(s)
			return marshal(t, head), p
		}
		token, format := f.build(t)
		if _, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix()); !errors.Is(err, verify.ErrChain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// padding is how much longer a leaf's name must be for its base64 to end in padding.
func padding(t *testing.T) int {
	if len(newPKI(fakeKeys()).issue(t)[0])%3 == 0 {
		return 1
	}
	return 0
}

// TestTokenWithoutKeyID: no key answers to no name, even where the policy has one without.
func TestTokenWithoutKeyID(t *testing.T) {
	f := published("0123456789")
	delete(f.header, "kid")
	token, _ := f.build(t)
	k := fakeKeys()[3]
	p := policy(t)
	p.OIDC.Issuers[0].Keys = json.RawMessage(marshal(t, map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "alg": "RS256", "use": "sig", "n": base64.RawURLEncoding.EncodeToString(k.N.Bytes()), "e": "AQAB",
	}}}))
	format, err := verify.FormatWithRoot([32]byte{}).WithPolicy(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := format.Authenticate(t.Context(), evidence(token), stamp.Unix()); !errors.Is(err, verify.ErrKey) && !errors.Is(err, verify.ErrPolicy) {
		t.Error(err)
	}
}
