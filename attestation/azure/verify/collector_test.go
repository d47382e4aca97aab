// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/azure"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
	"github.com/glovebox-dev/glovebox/attestation/relay"
	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm/swtpmtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

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

// paravisor is a software TPM with the key and the report that Azure's has. The index of a software TPM is smaller, so the
// zeros behind the runtime data are left out.
func paravisor(t *testing.T, p attestation.Platform) (*swtpm.Instance, *scenario, azure.Config) {
	t.Helper()
	i := swtpmtest.Start(t)
	key, err := quote.CheckCloudAK(swtpmtest.Key(t, i, tpmtest.RSATemplate(), azure.KeyHandle))
	if err != nil {
		t.Fatal(err)
	}
	s := newScenario(t, p)
	s.runtime = runtimeData(key.Public.(*rsa.PublicKey)) //nolint:errcheck // of the RSA template
	s.seal(t)
	swtpmtest.WriteIndex(t, i, azure.ReportIndex, bytes.TrimRight(s.x.HCLReport, "\x00"))
	list, err := json.Marshal(s.e.Endorsements)
	if err != nil {
		t.Fatal(err)
	}
	return i, s, azure.Config{Platform: p, Device: i.Device(), EventLogFile: boots(t, i), EndorsementsFile: write(t, "endorsements.json", list)}
}

// relayed answers with b, once per question, as the helper outside the enclave does.
func relayed(t *testing.T, answer func(r *relay.Request) relay.Answer) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "gbrelay")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); os.RemoveAll(dir) }) //nolint:errcheck // ends the test
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var r relay.Request
			if relay.Read(c, &r) == nil {
				relay.Write(c, answer(&r)) //nolint:errcheck // the other end says what is missing
			}
			c.Close() //nolint:errcheck // see above
		}
	}()
	return socket
}

func collected(t *testing.T, s *scenario, c *azure.Collector) {
	t.Helper()
	d, err := s.e.Claims.Digest()
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.Collect(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	f := s.format(t)
	r, err := f.Authenticate(t.Context(), &e, s.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.CheckBound(r, d); err != nil || c.Platform() != s.platform || r.Measurements["pcr7"] == "" {
		t.Errorf("%v, %v", err, r.Measurements)
	}
	if _, err := c.Collect(t.Context(), envelope.Digest{}); !errors.Is(err, attestation.ErrBinding) {
		t.Errorf("bound to nothing: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Collect(ended, d); err == nil {
		t.Error("collected after the end")
	}
}

// TestCollectorSNP: real commands to a software TPM; the report inside is by a fake AMD.
func TestCollectorSNP(t *testing.T) {
	i, s, cfg := paravisor(t, attestation.PlatformAzureSNP)
	c, err := azure.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	collected(t, s, c)
	for name, x := range map[string]struct {
		change func(*azure.Config)
		hint   string
	}{
		"another platform":  {func(c *azure.Config) { c.Platform = attestation.PlatformSNP }, "platform"},
		"TDX":               {func(c *azure.Config) { c.Platform, c.RelaySocket = attestation.PlatformAzureTDX, "/s" }, "SEV-SNP, not TDX"},
		"TDX without relay": {func(c *azure.Config) { c.Platform = attestation.PlatformAzureTDX }, "needs one"},
		"relay":             {func(c *azure.Config) { c.RelaySocket = "/s" }, "azure-tdx"},
		"no log":            {func(c *azure.Config) { c.EventLogFile = "/nowhere" }, "nowhere"},
		"no device":         {func(c *azure.Config) { c.Device = "/dev/tpm0" }, "device"},
	} {
		bad := cfg
		x.change(&bad)
		if _, err := azure.Open(bad); err == nil || !strings.Contains(err.Error(), x.hint) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	swtpmtest.RemoveIndex(t, i, azure.ReportIndex)
	if _, err := azure.Open(cfg); !errors.Is(err, tpm.ErrIndex) || !strings.Contains(err.Error(), "Azure") {
		t.Errorf("no report: %v", err)
	}
	s.runtime = runtimeData(&akKey(t).PublicKey)
	s.seal(t)
	swtpmtest.WriteIndex(t, i, azure.ReportIndex, bytes.TrimRight(s.x.HCLReport, "\x00"))
	d := envelope.Sum([]byte("d"))
	if _, err := c.Collect(t.Context(), d); !errors.Is(err, quote.ErrSignature) {
		t.Errorf("report of another key: %v", err)
	}
}

// TestCollectorTDX: as for SNP, and the TD quote comes through the relay.
func TestCollectorTDX(t *testing.T) {
	_, s, cfg := paravisor(t, attestation.PlatformAzureTDX)
	answer := relay.Answer{}
	cfg.RelaySocket = relayed(t, func(r *relay.Request) relay.Answer {
		if r.Kind != relay.KindAzureTDQuote || !bytes.Equal(r.Body, s.x.HCLReport[32:32+1024]) {
			return relay.Answer{Error: "another question"}
		}
		return answer
	})
	c, err := azure.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body = append(bytes.Clone(s.x.TDQuote), 0, 0)
	collected(t, s, c)
	s.vendor.Body[136] ^= 1
	d := envelope.Sum([]byte("d"))
	for name, x := range map[string]struct {
		body []byte
		want error
	}{
		"quote of another TD": {s.vendor.Quote(t), hcl.ErrMalformed},
		"no quote":            {[]byte("none"), azure.ErrCollect},
		"nothing":             {nil, relay.ErrRelay},
	} {
		answer.Body = x.body
		if _, err := c.Collect(t.Context(), d); !errors.Is(err, x.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
