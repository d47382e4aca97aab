// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func trustedRoot(t testing.TB) (*usagetest.Log, []byte) {
	t.Helper()
	log, err := usagetest.NewLog(1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := usage.WriteTrustedRoot(log.Log, time.UnixMilli(usagetest.Now))
	if err != nil {
		t.Fatal(err)
	}
	return log, b
}

func TestTrustedRoot(t *testing.T) {
	log, b := trustedRoot(t)
	got, err := usage.ParseTrustedRoot(b)
	if err != nil {
		t.Fatal(err)
	}
	if got.Origin() != log.Origin() || got.ID() != log.ID() || !got.Key().Equal(log.Key()) {
		t.Error("parsed another log than was written")
	}
	var m struct {
		Logs []struct {
			BaseURL string `json:"baseUrl"`
		} `json:"tlogs"`
	}
	if err := json.Unmarshal(b, &m); err != nil || m.Logs[0].BaseURL != "https://"+usagetest.Origin {
		t.Errorf("base URL %v, %v", m, err)
	}
}

// TestTrustedRootFieldsDeletedOrZeroed: there is no anchor with a field missing.
func TestTrustedRootFieldsDeletedOrZeroed(t *testing.T) {
	_, b := trustedRoot(t)
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	for _, e := range usagetest.Edits(v) {
		var c any
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		if _, err := usage.ParseTrustedRoot(canonical(t, e.Apply(c))); !errors.Is(err, usage.ErrTrust) {
			t.Errorf("%s: %v", e, err)
		}
	}
	for old, bad := range map[string]string{
		`https://log.example.org`: `https://log.example.org:8443`, `https://`: `http://`, `SHA2_256`: `SHA2_512`, `PKIX_ED25519`: `PKIX_ED25519_PH`,
		`version=0.1`: `version=0.2`, `"tlogs"`: `"ctlogs"`,
	} {
		if _, err := usage.ParseTrustedRoot(bytes.Replace(b, []byte(old), []byte(bad), 1)); !errors.Is(err, usage.ErrTrust) {
			t.Errorf("%s for %s: %v", bad, old, err)
		}
	}
}

func TestTrustRoundTrip(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Trust: func(t *usage.Trust) {
		k := mustKey(envelope.RoleReference).Public()
		t.SimulatedRoot = &k
	}})
	b, err := usage.WriteTrust(&r.Trust)
	if err != nil {
		t.Fatal(err)
	}
	got, err := usage.ParseTrust(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&r.Trust, got, cmp.Comparer(func(a, b envelope.PublicKey) bool { return a.Equal(b) })); d != "" {
		t.Error(d)
	}
	empty, err := usage.WriteTrust(&usage.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := usage.ParseTrust(empty); err != nil {
		t.Errorf("an empty trust is readable, and every anchor missing a finding: %v", err)
	}
}

func TestParseTrustRefuses(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	good, err := usage.WriteTrust(&r.Trust)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":           nil,
		"no version":      []byte(`{}`),
		"another version": bytes.Replace(good, []byte(`"version":1,`), []byte(`"version":2,`), 1),
		"unknown field":   bytes.Replace(good, []byte(`"owners"`), []byte(`"owner"`), 1),
		"duplicate field": bytes.Replace(good, []byte(`"owners"`), []byte(`"Log":null,"owners"`), 1),
		"a malformed key": bytes.Replace(good, []byte(`did:key:z`), []byte(`did:key:q`), 1),
		"trailing data":   append(bytes.Clone(good), '1'),
		"too many owners": []byte(`{"version":1,"owners":[` + strings.Repeat(`"`+r.Keys.Creator.Public().String()+`",`, 4096) + `"` + r.Keys.Creator.Public().String() + `"]}`),
		"huge":            make([]byte, usage.MaxTrust+1),
	} {
		if _, err := usage.ParseTrust(b); !errors.Is(err, usage.ErrTrust) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestZeroTrust: nothing is skipped for want of an anchor.
func TestZeroTrust(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Trust: func(t *usage.Trust) { *t = usage.Trust{} }})
	v := r.Verify()
	for _, rule := range []string{"trust.log", "trust.owners", "trust.references", "trust.assurance", "manifest.owner", "evidence.unappraised", "log.key"} {
		wantRule(t, v.Findings, rule)
	}
}
