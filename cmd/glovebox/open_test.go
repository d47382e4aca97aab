// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func archiveOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		body := strings.Repeat("x", int(h.Size))
		if h.Name == usage.SaltName {
			body = envelope.NewNonce().String()
			h.Size = int64(len(body))
		}
		if h.Typeflag != tar.TypeReg {
			h.Size, body = 0, ""
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func extract(t *testing.T, archive []byte) (*extraction, string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	x := &extraction{dir: dir, limits: map[string]int64{usage.SaltName: maxSalt, "model": 8}}
	return x, dir, x.all(tar.NewReader(bytes.NewReader(archive)))
}

func TestExtractionTakesWhatIsStated(t *testing.T) {
	x, dir, err := extract(t, archiveOf(t, tar.Header{Typeflag: tar.TypeReg, Name: "model", Size: 8}, tar.Header{Typeflag: tar.TypeReg, Name: usage.SaltName}))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "model"))
	if err != nil || string(b) != "xxxxxxxx" {
		t.Errorf("%q, %v", b, err)
	}
	if len(x.files) != 1 || x.files[0].Digest != envelope.Sum(b) {
		t.Errorf("digests for the commitment: %v", x.files)
	}
	if _, err := nonceOf(x.salt); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, usage.SaltName)); err == nil {
		t.Error("the salt was written to a file")
	}
}

// TestResultLeavesItsDirectory: no name, link or length takes an extraction where it may not go.
func TestResultLeavesItsDirectory(t *testing.T) {
	reg := func(name string, size int64) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size}
	}
	for name, headers := range map[string][]tar.Header{
		"parent":      {reg("../model", 1)},
		"absolute":    {reg("/tmp/model", 1)},
		"folder":      {reg("sub/model", 1)},
		"dot":         {reg(".", 1)},
		"undeclared":  {reg("other", 1)},
		"too long":    {reg("model", 9)},
		"twice":       {reg("model", 1), reg("model", 1)},
		"symlink":     {{Typeflag: tar.TypeSymlink, Name: "model", Linkname: "/etc/passwd"}},
		"hard link":   {{Typeflag: tar.TypeLink, Name: "model", Linkname: "/etc/passwd"}},
		"directory":   {{Typeflag: tar.TypeDir, Name: "model"}},
		"device":      {{Typeflag: tar.TypeChar, Name: "model"}},
		"salt twice":  {reg(usage.SaltName, 0), reg(usage.SaltName, 0)},
		"other salt":  {reg(usage.SaltName+"2", 1)},
		"log unasked": {reg(logFileName, 1)},
	} {
		t.Run(name, func(t *testing.T) {
			if _, dir, err := extract(t, archiveOf(t, headers...)); err == nil {
				left, _ := os.ReadDir(dir)
				t.Errorf("extracted: %v", left)
			}
		})
	}
}

// FuzzExtraction: whatever the archive says, files appear only in the directory, under stated names and lengths.
func FuzzExtraction(f *testing.F) {
	f.Add([]byte("not a tar"))
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "model", Size: 3}) //nolint:errcheck // a buffer
	w.Write([]byte("abc"))                                                    //nolint:errcheck // a buffer
	w.Close()                                                                 //nolint:errcheck // a buffer
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, archive []byte) {
		_, dir, _ := extract(t, archive)
		if entries, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(entries) != 1 {
			t.Fatalf("beside the directory: %v, %v", entries, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			st, err := e.Info()
			if err != nil || e.Name() != "model" || !st.Mode().IsRegular() || st.Size() > 8 {
				t.Fatalf("extracted %s: %v, %v", e.Name(), st, err)
			}
		}
	})
}
