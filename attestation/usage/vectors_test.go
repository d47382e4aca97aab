// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// update writes the vectors anew, with new keys: go test ./attestation/usage -run TestMakeVectors -update
var update = flag.Bool("update", false, "write testdata/vectors anew")

const (
	usageVectors  = "../../testdata/vectors/usage"
	bundleVectors = "../../testdata/vectors/bundle"
)

type vector struct {
	head map[string]string
	body []byte
}

func readVectors(t testing.TB, dir string) map[string]vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors in %s: %v", dir, err)
	}
	out := map[string]vector{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		head, body, ok := bytes.Cut(b, []byte("\n\n"))
		v := vector{map[string]string{}, bytes.TrimSuffix(body, []byte("\n"))}
		for line := range strings.SplitSeq(string(head), "\n") {
			name, value, _ := strings.Cut(line, ": ")
			v.head[name] = value
		}
		if !ok || v.head["expect"] == "" || v.head["comment"] == "" {
			t.Fatalf("%s has no body, expect or comment", f)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".txt")] = v
	}
	return out
}

func writeVector(t *testing.T, dir, name string, head []string, body []byte) {
	t.Helper()
	path := filepath.Join(dir, strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789", r) {
			return r
		}
		return '-'
	}, strings.ToLower(name))+".txt")
	if err := os.WriteFile(path, append([]byte(strings.Join(head, "\n")+"\n\n"), append(body, '\n')...), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestUsageVectors(t *testing.T) {
	seen := map[string]int{}
	for name, v := range readVectors(t, usageVectors) {
		key, err := envelope.ParsePublicKey(v.head["key"])
		if err != nil {
			t.Fatal(err)
		}
		got, result, err := usage.Verify(v.body, key)
		want := map[string]error{
			"ok": nil, "invalid": usage.ErrInvalid, "signature": envelope.ErrSignature, "type": envelope.ErrType, "malformed": envelope.ErrMalformed,
		}
		e, known := want[v.head["expect"]]
		if !known || !errors.Is(err, e) || (err == nil && (got == nil || (result == nil) != (got.Predicate.Outcome == usage.OutcomeFailed))) {
			t.Errorf("%s: %v, want %s", name, err, v.head["expect"])
		}
		seen[v.head["expect"]]++
	}
	for _, want := range []string{"ok", "invalid", "signature", "type", "malformed"} {
		if seen[want] == 0 {
			t.Errorf("no vector expects %q", want)
		}
	}
}

// TestBundleVectors: a body without manifests is about those of valid.txt.
func TestBundleVectors(t *testing.T) {
	vectors := readVectors(t, bundleVectors)
	shared := manifestsOf(t, vectors["valid"].body)
	rules := map[string]bool{}
	for name, v := range vectors {
		root, err := hex.DecodeString(v.head["root"])
		if err != nil {
			t.Fatal(err)
		}
		trust, err := usage.ParseTrust([]byte(v.head["trust"]))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p := usagetest.PlatformOf(attestation.Assurance(v.head["assurance"]), root)
		body := v.body
		if string(manifestsOf(t, body)) == "null" {
			body = withManifests(t, body, shared)
		}
		verdict, err := usage.Audit(context.Background(), body, *trust, func([]envelope.PublicKey) []attestation.Format { return []attestation.Format{p} })
		if err != nil {
			t.Fatal(err)
		}
		rules[v.head["expect"]] = true
		if v.head["expect"] == "ok" {
			if !verdict.OK() {
				t.Errorf("%s: %v", name, verdict.Findings)
			}
			continue
		}
		found := slices.ContainsFunc(verdict.Findings, func(f usage.Finding) bool { return f.Rule == v.head["expect"] && f.Part == v.head["part"] })
		if verdict.OK() || !found {
			t.Errorf("%s: want %s about %s, got %v", name, v.head["expect"], v.head["part"], verdict.Findings)
		}
	}
	for _, c := range refusals() {
		if !rules[c.rule] {
			t.Errorf("no vector for %s", c.rule)
		}
	}
}

func manifestsOf(t *testing.T, bundle []byte) json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(bundle, &m); err != nil {
		t.Fatal(err)
	}
	return m["manifests"]
}

