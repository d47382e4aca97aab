// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// fullManifest has every optional field.
func fullManifest(t testing.TB, f *fixture) *Packed {
	t.Helper()
	one := f.pack(f.config(FormatCSV, "label,pixel\n1,2\n"))
	cfg, _ := f.next(one, FormatCSV, "label,pixel\n3,4\n")
	cfg.PublishColumns = true
	credential, report := envelope.Sum([]byte("credential")), envelope.Sum([]byte("report"))
	cfg.Manifest.Credential = &credential
	cfg.Manifest.Metadata = Metadata{
		Description: "Handwritten digits.", License: "CC-BY-4.0", Creator: Agent{Type: "sc:Person", Name: "Ada"},
		Collection: "scanned forms", Labels: "two annotators", Sampling: "uniform", KnownBiases: []string{"left-handed writers are rare"},
		Retention: "until 2030", Contact: "ada@example.org",
		Consent: []Reference{{"consent-1", credential}}, Payment: []Reference{{"payment-1", report}},
		PIIScan: &PIIScan{
			Tool: "glovebox-pii", Version: "1.0", Method: report, Date: "2027-01-15", Records: 2, Unread: 1, Findings: 3,
			Types: []Count{{"EMAIL_ADDRESS", 2}, {"PERSON", 1}}, Report: report,
		},
		Transforms: []StepReport{{
			Step: StepRedact, ID: report, Digest: report, Config: report, RecordsIn: 4, RecordsOut: 2, BytesIn: 100, BytesOut: 90,
			Findings: []Count{{"PERSON", 7}}, Quarantined: []Count{{"not-text", 2}},
		}},
		Anonymity: &Anonymity{K: 2, L: 1, Quasi: []string{"label"}, Sensitive: []string{"pixel"}, Records: 2, Suppressed: 1},
	}
	cfg.Manifest.Terms.Modes = []string{ModeRaw, ModeRedacted, ModeAggregate}
	cfg.Manifest.Terms.Privacy.Epsilon, cfg.Manifest.Terms.Privacy.BuyerEpsilon, cfg.Manifest.Terms.Privacy.Delta = 8_000_000, 4_000_000, 10_000_000
	cfg.Manifest.Terms.Private = []ModePrivacy{{Mode: ModeAggregate, Epsilon: 2_000_000, Delta: 1_000_000, Contributions: 1, Runtimes: RuntimesFor(ModeAggregate), Shards: 100}}
	cfg.Manifest.Terms.Steps = []ModeSteps{{Mode: ModeRedacted, Steps: []Step{{Name: StepRedact, Digest: report, Config: json.RawMessage(`{"detect":["all"]}`)}}}}
	return f.pack(cfg)
}

// TestManifestWithoutField deletes and zeroes every field of a signed manifest, signs it again, and expects a refusal.
func TestManifestWithoutField(t *testing.T) {
	f := newFixture(t)
	p := fullManifest(t, f)
	_, payload, _, err := envelope.Parts(p.Signed)
	if err != nil {
		t.Fatal(err)
	}
	// Where the zero value says something, and says it in the owner's words, it stands.
	meaningful := []string{
		"predicate.credential", "predicate.metadata.gb:piiScan", // null: there is none
		"predicate.metadata.gb:anonymity", "predicate.metadata.gb:anonymity.suppressed", "predicate.metadata.gb:transforms",
		"predicate.metadata.gb:transforms.0.findings", "predicate.metadata.gb:transforms.0.quarantined", "predicate.metadata.gb:piiScan.unread",
		"predicate.metadata.gb:transforms.0.recordsOut", "predicate.metadata.gb:transforms.0.bytesIn", "predicate.metadata.gb:transforms.0.bytesOut",
		"predicate.segments.0.index", "predicate.segments.1.index", // the first
		"predicate.metadata.gb:consent", "predicate.metadata.gb:payment", // none
		"predicate.metadata.gb:duplicates.exact",                                    // false: there may be more
		"predicate.terms.licence.commercial", "predicate.terms.licence.derivatives", // a narrower licence
	}
	// A shorter list of these is another true statement; nothing else in the manifest depends on it.
	shorter := []string{
		"predicate.metadata.gb:consent.0", "predicate.metadata.gb:payment.0",
		"predicate.metadata.gb:transforms.0", "predicate.metadata.gb:transforms.0.findings.0", "predicate.metadata.gb:transforms.0.quarantined.0",
		"predicate.metadata.recordSet.0.field.1",
	}
	tried := 0
	for _, path := range jsonPaths(t, payload) {
		for _, how := range []string{"delete", "zero", "null"} {
			name := strings.Join(path, ".")
			changed, ok := withoutField(t, payload, path, how)
			stands := how == "delete" && slices.Contains(shorter, name) || how != "delete" && slices.Contains(meaningful, name)
			if !ok || stands {
				continue
			}
			tried++
			if _, err := Verify(f.resign(changed)); err == nil {
				t.Errorf("%s %s: accepted", how, name)
			}
		}
	}
	if tried < 200 {
		t.Errorf("only %d changes tried", tried)
	}
}

