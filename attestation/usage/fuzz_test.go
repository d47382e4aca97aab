// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// FuzzAudit: every bundle is refused but the one that was signed; what parses encodes to the same bytes; what does not
// parse is refused by part.
func FuzzAudit(f *testing.F) {
	vectors := readVectors(f, bundleVectors)
	valid := vectors["valid"]
	root, err := hex.DecodeString(valid.head["root"])
	if err != nil {
		f.Fatal(err)
	}
	trust, err := usage.ParseTrust([]byte(valid.head["trust"]))
	if err != nil {
		f.Fatal(err)
	}
	platform := usagetest.PlatformOf(attestation.Assurance(valid.head["assurance"]), root)
	formats := func([]envelope.PublicKey) []attestation.Format { return []attestation.Format{platform} }
	for _, v := range vectors {
		f.Add(v.body)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := usage.Audit(context.Background(), b, *trust, formats)
		if err != nil {
			t.Fatal(err)
		}
		if v.OK() != bytes.Equal(b, valid.body) {
			t.Errorf("OK is %v: %v", v.OK(), v.Findings)
		}
		for _, f := range v.Findings {
			if f.Rule == "" || f.Part == "" || f.Message == "" {
				t.Errorf("finding %+v says nothing", f)
			}
		}
		p, err := usage.ParseBundle(b)
		if err != nil {
			if e, ok := errors.AsType[*usage.PartError](err); !ok || e.Part == "" {
				t.Errorf("%v names no part", err)
			}
			return
		}
		if again, err := envelope.Canonical(p); err != nil || !bytes.Equal(again, b) {
			t.Errorf("encodes to other bytes: %v", err)
		}
	})
}

// FuzzParseTrust: a trust that parses survives writing and parsing again.
func FuzzParseTrust(f *testing.F) {
	for _, v := range readVectors(f, bundleVectors) {
		f.Add([]byte(v.head["trust"]))
	}
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := usage.ParseTrust(b)
		if err != nil {
			if !errors.Is(err, usage.ErrTrust) {
				t.Error(err)
			}
			return
		}
		first, err := usage.WriteTrust(p)
		if err != nil {
			return // keys left out where one is needed
		}
		again, err := usage.ParseTrust(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := usage.WriteTrust(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s became %s: %v", first, second, err)
		}
	})
}

// FuzzParseTrustedRoot: a root that parses names the log whose identity it states.
func FuzzParseTrustedRoot(f *testing.F) {
	_, good := trustedRoot(f)
	f.Add(good)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		log, err := usage.ParseTrustedRoot(b)
		if err != nil {
			if !errors.Is(err, usage.ErrTrust) {
				t.Error(err)
			}
			return
		}
		id := log.ID()
		if !bytes.Contains(b, []byte("https")) || id.IsZero() {
			t.Errorf("parsed %s", b)
		}
	})
}

// FuzzVerifyStatement: nothing verifies but what was signed.
func FuzzVerifyStatement(f *testing.F) {
	vectors := readVectors(f, usageVectors)
	key, err := envelope.ParsePublicKey(vectors["valid"].head["key"])
	if err != nil {
		f.Fatal(err)
	}
	payloads := map[string]bool{}
	for _, v := range vectors {
		f.Add(v.body)
		if id, err := envelope.ID(v.body); err == nil && v.head["expect"] == "ok" {
			payloads[id.String()] = true
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, _, err := usage.Verify(b, key)
		if err == nil && !payloads[v.ID.String()] {
			t.Errorf("verified %s", b)
		}
	})
}
