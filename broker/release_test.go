// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// TestStraightLine is one job from challenge to commit at both brokers.
func TestStraightLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	g := e.grants[w.data.ID].Predicate
	if g.Ticket == nil || g.Attempt != 1 || g.Assurance != "simulated" || g.Sequence != 1 || g.Obligations.Epochs != 2 ||
		g.Obligations.MaxOutput != 1<<16 || !slices.Equal(g.Obligations.Outputs, []string{"metrics", "model"}) {
		t.Errorf("grant: %+v", g)
	}
	a, err := e.heartbeat(w.data, 1)
	must(t, err)
	if a.Stop != "" || a.Leaves < 1 {
		t.Errorf("allowance: %+v", a)
	}
	signed := e.usage(nil)
	for _, p := range []*packed{w.code, w.data} {
		c, err := e.commit(p, signed)
		must(t, err)
		wantAmount := int64(0)
		if p == w.data {
			wantAmount = perUse + rows*perRecord
		}
		if c.Amount != wantAmount || c.Records != rows || c.Outcome != "completed" || c.Sequence != 2 {
			t.Errorf("commit: %+v, want amount %d", c, wantAmount)
		}
	}
	if left := w.plan().UsesLeft; left != 2 { // one's own job does not count against it
		t.Errorf("uses left for the same job: %d", left)
	}
	w.newJob(nil)
	if left := w.plan().UsesLeft; left != 1 {
		t.Errorf("uses left for another job: %d", left)
	}
}

func TestReleaseIsIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	for _, p := range []*packed{w.code, w.data} {
		first, err := p.owner.Release(t.Context(), e.request(p))
		must(t, err)
		p.owner.restart()
		w.clock.advance(20 * time.Second)
		second, err := p.owner.Release(t.Context(), e.request(p))
		must(t, err)
		if !bytes.Equal(first.Grant, second.Grant) || !bytes.Equal(first.Sealed, second.Sealed) || !bytes.Equal(first.Ticket, second.Ticket) {
			t.Error("the same binding and ticket got other bytes")
		}
	}
}

// TestKeyCannotBeUnwrapped fails after the grant is on record; the retry goes on and is not debited again.
func TestKeyCannotBeUnwrapped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wrap := filepath.Join(w.creator.cfg.Layout().Package(w.data.ID), "key.wrap")
	good := readFile(t, wrap)
	must(t, config.WriteFile(wrap, []byte("spoilt")))
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	want(t, e.release(w.data), broker.ErrKey)
	must(t, config.WriteFile(wrap, good))
	must(t, e.release(w.data))
	if g := e.grants[w.data.ID].Predicate; g.Sequence != 1 {
		t.Errorf("the retry was recorded again: sequence %d", g.Sequence)
	}
}

func TestReplayedNonce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.released()
	again := w.newEnclave(func(b *attestation.Binding) { b.Owners = slices.Clone(first.binding.Owners) })
	want(t, again.release(w.code), broker.ErrNonceReplayed)
	w.code.owner.restart()
	want(t, again.release(w.code), broker.ErrNonceReplayed)
}

func TestNonceOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unknown := w.newEnclave(func(b *attestation.Binding) { b.Owners[0].Nonce = envelope.NewNonce() })
	want(t, unknown.release(w.code), broker.ErrNonce)
	old := w.newEnclave(nil).binding.Owners
	w.newJob(nil)
	otherJob := w.newEnclave(func(b *attestation.Binding) { b.Owners[0].Nonce = old[0].Nonce })
	want(t, otherJob.release(w.code), broker.ErrNonce)
	otherPackage := w.buyer.pack(dataset.KindDataset)
	n, err := w.challenge(otherPackage)
	must(t, err)
	e := w.newEnclave(func(b *attestation.Binding) { b.Owners[0].Nonce = n })
	want(t, e.release(w.code), broker.ErrNonce)
}

func TestNonceExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	w.clock.advance(grant.MaxNonceLife)
	want(t, e.release(w.code), broker.ErrNonceExpired)
	w.buyer.restart()
	want(t, e.release(w.code), broker.ErrNonceExpired)
}

func TestNonceSurvivesRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	w.buyer.restart()
	w.creator.restart()
	must(t, e.release(w.code))
	must(t, e.release(w.data))
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	w.clock.advance(-time.Minute)
	want(t, e.release(w.code), broker.ErrNonceExpired)
}

// TestClockAYearOff: a broker whose clock runs ahead denies by the terms, one whose clock is behind sees tickets from the
// future.
func TestClockAYearOff(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	w := newWorld(t)
	behind := &clock{t: w.clock.now().Add(-year)}
	w.creator.clock = behind
	w.creator.restart()
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	want(t, e.release(w.data), broker.ErrTicket)

	behind.advance(2 * year)
	e = w.newEnclave(nil)
	e.ticket = forgeTicket(t, w, e, 1)
	want(t, e.release(w.data), attestation.ErrReference)
	if p := w.plan(); p.Allowed {
		t.Error("a broker a year ahead plans to release")
	}
}

// TestStrangersExhaustChallenges: whoever asks for very many challenges, an enclave still gets one, and can use it.
func TestStrangersExhaustChallenges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const most = 50
	w.creator.SetMaxNonces(most)
	early := w.newEnclave(nil)
	must(t, early.release(w.code))
	flood := func(n int) {
		for range n {
			w.clock.advance(time.Millisecond)
			other := envelope.Digest(envelope.NewNonce())
			if _, err := w.creator.Challenge(t.Context(), &grant.ChallengeRequest{Manifest: w.data.ID, Job: other}); err != nil {
				t.Fatal(err)
			}
		}
	}
	flood(most - 2)
	must(t, early.release(w.data)) // spends its nonce, which from now on stays
	flood(3 * most)
	w.clock.advance(time.Second)
	_, err := early.commit(w.data, early.usage(failed))
	must(t, err)
	_, err = early.commit(w.code, early.usage(failed))
	must(t, err)
	e := w.newEnclave(nil)
	flood(most - 2)
	must(t, e.release(w.code))
	must(t, e.release(w.data))
	replay := w.newEnclave(func(b *attestation.Binding) { b.Owners[1].Nonce = early.binding.Owners[1].Nonce })
	replay.ticket = forgeTicket(t, w, replay, 9)
	want(t, replay.release(w.data), broker.ErrNonceReplayed)
}

// TestTooManyChallengesForOneJob: they push out each other, not those of other jobs.
func TestTooManyChallengesForOneJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mine, signedJob, jobID := w.newEnclave(nil), w.signedJob, w.jobID
	w.newJob(nil)
	oldest := w.newEnclave(nil)
	for range broker.MaxJobNonces {
		w.clock.advance(time.Millisecond)
		if _, err := w.challenge(w.code); err != nil {
			t.Fatal(err)
		}
	}
	want(t, oldest.release(w.code), broker.ErrNonce)
	must(t, w.newEnclave(nil).release(w.code))
	w.signedJob, w.jobID = signedJob, jobID
	must(t, mine.release(w.code))
}

func TestChallengeForUnknownPackage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.creator.Challenge(t.Context(), &grant.ChallengeRequest{Manifest: w.code.ID, Job: w.jobID})
	want(t, err, config.ErrUnknown)
	_, err = w.creator.Challenge(t.Context(), &grant.ChallengeRequest{Manifest: w.data.ID})
	want(t, err, broker.ErrRequest)
}

func TestBindingOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other, err := envelope.GenerateSigner(envelope.RoleBroker)
	must(t, err)
	for name, change := range map[string]func(*attestation.Binding){
		"job":             func(b *attestation.Binding) { b.Job = envelope.Sum([]byte("other")) },
		"runtime":         func(b *attestation.Binding) { b.Runtime = "native-jail/1" },
		"broker":          func(b *attestation.Binding) { b.Owners[1].Audience = other.Public() },
		"code's broker":   func(b *attestation.Binding) { b.Owners[0].Audience = other.Public() },
		"order of owners": func(b *attestation.Binding) { slices.Reverse(b.Owners) },
		"manifest":        func(b *attestation.Binding) { b.Owners[1].Manifest = envelope.Sum([]byte("other")) },
		"one owner more": func(b *attestation.Binding) {
			b.Owners = append(b.Owners, attestation.Owner{Audience: other.Public(), Nonce: envelope.NewNonce(), Manifest: envelope.Sum([]byte("x"))})
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := w.newEnclave(change)
			p := w.data
			if name == "runtime" || name == "job" {
				p = w.code
			} else {
				e.ticket = forgeTicket(t, w, e, 1)
			}
			want(t, e.release(p), broker.ErrBinding)
		})
	}
}

// forgeTicket signs a ticket with the buyer's broker key, as that broker itself could.
func forgeTicket(t testing.TB, w *world, e *enclave, attempt int) []byte {
	t.Helper()
	signed, _, err := grant.Sign(&grant.Ticket{
		Job: w.jobID, Binding: e.d, Attempt: attempt, Issued: w.clock.now().UnixMilli(), Expires: w.clock.now().Add(time.Hour).UnixMilli(),
	}, w.buyer.key(w.buyer.cfg.Layout().BrokerKey(), envelope.RoleBroker))
	must(t, err)
	return signed
}

func TestEvidenceOfAnotherEnclave(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.newEnclave(nil), w.newEnclave(nil)
	ev, err := attestation.ParseEvidence(a.evidence)
	must(t, err)
	ev.Claims = b.binding
	b.evidence, err = ev.Encode()
	must(t, err)
	want(t, b.release(w.code), attestation.ErrBind)
}

// TestSameEvidenceAtTwoEnclaves: whoever repeats evidence gets the same bytes, which open with the attested key only.
func TestSameEvidenceAtTwoEnclaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	thief := w.newEnclave(nil)
	thief.evidence, thief.ticket = e.evidence, e.ticket
	r, err := w.creator.Release(t.Context(), thief.request(w.data))
	must(t, err)
	if _, err := thief.open(r.Sealed, e.d, e.grants[w.data.ID].ID); err == nil {
		t.Fatal("another enclave opened the key")
	}
	if _, err := e.open(r.Sealed, thief.d, e.grants[w.data.ID].ID); err == nil {
		t.Fatal("the key opens with another binding as info")
	}
	if _, err := e.open(r.Sealed, e.d, e.grants[w.code.ID].ID); err == nil {
		t.Fatal("the key opens with another grant as aad")
	}
}

func TestEvidenceRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		change func(*quote)
		want   error
	}{
		"unknown measurement": {func(q *quote) { q.Measurement = hexName(envelope.Sum([]byte("x"))) }, attestation.ErrAppraise},
		"debug":               {func(q *quote) { q.Debug = true }, attestation.ErrAppraise},
		"bound elsewhere":     {func(q *quote) { q.Bound = make([]byte, 32) }, attestation.ErrBind},
	} {
		t.Run(name, func(t *testing.T) {
			e := w.newEnclave(nil)
			e.attest(c.change)
			want(t, e.release(w.code), c.want)
		})
	}
	e := w.newEnclave(nil)
	e.evidence = bytes.Replace(e.evidence, []byte(`"evidence":"ey`), []byte(`"evidence":"eX`), 1)
	want(t, e.release(w.code), attestation.ErrAuthenticate)
}

func TestEmptyReferenceValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	remove(t, w.buyer.cfg.Layout().Reference())
	want(t, e.release(w.code), broker.ErrReference)
	must(t, config.WriteFile(w.buyer.cfg.Layout().Reference(), nil))
	want(t, e.release(w.code), attestation.ErrReference)
	w.buyer.reference(1, measured)
	must(t, e.release(w.code))
}

func TestReferenceRolledBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.buyer.reference(3, measured)
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	w.buyer.reference(2, measured)
	w.buyer.restart()
	want(t, e.release(w.code), attestation.ErrReference)
}

func TestReferenceOfAnotherKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.creator.reference(1, measured)
	b := readFile(t, w.creator.cfg.Layout().Reference())
	must(t, config.WriteFile(w.buyer.cfg.Layout().Reference(), b))
	want(t, w.newEnclave(nil).release(w.code), attestation.ErrReference)
}

func TestTicketOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.newEnclave(nil)
	must(t, other.release(w.code))

	e := w.newEnclave(nil)
	e.ticket = other.ticket // the same ticket, a different d
	want(t, e.release(w.data), broker.ErrTicket)
	e.ticket = nil
	want(t, e.release(w.data), broker.ErrTicket)

	stranger, err := envelope.GenerateSigner(envelope.RoleBroker)
	must(t, err)
	now := w.clock.now()
	e.ticket, _, err = grant.Sign(&grant.Ticket{
		Job: w.jobID, Binding: e.d, Attempt: 1, Issued: now.UnixMilli(), Expires: now.Add(time.Hour).UnixMilli(),
	}, stranger)
	must(t, err)
	want(t, e.release(w.data), broker.ErrTicket)
}

func TestExpiredTicket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	now := w.clock.now()
	for _, times := range [][2]time.Time{{now.Add(-time.Hour), now}, {now.Add(time.Hour), now.Add(2 * time.Hour)}} {
		var err error
		e.ticket, _, err = grant.Sign(&grant.Ticket{
			Job: w.jobID, Binding: e.d, Attempt: 1, Issued: times[0].UnixMilli(), Expires: times[1].UnixMilli(),
		}, w.buyer.key(w.buyer.cfg.Layout().BrokerKey(), envelope.RoleBroker))
		must(t, err)
		want(t, e.release(w.data), broker.ErrTicket)
	}
}

func TestTicketForAnotherJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	real := w.jobID
	w.jobID = envelope.Sum([]byte("another job"))
	e.ticket = forgeTicket(t, w, e, 1)
	w.jobID = real
	want(t, e.release(w.data), broker.ErrTicket)
	e.ticket = forgeTicket(t, w, e, 1)
	must(t, e.release(w.data))
	r := e.request(w.code)
	r.Ticket = e.ticket
	_, err := w.buyer.Release(t.Context(), r)
	want(t, err, broker.ErrTicket)
}

func TestRequestIncomplete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	stranger := newWorld(t)
	for name, change := range map[string]func(*grant.ReleaseRequest){
		"no job":          func(r *grant.ReleaseRequest) { r.Job = nil },
		"no code":         func(r *grant.ReleaseRequest) { r.Code = nil },
		"no manifest":     func(r *grant.ReleaseRequest) { r.Manifest = nil },
		"code of another": func(r *grant.ReleaseRequest) { r.Code = stranger.code.Signed },
		"data of another": func(r *grant.ReleaseRequest) { r.Manifest = stranger.data.Signed },
		"data as code":    func(r *grant.ReleaseRequest) { r.Code = w.data.Signed },
		"job of another":  func(r *grant.ReleaseRequest) { r.Job = stranger.signedJob },
		"a byte of job": func(r *grant.ReleaseRequest) {
			r.Job = bytes.Replace(r.Job, []byte("sig\":\"M"), []byte("sig\":\"N"), 1)
		},
		"manifest as job":  func(r *grant.ReleaseRequest) { r.Job = r.Manifest },
		"evidence is junk": func(r *grant.ReleaseRequest) { r.Evidence = []byte("{}") },
	} {
		t.Run(name, func(t *testing.T) {
			r := e.request(w.data)
			change(r)
			if _, err := w.creator.Release(t.Context(), r); err == nil {
				t.Error("released")
			}
		})
	}
	must(t, e.release(w.data))
}

func TestBuyerOfAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stranger, err := envelope.GenerateSigner(envelope.RoleBuyer)
	must(t, err)
	j := *w.job
	j.Buyer = stranger.Public()
	w.job = &j
	w.signedJob, w.jobID, err = job.Sign(&j, stranger)
	must(t, err)
	if got := rules(t, w.newEnclave(nil).release(w.code)); !slices.Equal(got, []string{"buyer"}) {
		t.Errorf("rules %v", got)
	}
}

func TestDeniedByTerms(t *testing.T) {
	t.Parallel()
	w, sequence := newWorld(t), int64(0)
	for rule, change := range map[string]func(*job.Job){
		"mode":         func(j *job.Job) { j.Mode = dataset.ModeRedacted },
		"purpose":      func(j *job.Job) { j.Purpose = "advertising" },
		"epochs":       func(j *job.Job) { j.Epochs = 4 },
		"outputs":      func(j *job.Job) { j.Outputs[0].Class = "table" },
		"output-bytes": func(j *job.Job) { j.Limits.OutputBytes = 2 << 20 },
		"cost":         func(j *job.Job) { j.SpendCap = perUse + 2*rows*perRecord - 1 },
		"job-expired":  func(j *job.Job) { j.NotAfter = 1_700_000_000 },
	} {
		t.Run(rule, func(t *testing.T) {
			sequence++
			w.newJob(change)
			p := w.plan()
			if p.Allowed || len(p.Reasons) != 1 || p.Reasons[0].Rule != rule {
				t.Errorf("plan: %+v", p)
			}
			e := w.newEnclave(nil)
			e.ticket = forgeTicket(t, w, e, 1)
			err := e.release(w.data)
			if got := rules(t, err); !slices.Equal(got, []string{rule}) {
				t.Errorf("denied for %v", got)
			}
			again := e.release(w.data)
			a, b := deniedBytes(t, err), deniedBytes(t, again)
			if !bytes.Equal(a, b) {
				t.Error("the same request was denied in other bytes")
			}
			v, verr := grant.VerifyDenial(a, w.data.Manifest.Broker.Key)
			must(t, verr)
			if v.Predicate.Sequence != sequence || v.Predicate.Reasons[0].Satisfy == "" {
				t.Errorf("denial: %+v", v.Predicate)
			}
		})
	}
}

func TestAssuranceTooWeak(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withTerms(func(t *dataset.Terms) { t.MinAssurance = "software-tpm" }))
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	if got := rules(t, e.release(w.data)); !slices.Equal(got, []string{"assurance"}) {
		t.Errorf("rules %v", got)
	}
	w = newWorld(t, func(c *dataset.PackConfig) { c.Manifest.Test, c.Manifest.Terms.MinAssurance = false, "tpm" })
	e = w.newEnclave(nil)
	must(t, e.release(w.code))
	if got := rules(t, e.release(w.data)); !slices.Equal(got, []string{"assurance"}) {
		t.Errorf("rules %v", got)
	}
}

func TestUsesExhausted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 2 {
		e := w.released()
		for _, p := range []*packed{w.code, w.data} {
			_, err := e.commit(p, e.usage(nil))
			must(t, err)
		}
		w.newJob(nil)
	}
	e := w.newEnclave(nil)
	e.ticket = forgeTicket(t, w, e, 1)
	if got := rules(t, e.release(w.data)); !slices.Equal(got, []string{"uses"}) {
		t.Errorf("rules %v", got)
	}
}

func TestOldManifestVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v1, err := dataset.Verify(w.data.Signed)
	must(t, err)
	w.creator.pack(dataset.KindDataset, func(c *dataset.PackConfig) { c.Previous, c.Key, c.Store = v1, w.data.k, w.data.store })
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	if got := rules(t, e.release(w.data)); !slices.Equal(got, []string{"version"}) {
		t.Errorf("rules %v", got)
	}
}