// jsonPaths lists every member and element of a JSON text.
func jsonPaths(t testing.TB, b []byte) [][]string {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	var out [][]string
	var walk func(any, []string)
	walk = func(v any, at []string) {
		if len(at) > 0 {
			out = append(out, slices.Clone(at))
		}
		switch v := v.(type) {
		case map[string]any:
			for k, m := range v {
				walk(m, append(at, k))
			}
		case []any:
			for i, m := range v {
				walk(m, append(at, fmt.Sprint(i)))
			}
		}
	}
	walk(v, nil)
	return out
}

// withoutField deletes, zeroes or nulls what path leads to. It reports false when that changes nothing.
func withoutField(t testing.TB, b []byte, path []string, how string) ([]byte, bool) {
	t.Helper()
	var root any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&root); err != nil {
		t.Fatal(err)
	}
	var edit func(v any, path []string) any
	edit = func(v any, path []string) any {
		switch v := v.(type) {
		case map[string]any:
			if len(path) > 1 {
				v[path[0]] = edit(v[path[0]], path[1:])
			} else if how == "delete" {
				delete(v, path[0])
			} else {
				v[path[0]] = zeroOf(v[path[0]], how)
			}
			return v
		case []any:
			var i int
			if _, err := fmt.Sscan(path[0], &i); err != nil {
				t.Fatal(err)
			}
			if len(path) > 1 {
				v[i] = edit(v[i], path[1:])
			} else if how == "delete" {
				return slices.Delete(v, i, i+1)
			} else {
				v[i] = zeroOf(v[i], how)
			}
			return v
		}
		t.Fatalf("path %v leads nowhere", path)
		return nil
	}
	out, err := envelope.Canonical(edit(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return out, !bytes.Equal(out, b)
}

func zeroOf(v any, how string) any {
	if how == "null" {
		return nil
	}
	switch v := v.(type) {
	case string:
		switch {
		case len(v) == 71 && strings.HasPrefix(v, "sha256:"):
			return "sha256:" + strings.Repeat("0", 64)
		case strings.Trim(v, "0123456789abcdef") == "" && len(v) >= 32:
			return strings.Repeat("0", len(v))
		}
		return ""
	case json.Number:
		return 0
	case bool:
		return false
	case []any:
		return []any{}
	case map[string]any:
		return map[string]any{}
	}
	return nil
}

func TestManifestRoundTrip(t *testing.T) {
	f := newFixture(t)
	p := fullManifest(t, f)
	v, err := Verify(p.Signed)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p.Manifest, &v.Predicate); d != "" {
		t.Error(d)
	}
	if names := v.Predicate.Metadata.RecordSet[0].Field; len(names) != 2 || names[0].Name != "label" {
		t.Errorf("published columns: %v", names)
	}
}

