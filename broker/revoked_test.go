// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

func TestRevoked(t *testing.T) {
	t.Parallel()
	for name, revocation := range map[string]func(*world) grant.Revocation{
		"manifest": func(w *world) grant.Revocation { return grant.Revocation{Manifest: &w.data.ID} },
		"job":      func(w *world) grant.Revocation { return grant.Revocation{Job: &w.jobID} },
		"buyer":    func(w *world) grant.Revocation { return grant.Revocation{Buyer: &w.job.Buyer} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			e := w.newEnclave(nil)
			must(t, e.release(w.code))
			r := revocation(w)
			r.Reason, r.Time = "withdrawn", w.clock.now().UnixMilli()
			id, err := config.AddRevocation(w.creator.dir, &r)
			must(t, err)
			if got := rules(t, e.release(w.data)); !slices.Equal(got, []string{"revoked"}) {
				t.Errorf("rules %v", got)
			}
			// Deleting the file does not undo it.
			remove(t, filepath.Join(w.creator.cfg.Layout().Revocations(), id.Hex()+".dsse"))
			w.creator.restart()
			if p := w.plan(); p.Allowed {
				t.Error("a revocation was undone by deleting its file")
			}
		})
	}
}

func TestRevocationUnreadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.newEnclave(nil)
	must(t, e.release(w.code))
	must(t, config.WriteFile(filepath.Join(w.creator.cfg.Layout().Revocations(), "x.dsse"), []byte("{}")))
	want(t, e.release(w.data), broker.ErrWithdrawals)
}

func TestRevocationByAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := config.AddRevocation(w.buyer.dir, &grant.Revocation{Manifest: &w.data.ID, Reason: "r", Time: 1})
	must(t, err)
	files, err := config.SignedFiles(w.buyer.cfg.Layout().Revocations())
	must(t, err)
	must(t, config.WriteFile(filepath.Join(w.creator.cfg.Layout().Revocations(), "x.dsse"), files[0]))
	e := w.newEnclave(nil)
	e.ticket = forgeTicket(t, w, e, 1)
	want(t, e.release(w.data), broker.ErrWithdrawals)
}

func TestRevokedBeforeRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	_, err := config.AddRevocation(w.creator.dir, &grant.Revocation{Job: &w.jobID, Reason: "r", Time: 1})
	must(t, err)
	want(t, e.release(w.data), broker.ErrWithdrawn)
}

func deniedBytes(t *testing.T, err error) []byte {
	t.Helper()
	rules(t, err)
	var d *broker.DeniedError
	d, _ = err.(*broker.DeniedError)
	if d == nil {
		t.Fatalf("wrapped denial: %v", err)
	}
	return d.Signed
}

// TestOtherEvidenceForTheSameBinding: a lease stands on the evidence it was granted on.
func TestOtherEvidenceForTheSameBinding(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.released()
	ev, err := attestation.ParseEvidence(e.evidence)
	must(t, err)
	ev.EventLogs = append(ev.EventLogs, attestation.EventLog{Type: "tcg2", Body: []byte("x")})
	e.evidence, err = ev.Encode()
	must(t, err)
	want(t, e.release(w.data), broker.ErrBinding)
}
