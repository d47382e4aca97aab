// SPDX-License-Identifier: Apache-2.0

package tpm_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
)

func file(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReadEventLog: a log is read as it is.
func TestReadEventLog(t *testing.T) {
	log := tpmtest.NewCloud(t, tpmtest.ECCKey("log")).Log
	b, err := tpm.ReadEventLog(file(t, log))
	if err != nil || !bytes.Equal(b, log) {
		t.Errorf("%v, %d bytes", err, len(b))
	}
}

// TestReadEventLogSendsNothingElse: the host names the file and gets what is in it, so it is a log or it stays here.
func TestReadEventLogSendsNothingElse(t *testing.T) {
	log := tpmtest.NewCloud(t, tpmtest.ECCKey("log")).Log
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(fifo, link); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct{ path, hint string }{
		"accounts":         {file(t, []byte("root:x:0:0:root:/root:/bin/sh\n")), "no log of a measured boot"},
		"private key":      {file(t, []byte("-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n")), "no log of a measured boot"},
		"environment":      {"/proc/self/environ", "event log"},
		"log and a secret": {file(t, append(bytes.Clone(log), "a secret of the enclave's"...)), "no log of a measured boot"},
		"header alone":     {file(t, eventlog.Header()), "no log of a measured boot"},
		"empty":            {file(t, nil), "0 bytes"},
		"too large":        {file(t, make([]byte, eventlog.MaxLog+1)), "want 1 to"},
		"FIFO":             {fifo, "not a regular file"},
		"link to a FIFO":   {link, "not a regular file"},
		"directory":        {t.TempDir(), "not a regular file"},
		"device":           {"/dev/zero", "not a regular file"},
		"nowhere":          {"/nowhere", "nowhere"},
	} {
		done := make(chan error, 1)
		go func() {
			_, err := tpm.ReadEventLog(x.path)
			done <- err
		}()
		select {
		case err := <-done:
			if !errors.Is(err, tpm.ErrConfig) || !strings.Contains(err.Error(), x.hint) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: got %v", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s keeps the reader waiting", name)
		}
	}
}