func withManifests(t *testing.T, bundle []byte, manifests json.RawMessage) []byte {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(bundle, &m); err != nil {
		t.Fatal(err)
	}
	m["manifests"] = manifests
	return canonical(t, m)
}

func TestMakeVectors(t *testing.T) {
	if !*update {
		t.Skip("the vectors are kept: -update writes them anew")
	}
	for _, dir := range []string{usageVectors, bundleVectors} {
		if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	makeUsageVectors(t)
	makeBundleVectors(t)
}

func makeUsageVectors(t *testing.T) {
	key := mustKey(envelope.RoleEnclave)
	write := func(name, expect string, signer usagetest.Key, s usage.Statement, edit func(m map[string]any)) {
		subjects := []envelope.Subject{envelope.NewSubject("result.age", envelope.Sum([]byte("age")))}
		if s.Outcome == usage.OutcomeFailed {
			subjects = nil
			for _, p := range s.Packages {
				subjects = append(subjects, envelope.NewSubject("grant", p.Grant))
			}
		}
		var v any
		err := json.Unmarshal(canonical(t, envelope.Statement[usage.Statement]{
			Type: "https://in-toto.io/Statement/v1", Subject: subjects, PredicateType: envelope.UsageType, Predicate: s,
		}), &v)
		if err != nil {
			t.Fatal(err)
		}
		if edit != nil {
			edit(v.(map[string]any))
		}
		signed, err := signer.SignRaw(v)
		if err != nil {
			t.Fatal(err)
		}
		writeVector(t, usageVectors, name, []string{"expect: " + expect, "comment: " + name, "key: " + key.Public().String()}, signed)
	}
	failed := valid()
	fail(&failed)
	write("valid", "ok", key, valid(), nil)
	write("valid failed", "ok", key, failed, nil)
	write("signed by another key", "signature", mustKey(envelope.RoleEnclave), valid(), nil)
	write("another predicate type", "type", key, valid(), func(m map[string]any) { m["predicateType"] = envelope.GrantType })
	write("another subject", "invalid", key, valid(), func(m map[string]any) { m["subject"].([]any)[0].(map[string]any)["name"] = "model.bin" })
	write("an unknown field", "malformed", key, valid(), func(m map[string]any) { m["predicate"].(map[string]any)["note"] = "x" })
	for name, bend := range contradictions() {
		s := valid()
		bend(&s)
		if b, err := envelope.Canonical(s); err != nil || envelope.Decode(b, len(b)+1, new(usage.Statement)) != nil {
			continue // refused by the encoding already, as zero digests are
		}
		if s.Outcome == usage.OutcomeFailed && len(s.Packages) == 0 {
			continue
		}
		write(name, "invalid", key, s, nil)
	}
}

func makeBundleVectors(t *testing.T) {
	base := usagetest.New(t, usagetest.Scenario{})
	write := func(name, rule, part string, r *usagetest.Run, bundle []byte) {
		trust, err := usage.WriteTrust(&r.Trust)
		if err != nil {
			t.Fatal(err)
		}
		if rule != "ok" && bytes.Equal(manifestsOf(t, bundle), manifestsOf(t, base.Bundle)) {
			bundle = withManifests(t, bundle, json.RawMessage("null"))
		}
		head := []string{
			"expect: " + rule, "comment: " + name, "part: " + part, "assurance: " + string(attestation.AssuranceSoftwareTPM),
			fmt.Sprintf("root: %x", r.Platform.Root()), "trust: " + string(trust),
		}
		writeVector(t, bundleVectors, strings.ReplaceAll(rule, "ok", "valid"), head, bundle)
	}
	write("valid", "ok", "", base, base.Bundle)
	done := map[string]bool{}
	cases := refusals()
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		if done[c.rule] {
			continue
		}
		done[c.rule] = true
		r, bundle := bent(t, base, c)
		write(name, c.rule, c.part, r, bundle)
	}
	write("a member left out", "bundle.malformed", "ticket", base, func() []byte {
		m := bundleJSON(t, base)
		m["ticket"] = nil
		return canonical(t, m)
	}())
}
