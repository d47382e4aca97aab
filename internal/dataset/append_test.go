// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// next packs src as the version after p.
func (f *fixture) next(p *Packed, format Format, src string) (PackConfig, *envelope.Verified[Manifest]) {
	f.t.Helper()
	v, err := VerifyBy(p.Signed, f.signer.Public())
	if err != nil {
		f.t.Fatal(err)
	}
	cfg := f.config(format, src)
	cfg.Previous = v
	return cfg, v
}

func TestNewVersionKeepsSegments(t *testing.T) {
	more := bigCSV(300_000)
	for name, c := range map[string]struct {
		format            Format
		first, more, want string
	}{
		"csv":                  {FormatCSV, bigCSV(600_000), more, bigCSV(600_000) + strings.TrimPrefix(more, "id,value\n")},
		"csv without line end": {FormatCSV, "id,value\n1,2", "id,value\r\n3,4", "id,value\n1,2\n3,4"},
		"quoted header":        {FormatCSV, "\"a\nb\"\n1\n", "\"a\nb\"\n2\n", "\"a\nb\"\n1\n2\n"},
		"jsonl":                {FormatJSONL, "1\n2", "3\n", "1\n2\n3\n"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			one := f.pack(f.config(c.format, c.first))
			cfg, v1 := f.next(one, c.format, c.more)
			two := f.pack(cfg)
			m := two.Manifest
			if m.Version != 2 || m.Dataset != one.Manifest.Dataset || m.Previous == nil || *m.Previous != one.ID {
				t.Errorf("version %d of %s after %v", m.Version, m.Dataset, m.Previous)
			}
			if d := cmp.Diff(one.Manifest.Segments, m.Segments[:len(one.Manifest.Segments)]); d != "" {
				t.Errorf("kept segments changed:\n%s", d)
			}
			if err := VerifyBlobs(t.Context(), m, f.store); err != nil {
				t.Fatal(err)
			}
			got, records, err := readAll(t, m, f.store, f.key)
			if err != nil || string(got) != c.want || records != m.Records {
				t.Errorf("%d records, %d bytes of %d, %v", records, len(got), len(c.want), err)
			}
			if _, _, err := readAll(t, one.Manifest, f.store, f.key); err != nil {
				t.Errorf("version 1 no longer reads: %v", err)
			}
			v2, err := Verify(two.Signed)
			if err != nil {
				t.Fatal(err)
			}
			if err := NotOlderThan(v2, v1); err != nil {
				t.Errorf("new after old: %v", err)
			}
			if err := NotOlderThan(v1, v1); err != nil {
				t.Errorf("same manifest: %v", err)
			}
			if err := NotOlderThan(v1, v2); !errors.Is(err, ErrOldVersion) {
				t.Errorf("old after new: %v, want ErrOldVersion", err)
			}
		})
	}
}

func TestNewVersionOfFiles(t *testing.T) {
	f := newFixture(t)
	cfg := f.config(FormatFiles, "")
	cfg.Source, cfg.Files = nil, fstest.MapFS{"a": {Data: []byte("1")}}
	one := f.pack(cfg)
	cfg, _ = f.next(one, FormatFiles, "")
	cfg.Source, cfg.Files = nil, fstest.MapFS{"b": {Data: []byte("2")}}
	two := f.pack(cfg)
	if two.Manifest.Records != 2 {
		t.Errorf("%d records, want 2", two.Manifest.Records)
	}
}

// TestOldManifestVersion: an earlier version, or another manifest under a known number, is not taken for the newest.
func TestOldManifestVersion(t *testing.T) {
	f := newFixture(t)
	one := f.pack(f.config(FormatCSV, "a\n1\n"))
	cfg, v1 := f.next(one, FormatCSV, "a\n2\n")
	two, err := Verify(f.pack(cfg).Signed)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Source = strings.NewReader("a\n3\n")
	fork, err := Verify(f.pack(cfg).Signed)
	if err != nil {
		t.Fatal(err)
	}
	if err := NotOlderThan(v1, two); !errors.Is(err, ErrOldVersion) {
		t.Errorf("version 1 after 2: %v, want ErrOldVersion", err)
	}
	if err := NotOlderThan(fork, two); !errors.Is(err, ErrOldVersion) {
		t.Errorf("two manifests with version 2: %v, want ErrOldVersion", err)
	}
	other, err := Verify(f.pack(f.config(FormatCSV, "a\n1\n")).Signed)
	if err != nil {
		t.Fatal(err)
	}
	if err := NotOlderThan(other, two); !errors.Is(err, ErrManifest) {
		t.Errorf("another dataset: %v, want ErrManifest", err)
	}
}

func TestNewVersionRefused(t *testing.T) {
	f := newFixture(t)
	one := f.pack(f.config(FormatCSV, "a\n1\n"))
	stranger := newFixture(t)
	for name, c := range map[string]struct {
		change func(*PackConfig)
		want   error
	}{
		"another owner":   {func(c *PackConfig) { c.Signer = stranger.signer }, ErrOwner},
		"another key":     {func(c *PackConfig) { c.Key = NewKey() }, ErrKey},
		"another name":    {func(c *PackConfig) { c.Manifest.Name = "other" }, ErrConfig},
		"another id":      {func(c *PackConfig) { c.Manifest.Dataset = ID{1} }, ErrConfig},
		"another header":  {func(c *PackConfig) { c.Source = strings.NewReader("b\n2\n") }, ErrHeader},
		"another format":  {func(c *PackConfig) { c.Manifest.Format = FormatJSONL }, ErrConfig},
		"without blobs":   {func(c *PackConfig) { c.Store = stranger.store }, ErrNoBlob},
		"without records": {func(c *PackConfig) { c.Source = strings.NewReader("a\n") }, ErrEmpty},
		"unverified":      {func(c *PackConfig) { c.Previous = &envelope.Verified[Manifest]{} }, ErrManifest},
		"without digest":  {func(c *PackConfig) { v := *c.Previous; v.ID = envelope.Digest{}; c.Previous = &v }, ErrConfig},
	} {
		cfg, _ := f.next(one, FormatCSV, "a\n2\n")
		c.change(&cfg)
		if _, err := Pack(t.Context(), cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	stranger.wantEmpty()
	if err := VerifyBlobs(t.Context(), one.Manifest, f.store); err != nil {
		t.Errorf("a refused version damaged the one before: %v", err)
	}
}

// TestOtherHeader: whoever continues a version with other columns is told where they differ, and none of their names.
func TestOtherHeader(t *testing.T) {
	for _, c := range []struct{ now, before, want string }{
		{"a,b,d\n", "a,b,c\n", "it has 3 columns, the version before has 3; they differ from column 3 on"},
		{"a,b\n", "a,b,c\n", "it has 2 columns, the version before has 3; they differ from column 3 on"},
		{"x\n", "a\r\n", "differ from column 1 on"},
		{"\"a\",b\n", "a,b\n", "written otherwise"},
		{"a\"b\n", "a\n", "not the one of the version before"},
	} {
		if err := otherHeader([]byte(c.now), []byte(c.before)); !errors.Is(err, ErrHeader) || !errors.Is(err, ErrCSV) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q after %q: %v, want %q", c.now, c.before, err, c.want)
		}
	}
}
