// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gce"
	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm/swtpmtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// boots extends PCRs 0 to 9 as firmware and boot loaders do, and keeps the log.
func boots(t *testing.T, i *swtpm.Instance) (logFile string) {
	t.Helper()
	log := eventlog.Header()
	for pcr := range 10 {
		e := eventlog.Event{PCR: pcr, Type: 4, Digest: envelope.Sum([]byte{byte(pcr)}), Data: []byte{byte(pcr)}}
		var err error
		if log, err = eventlog.Append(log, e); err != nil {
			t.Fatal(err)
		}
		if err := tpm.Extend(t.Context(), i.Device(), pcr, e.Digest); err != nil {
			t.Fatal(err)
		}
	}
	return write(t, "log", log)
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func endorsementsFile(t *testing.T, list []attestation.Endorsement) string {
	t.Helper()
	b, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "endorsements.json", b)
}

// TestCollector: a software TPM with the indices that Google's has; real commands, a fake Google.
func TestCollector(t *testing.T) {
	i := swtpmtest.Start(t)
	s := newScenario(t, eccKey()) // for its authority
	for _, k := range []struct {
		ecc                   bool
		template              tpm2.TPMTPublic
		templateIndex, certAt uint32
	}{
		{false, tpmtest.RSATemplate(), gce.TemplateRSA, gce.CertificateRSA}, {true, tpmtest.ECCTemplate(), gce.TemplateECC, gce.CertificateECC},
	} {
		key, err := quote.CheckCloudAK(swtpmtest.Key(t, i, k.template, 0))
		if err != nil {
			t.Fatal(err)
		}
		swtpmtest.WriteIndex(t, i, k.templateIndex, tpm2.Marshal(k.template))
		swtpmtest.WriteIndex(t, i, k.certAt, append(s.ca.certify(t, key.Public, nil).Raw, 0xff, 0xff))
	}
	cfg := gce.Config{Device: i.Device(), EventLogFile: boots(t, i), EndorsementsFile: endorsementsFile(t, s.ca.endorsements())}
	for _, cfg.ECC = range []bool{false, true} {
		c, err := gce.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		d := s.digest(t)
		e, err := c.Collect(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		f := s.format(t)
		r, err := f.Authenticate(t.Context(), &e, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.CheckBound(r, d); err != nil || len(r.Measurements) != 16 || c.Platform() != attestation.PlatformGCE {
			t.Errorf("ECC %t: %v, %v", cfg.ECC, err, r.Measurements)
		}
		if _, err := c.Collect(t.Context(), envelope.Digest{}); !errors.Is(err, attestation.ErrBinding) {
			t.Errorf("bound to nothing: %v", err)
		}
	}
	collectorRefuses(t, i, cfg, s)
}

func collectorRefuses(t *testing.T, i *swtpm.Instance, good gce.Config, s *scenario) {
	for name, c := range map[string]struct {
		change func(*gce.Config)
		hint   string
	}{
		"no log":          {func(c *gce.Config) { c.EventLogFile = "" }, "without one"},
		"empty log":       {func(c *gce.Config) { c.EventLogFile = write(t, "empty", nil) }, "0 bytes"},
		"no endorsements": {func(c *gce.Config) { c.EndorsementsFile = "/nowhere" }, "nowhere"},
		"no device":       {func(c *gce.Config) { c.Device = "" }, "device"},
	} {
		bad := good
		c.change(&bad)
		if _, err := gce.Open(bad); err == nil || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	c, err := gce.Open(good)
	if err != nil {
		t.Fatal(err)
	}
	at := uint32(gce.CertificateECC)
	swtpmtest.RemoveIndex(t, i, at)
	swtpmtest.WriteIndex(t, i, at, s.ca.certify(t, tpmtest.ECCKey("another").Public(), nil).Raw)
	if _, err := c.Collect(t.Context(), s.digest(t)); !errors.Is(err, quote.ErrKey) {
		t.Errorf("certificate of another key: %v", err)
	}
	swtpmtest.RemoveIndex(t, i, at)
	if _, err := gce.Open(good); !errors.Is(err, tpm.ErrIndex) || !strings.Contains(err.Error(), "Compute Engine") {
		t.Errorf("no certificate: %v", err)
	}
}