// TestColumnsStayPrivate: without the owner's word no text of the source is in the manifest, not even its first line.
func TestColumnsStayPrivate(t *testing.T) {
	f := newFixture(t)
	p := f.pack(f.config(FormatCSV, "canaryname,other\ncanaryvalue,1\n"))
	_, payload, _, err := envelope.Parts(p.Signed)
	if err != nil || bytes.Contains(payload, []byte("canary")) {
		t.Errorf("the manifest shows the source (%v)", err)
	}
}

func TestWrongOwnerKey(t *testing.T) {
	f, stranger := newFixture(t), newFixture(t)
	p := f.pack(f.config(FormatCSV, "a\n1\n"))
	if _, err := VerifyBy(p.Signed, stranger.signer.Public()); !errors.Is(err, ErrOwner) || !errors.Is(err, ErrIntegrity) {
		t.Errorf("another owner expected: %v, want ErrOwner", err)
	}
	if _, err := VerifyBy(p.Signed, envelope.PublicKey{}); !errors.Is(err, ErrOwner) {
		t.Errorf("no owner expected: %v, want ErrOwner", err)
	}
	_, payload, _, err := envelope.Parts(p.Signed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(stranger.resign(payload)); !errors.Is(err, envelope.ErrSignature) {
		t.Errorf("signed by a stranger: %v, want ErrSignature", err)
	}
}

func TestUnknownManifestField(t *testing.T) {
	f := newFixture(t)
	_, payload, _, err := envelope.Parts(f.pack(f.config(FormatCSV, "a\n1\n")).Signed)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{`"predicate":{`, `"terms":{`, `"metadata":{`, `"price":{`, `"tree":{`} {
		changed := strings.Replace(string(payload), at, at+`"aaa":1,`, 1)
		c, err := canonical(changed)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Verify(f.resign(c))
		if !errors.Is(err, envelope.ErrMalformed) || !strings.Contains(err.Error(), "aaa") {
			t.Errorf("in %s: %v, want ErrMalformed naming the field", at, err)
		}
	}
}

func canonical(s string) ([]byte, error) {
	var v any
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return envelope.Canonical(v)
}

// TestManifestContradicts changes one thing at a time so that the manifest contradicts itself.
func TestManifestContradicts(t *testing.T) {
	f := newFixture(t)
	base := fullManifest(t, f)
	for name, change := range contradictions() {
		t.Run(name, func(t *testing.T) {
			v, err := Verify(base.Signed)
			if err != nil {
				t.Fatal(err)
			}
			m := v.Predicate
			change(&m)
			if err := m.Validate(); !errors.Is(err, ErrManifest) {
				t.Errorf("%v, want ErrManifest", err)
			}
			signed, _, err := envelope.Sign(f.signer, envelope.ManifestType, m.subjects(), &m)
			if err == nil {
				if _, err = Verify(signed); err == nil {
					t.Error("verifies")
				}
			}
		})
	}
}

func contradictions() map[string]func(*Manifest) {
	d := envelope.Sum([]byte("other"))
	return map[string]func(*Manifest){
		"segment repeated": func(m *Manifest) { m.Segments = append(m.Segments, m.Segments[1]) },
		"segments swapped": func(m *Manifest) { m.Segments[0], m.Segments[1] = m.Segments[1], m.Segments[0] },
		"segment dropped":  func(m *Manifest) { m.Segments = m.Segments[:1] },
		"blob repeated":    func(m *Manifest) { m.Segments[1].Blob = m.Segments[0].Blob },
		"future segment":   func(m *Manifest) { m.Segments[1].Version = 3 },
		"segment length":   func(m *Manifest) { m.Segments[1].Bytes = headerSize + sealedChunk },
		"segment leaves":   func(m *Manifest) { m.Segments[1].Leaves++; m.Tree.Size++ },
		"swollen segment": func(m *Manifest) {
			g := &m.Segments[1]
			g.Bytes += 100 * leafSize
			g.Leaves, m.Tree.Size = g.Leaves+100, m.Tree.Size+100
			m.Metadata.Distribution = m.distribution()
		},
		"records":              func(m *Manifest) { m.Records++ },
		"records moved":        func(m *Manifest) { m.Segments[0].Records, m.Segments[1].Records = -1, 3 },
		"no raw bytes":         func(m *Manifest) { m.RawBytes = 0 },
		"raw bytes beyond":     func(m *Manifest) { m.RawBytes = 1 << 40 },
		"raw bytes not padded": func(m *Manifest) { m.RawBytes = 1<<20 + 1 },
		"index dropped":        func(m *Manifest) { m.Indexes = m.Indexes[:1] },
		"no index":             func(m *Manifest) { m.Indexes = nil },
		"index repeated":       func(m *Manifest) { m.Indexes = append(m.Indexes, m.Indexes[1]) },
		"indexes swapped":      func(m *Manifest) { m.Indexes[0], m.Indexes[1] = m.Indexes[1], m.Indexes[0] },
		"index of another":     func(m *Manifest) { m.Indexes[0].Version = 2 },
		"index length":         func(m *Manifest) { m.Indexes[0].Bytes += 2 },
		"index without blob":   func(m *Manifest) { m.Indexes[0].Blob = envelope.Digest{} },
		"index is a segment":   func(m *Manifest) { m.Indexes[0].Blob = m.Segments[0].Blob },
		"batches enormous":     func(m *Manifest) { m.Segments[0].Batches = MaxBatches + 1 },
		"length not padded":    unpadded,
		"tree size":            func(m *Manifest) { m.Tree.Size = 3 },
		"tree levels":          func(m *Manifest) { m.Tree.Levels = append(m.Tree.Levels, d) },
		"version 1":            func(m *Manifest) { m.Version = 1 },
		"version overflow":     func(m *Manifest) { m.Version = MaxAmount + 1 },
		"name":                 func(m *Manifest) { m.Name = "a/b" },
		"offer":                func(m *Manifest) { m.Metadata.UsageInfo.Prohibition = nil },
		"offer cheaper":        func(m *Manifest) { m.Terms.Price.PerRecord++ },
		"distribution":         func(m *Manifest) { m.Metadata.Distribution[0].SHA256 = d.Hex() },
		"described as another": func(m *Manifest) { m.Metadata.Name = "other" },
		"creator":              func(m *Manifest) { m.Metadata.Creator.Identifier = m.Broker.Key },
		"field source":         func(m *Manifest) { m.Metadata.RecordSet[0].Field[1].Source.FileObject.ID = "x" },
		"address scheme":       func(m *Manifest) { m.Broker.Address = "ftp://host" },
		"address with secret":  func(m *Manifest) { m.Broker.Address = "http://user:pw@host" },
		"address with query":   func(m *Manifest) { m.Broker.Address = "http://host/?q" },
		"address long":         func(m *Manifest) { m.Broker.Address = "http://" + strings.Repeat("h", MaxAddress) },
		"unsorted purposes":    func(m *Manifest) { m.Terms.Purposes = []string{"b", "a"} },
		"repeated output":      func(m *Manifest) { m.Terms.Outputs = []string{"model", "model"} },
		"unknown output":       func(m *Manifest) { m.Terms.Outputs = []string{"everything"} },
		"bad purpose":          func(m *Manifest) { m.Terms.Purposes = []string{"Any thing"} },
		"mode":                 func(m *Manifest) { m.Terms.Modes = []string{"aggregate-only"} },
		"epochs":               func(m *Manifest) { m.Terms.MaxEpochs = MaxEpochs + 1 },
		"lease":                func(m *Manifest) { m.Terms.LeaseSeconds = MaxLeaseSeconds + 1 },
		"logs":                 func(m *Manifest) { m.Terms.Logs = "on" },
		"assurance":            func(m *Manifest) { m.Terms.MinAssurance = "trust-me" },
		"untested assurance":   func(m *Manifest) { m.Test = false },
		"currency":             func(m *Manifest) { m.Terms.Price.Currency = "euro" },
		"negative price":       func(m *Manifest) { m.Terms.Price.PerUse = -1 },
	}
}

// unpadded makes a segment a byte longer than a padded one: as long as no honest pack makes it.
func unpadded(m *Manifest) {
	g := &m.Segments[0]
	n := padme(100)
	for padme(n) == n {
		n++
	}
	g.Bytes, g.Batches = sealedSize(n), 1
	m.Indexes[0].Bytes = indexBytes(1)
	m.Metadata.Distribution = m.distribution()
}

// TestSubjectOfAnother: a manifest signed under another subject is refused.
func TestSubjectOfAnother(t *testing.T) {
	f := newFixture(t)
	p := f.pack(f.config(FormatCSV, "a\n1\n"))
	for _, s := range [][]envelope.Subject{
		{envelope.NewSubject("other", p.Manifest.Tree.Root)},
		{envelope.NewSubject(p.Manifest.Name, envelope.Sum(nil))},
		append(p.Manifest.subjects(), p.Manifest.subjects()...),
	} {
		signed, _, err := envelope.Sign(f.signer, envelope.ManifestType, s, p.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(signed); !errors.Is(err, ErrSubject) {
			t.Errorf("%v, want ErrSubject", err)
		}
	}
}

// manifestExpectations name the errors that vectors may expect.
var manifestExpectations = map[string]error{
	"signature": envelope.ErrSignature, "malformed": envelope.ErrMalformed, "not-canonical": envelope.ErrNotCanonical,
	"type": envelope.ErrType, "manifest": ErrManifest, "mode": ErrMode, "owner": ErrOwner, "subject": ErrSubject, "key": envelope.ErrKey,
}

func TestManifestVectors(t *testing.T) {
	if *update {
		writeManifestVectors(t)
	}
	seen := map[string]bool{}
	for _, v := range loadVectors(t, "manifest/*.txt") {
		want, known := manifestExpectations[v.header["expect"]]
		seen[v.header["expect"]] = true
		owner, err := envelope.ParsePublicKey(v.header["owner"])
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		_, err = VerifyBy(v.body, owner)
		switch {
		case v.header["expect"] == "ok" && err != nil:
			t.Errorf("%s: %v", v.name, err)
		case v.header["expect"] != "ok" && (!known || !errors.Is(err, want)):
			t.Errorf("%s: %v, want %s", v.name, err, v.header["expect"])
		}
	}
	for e := range manifestExpectations {
		if !seen[e] {
			t.Errorf("no vector expects %q", e)
		}
	}
	if !seen["ok"] {
		t.Error("no vector is valid")
	}
}

func writeManifestVectors(t *testing.T) {
	f, stranger := newFixture(t), newFixture(t)
	p := fullManifest(t, f)
	_, payload, sig, err := envelope.Parts(p.Signed)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, expect, comment string, owner *envelope.Signer, signed []byte) {
		path := filepath.Join("..", "..", "testdata", "vectors", "manifest", name+".txt")
		text := fmt.Sprintf("expect: %s\ncomment: %s\nowner: %s\n\n%s\n", expect, comment, owner.Public(), signed)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // a public test vector
			t.Fatal(err)
		}
	}
	edited := func(path string, v any) []byte { return f.resign(edit(t, payload, path, v)) }
	write("valid", "ok", "version 2 of a CSV dataset with every optional field", f.signer, p.Signed)
	write("valid-minimal", "ok", "version 1 with what pack requires", f.signer, f.pack(f.config(FormatJSONL, "1\n")).Signed)
	flipped := bytes.Clone(sig)
	flipped[len(flipped)-1] ^= 1
	broken, err := envelope.Join(envelope.PayloadType, payload, flipped)
	if err != nil {
		t.Fatal(err)
	}
	write("flipped-signature", "signature", "one bit of the signature", f.signer, broken)
	write("wrong-owner", "owner", "the caller expects another owner", stranger.signer, p.Signed)
	write("stranger-signs", "signature", "names the owner, signed by somebody else", f.signer, stranger.resign(payload))
	write("unknown-field", "malformed", "a term that no reader knows", f.signer, edited("predicate.terms.discount", 1))
	write("missing-field", "not-canonical", "terms without maxUses", f.signer, func() []byte {
		b, _ := withoutField(t, payload, []string{"predicate", "terms", "maxUses"}, "delete")
		return f.resign(b)
	}())
	write("duplicate-field", "malformed", "maxUses twice", f.signer,
		f.resign(bytes.Replace(payload, []byte(`"maxUses":100`), []byte(`"maxUses":100,"maxUses":9`), 1)))
	write("other-statement", "type", "a revocation where a manifest is expected", f.signer, edited("predicateType", envelope.RevocationType))
	write("bad-owner-key", "key", "owner is not a did:key", f.signer, edited("predicate.owner", "did:key:zzz"))
	write("unenforced-mode", "mode", "promises aggregate-only", f.signer, edited("predicate.terms.modes", []any{"aggregate-only"}))
	write("mode-without-steps", "manifest", "promises redacted, and nothing redacts", f.signer, edited("predicate.terms.steps", nil))
	write("other-subject", "subject", "subject names another root", f.signer, edited("subject", []any{envelope.NewSubject("digits", envelope.Sum(nil))}))
	write("segment-missing", "manifest", "totals of two segments, one listed", f.signer, func() []byte {
		b, _ := withoutField(t, payload, []string{"predicate", "segments", "1"}, "delete")
		return f.resign(b)
	}())
	write("version-without-previous", "manifest", "version 2 that names no version before", f.signer, edited("predicate.previous", nil))
	write("raw-bytes-exact", "manifest", "the length of the plaintext, not padded", f.signer, edited("predicate.rawBytes", 1025))
	write("index-missing", "manifest", "two versions and the index of one", f.signer, func() []byte {
		b, _ := withoutField(t, payload, []string{"predicate", "indexes", "1"}, "delete")
		return f.resign(b)
	}())
	write("weak-assurance", "manifest", "open to a simulator without being a test", f.signer, edited("predicate.test", false))
	write("offer-differs", "manifest", "the ODRL offer allows more than the terms", f.signer, edited("predicate.terms.maxUses", 99))
	var three *Packed
	f, _, _, _, three = erased(t)
	write("tombstones", "ok", "version 3 of a dataset by contributor, of whom two are erased", f.signer, three.Signed)
	if _, payload, _, err = envelope.Parts(three.Signed); err != nil {
		t.Fatal(err)
	}
	write("tombstone-of-part", "manifest", "a tombstone of less than an erasure unit", f.signer, edited("predicate.tombstones.0.count", 1))
	write("tombstone-of-another-day", "manifest", "a tombstone with a date that is none", f.signer, edited("predicate.tombstones.0.date", "2027-02-30"))
	write("tombstone-missing", "manifest", "a contributor's tombstone is gone, her records are in no count", f.signer, func() []byte {
		b, _ := withoutField(t, payload, []string{"predicate", "tombstones", "0"}, "delete")
		return f.resign(b)
	}())
}

// edit sets the value at a dotted path.
func edit(t testing.TB, b []byte, path string, value any) []byte {
	t.Helper()
	var root map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&root); err != nil {
		t.Fatal(err)
	}
	parts, at := strings.Split(path, "."), any(root)
	for _, p := range parts[:len(parts)-1] {
		if list, ok := at.([]any); ok {
			i, err := strconv.Atoi(p)
			if err != nil {
				t.Fatal(err)
			}
			at = list[i]
		} else {
			at = at.(map[string]any)[p]
		}
	}
	at.(map[string]any)[parts[len(parts)-1]] = value
	out, err := envelope.Canonical(root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
