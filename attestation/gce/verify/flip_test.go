// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gce/shielded"
)

// flips counts what became of changed evidence.
type flips struct{ refused, accepted int }

// flipEach changes one bit of each byte of b (every bit, if all) and authenticates. Evidence that is accepted all the same
// must say the same.
func flipEach(t *testing.T, name string, b []byte, all bool, try func(bad []byte) (*attestation.Report, error)) flips {
	t.Helper()
	good, err := try(b)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	good.Measurements["enclave"] += ""
	step := 1
	if !all {
		step = max(1, len(b)/800) // a log of 24 KiB has some bytes left out
	}
	if testing.Short() {
		step = max(37, len(b)/50)
	}
	var n flips
	for i := 0; i < len(b); i += step {
		bits := []int{i % 8}
		if all {
			bits = []int{0, 1, 2, 3, 4, 5, 6, 7}
		}
		for _, bit := range bits {
			bad := slices.Clone(b)
			bad[i] ^= 1 << bit
			r, err := try(bad)
			if err != nil {
				n.refused++
				continue
			}
			n.accepted++
			if e := r.Measurements["enclave"]; e == "" { // its name is not vouched for, so it may be lost, but not become another's
				r.Measurements["enclave"] = good.Measurements["enclave"]
			}
			if !bytes.Equal(r.Bound, good.Bound) || !maps.Equal(r.Measurements, good.Measurements) || r.Assurance != good.Assurance ||
				r.Chip != good.Chip || r.Root != good.Root {
				t.Errorf("%s: byte %d, bit %d: other claims", name, i, bit)
			}
		}
	}
	return n
}

// TestEveryByte: nothing of key, certificate, chain, quote, signature or values may change: every bit with an ECC key, a bit
// of each byte or of some with RSA keys, whose checks are the same but for the signature. Of the event log, digests of
// the SHA-256 bank and the registers they went to are vouched for; event types, event data, other banks' digests and the
// header's version numbers are not, so that a change there is accepted where it leads to the same registers.
func TestEveryByte(t *testing.T) {
	fake := newScenario(t, eccKey())
	fakeRSA := newScenario(t, rsaKey(t))
	real := realEvidence(t, "gce-cos-85-nonce9009.pb")
	total := flips{}
	for _, x := range []struct {
		name string
		e    *attestation.Evidence
		f    attestation.Format
		now  int64
	}{
		{"fake ECC", fake.evidence(t), fake.format(t), now},
		{"fake RSA", fakeRSA.evidence(t), fakeRSA.format(t), now},
		{"real", real, googleFormat(t), realNow},
	} {
		p, err := shielded.Parse(x.e.Evidence)
		if err != nil {
			t.Fatal(err)
		}
		with := func(change func(*attestation.Evidence, *shielded.Evidence)) (*attestation.Report, error) {
			e, q := *x.e, *p
			e.Endorsements, e.EventLogs = slices.Clone(e.Endorsements), slices.Clone(e.EventLogs)
			change(&e, &q)
			if e.Evidence, err = q.Encode(); err != nil {
				t.Fatal(err)
			}
			return x.f.Authenticate(t.Context(), &e, x.now)
		}
		every := x.name == "fake ECC"
		add := func(n flips, allowed bool) {
			if n.accepted > 0 && !allowed {
				t.Errorf("%s: %d flips accepted", x.name, n.accepted)
			}
			total.refused, total.accepted = total.refused+n.refused, total.accepted+n.accepted
		}
		add(flipEach(t, x.name+" quote", p.Quote, every, func(b []byte) (*attestation.Report, error) {
			return with(func(_ *attestation.Evidence, q *shielded.Evidence) { q.Quote = b })
		}), false)
		add(flipEach(t, x.name+" signature", p.Signature, every, func(b []byte) (*attestation.Report, error) {
			return with(func(_ *attestation.Evidence, q *shielded.Evidence) { q.Signature = b })
		}), false)
		add(flipEach(t, x.name+" key", p.AKPublic, every, func(b []byte) (*attestation.Report, error) {
			return with(func(_ *attestation.Evidence, q *shielded.Evidence) { q.AKPublic = b })
		}), false)
		add(flipEach(t, x.name+" certificate", p.AKCertificate, every, func(b []byte) (*attestation.Report, error) {
			return with(func(_ *attestation.Evidence, q *shielded.Evidence) { q.AKCertificate = b })
		}), false)
		add(flipEach(t, x.name+" JSON", x.e.Evidence, false, func(b []byte) (*attestation.Report, error) {
			e := *x.e
			e.Evidence = b
			return x.f.Authenticate(t.Context(), &e, x.now)
		}), false)
		log := flipEach(t, x.name+" log", x.e.EventLogs[0].Body, false, func(b []byte) (*attestation.Report, error) {
			return with(func(e *attestation.Evidence, _ *shielded.Evidence) { e.EventLogs[0].Body = b })
		})
		t.Logf("%s: event log: %d refused, %d accepted with the same registers", x.name, log.refused, log.accepted)
		add(log, true)
		for i := range x.e.Endorsements {
			used := x.name != "real" || i == 2 || i == 4 // the others certify newer instances
			n := flipEach(t, x.name+" endorsement", x.e.Endorsements[i].Body, false, func(b []byte) (*attestation.Report, error) {
				return with(func(e *attestation.Evidence, _ *shielded.Evidence) { e.Endorsements[i].Body = b })
			})
			add(n, !used)
		}
	}
	t.Logf("%d changes refused, %d accepted with the same claims", total.refused, total.accepted)
}

// TestTruncated: no shorter prefix of anything is accepted.
func TestTruncated(t *testing.T) {
	s := newScenario(t, eccKey())
	f, good := s.format(t), s.evidence(t)
	for n := range len(good.Evidence) {
		e := *good
		e.Evidence = good.Evidence[:n]
		if _, err := f.Authenticate(t.Context(), &e, now); err == nil {
			t.Errorf("%d of %d bytes accepted", n, len(good.Evidence))
		}
	}
	e := *good
	e.Evidence = bytes.Repeat([]byte{' '}, shielded.MaxEvidence+1)
	if _, err := f.Authenticate(t.Context(), &e, now); err == nil {
		t.Error("oversized evidence accepted")
	}
}
