// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// newCollector has a key but no device.
func newCollector(t *testing.T, now *time.Time) (*Collector, grant.AKEndorsement) {
	t.Helper()
	public := tpmtest.New("a").AKPublic()
	ak, err := quote.CheckAK(public)
	if err != nil {
		t.Fatal(err)
	}
	c := &Collector{akPub: public, akName: ak.NameHex(), testOnlyNow: func() time.Time { return *now }}
	return c, grant.AKEndorsement{
		AKName: ak.NameHex(), AKPublic: public, EKCert: envelope.Digest{1}, Root: envelope.Digest{2}, Assurance: "tpm",
		Issued: 1_790_000_000_000, Expires: 1_790_000_000_000 + time.Hour.Milliseconds(),
	}
}

func sign(t *testing.T, e grant.AKEndorsement, s *envelope.Signer) []byte {
	t.Helper()
	b, _, err := envelope.Sign(s, envelope.AKEndorsementType, []envelope.Subject{envelope.NewSubject("tpm-ak", envelope.Digest{3})}, e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func broker(t *testing.T, i int) *envelope.Signer {
	return attestationtest.Signer(t, envelope.RoleBroker, "broker "+strconv.Itoa(i))
}

// TestEndorsedUntilHalfLife: the enclave enrols again before a broker would refuse, by its monotonic clock.
func TestEndorsedUntilHalfLife(t *testing.T) {
	now := time.Now()
	c, e := newCollector(t, &now)
	b := broker(t, 0)
	if c.Endorsed(b.Public()) || c.Endorsed(envelope.PublicKey{}) {
		t.Error("endorsed by nobody")
	}
	if err := c.AddEndorsement(b.Public(), sign(t, e, b)); err != nil {
		t.Fatal(err)
	}
	if now = now.Add(29 * time.Minute); !c.Endorsed(b.Public()) || c.Endorsed(broker(t, 1).Public()) {
		t.Error("not endorsed by the right broker")
	}
	if now = now.Add(time.Minute); c.Endorsed(b.Public()) {
		t.Error("endorsed in the second half of the endorsement's life")
	}
	if err := c.AddEndorsement(b.Public(), sign(t, e, b)); err != nil || !c.Endorsed(b.Public()) || len(c.signedEndorsements()) != 1 {
		t.Errorf("renewed: %v, %d endorsements", err, len(c.signedEndorsements()))
	}
}

func TestAddEndorsementRefuses(t *testing.T) {
	now := time.Now()
	c, good := newCollector(t, &now)
	b := broker(t, 0)
	if err := c.AddEndorsement(broker(t, 1).Public(), sign(t, good, b)); !errors.Is(err, envelope.ErrSignature) {
		t.Errorf("by another broker: %v", err)
	}
	for name, change := range map[string]func(*grant.AKEndorsement){
		"another Name":  func(e *grant.AKEndorsement) { e.AKName = "00" },
		"another key":   func(e *grant.AKEndorsement) { e.AKPublic = tpmtest.New("b").AKPublic() },
		"over at once":  func(e *grant.AKEndorsement) { e.Expires = e.Issued },
		"for ever":      func(e *grant.AKEndorsement) { e.Expires = 1<<53 - 1 },
		"before itself": func(e *grant.AKEndorsement) { e.Issued = e.Expires + 1 },
	} {
		e := good
		change(&e)
		if err := c.AddEndorsement(b.Public(), sign(t, e, b)); !errors.Is(err, ErrEnrolment) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(c.signedEndorsements()) != 0 {
		t.Error("kept what it refused")
	}
}

// TestEndorsementsAreBounded: the newest stay.
func TestEndorsementsAreBounded(t *testing.T) {
	now := time.Now()
	c, e := newCollector(t, &now)
	for i := range maxEndorsements + 3 {
		if err := c.AddEndorsement(broker(t, i).Public(), sign(t, e, broker(t, i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(c.signedEndorsements()); n != maxEndorsements || c.Endorsed(broker(t, 0).Public()) || !c.Endorsed(broker(t, maxEndorsements+2).Public()) {
		t.Errorf("%d kept", n)
	}
}

// hostile serves fixed bytes to every command, as a device in the host's hands may.
func hostile(t *testing.T, answer []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 4096)) //nolint:errcheck // only the answer matters
			c.Write(answer)            //nolint:errcheck // as above
			if answer != nil {
				c.Close()
			}
		}
	}()
	return unixPrefix + path
}

func TestHostileDevice(t *testing.T) {
	for name, answer := range map[string][]byte{
		"closes":       {},
		"half header":  {0x80, 0x01, 0, 0},
		"huge":         {0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"tiny":         {0x80, 0x01, 0, 0, 0, 9, 0, 0, 0, 0},
		"cut":          {0x80, 0x01, 0, 0, 0, 20, 0, 0, 0, 0, 1},
		"error code":   {0x80, 0x01, 0, 0, 0, 10, 0, 0, 1, 1},
		"empty answer": {0x80, 0x01, 0, 0, 0, 10, 0, 0, 0, 0},
	} {
		if _, err := ReadMeasurements(t.Context(), hostile(t, answer)); !errors.Is(err, ErrDevice) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := ReadMeasurements(ctx, hostile(t, nil)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silent: got %v", err)
	}
}

// TestTemplateIsTheVerifiers: what the collector asks the TPM for is what package quote accepts.
func TestTemplateIsTheVerifiers(t *testing.T) {
	k := attestationtest.PublicKey(t, "k").ECDSA()
	if _, err := quote.CheckAK(tpmtest.Public(akTemplate(), k)); err != nil {
		t.Error(err)
	}
	if _, err := quote.CheckEK(tpmtest.Public(ekTemplate(), k)); err != nil {
		t.Error(err)
	}
	var _ transport.TPM = (*socket)(nil)
	if got := tpm2.Marshal(selection(quote.PCRs())); len(got) != 10 {
		t.Errorf("selection of %d bytes", len(got))
	}
}
