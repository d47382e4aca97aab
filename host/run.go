// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// runHints say what a buyer can do about each way a run may fail.
var runHints = map[string]string{
	usage.ReasonTrap:        "run the code on data of your own first; it exited with an error or trapped",
	usage.ReasonWall:        "raise the job's wall limit, or do less in it",
	usage.ReasonFuel:        "raise the job's fuel limit (--fuel), or do less in it",
	usage.ReasonMemory:      "raise the job's memory limit, or use less",
	usage.ReasonOutput:      "write only declared outputs, within the limits of the job and of the creator's terms",
	usage.ReasonModule:      "build the code as a WASI preview 1 module (GOOS=wasip1 GOARCH=wasm)",
	usage.ReasonDataset:     "ask the creator to verify the dataset and publish it again",
	usage.ReasonStopped:     "the owner revoked it or its time was over; ask the creator, then submit a new job",
	usage.ReasonUnavailable: "a broker or the host did not answer in time; submit the work again as a new job",
	usage.ReasonWorker:      "submit the work again as a new job; if it happens again, ask the operator",
	usage.ReasonNotPermitted: "plan the job: it asks for more than the creators' terms allow, or a training does not fit its data: fewer units than the lot, " +
		"or samples of more data than fits into memory (take mechanism tree, or batches without sampling)",
}

// privateHints are other words in a mode whose code package is not what it is elsewhere.
var privateHints = map[string]map[string]string{
	dataset.ModeTraining: {usage.ReasonModule: "the module does not start as the job says, and no data was read; one of: it is not train/1, whose exports " +
		"docs/spec/train-abi.md lists (build Go with -buildmode=c-shared, C with -mexec-model=reactor, Rust as a cdylib; a command, with _start, is none); it refuses " +
		"train.json (a name that it does not ask for, a number out of range); it has more parameters than --params allows; it needs more than --fuel or " +
		"--memory to start; it predicts nothing, and a score is declared. `glovebox buyer run-local` says which, on data of your own"},
	dataset.ModeRelease: {usage.ReasonModule: "the queries cannot be asked, and nothing was delivered: the code package has no " +
		"queries.json that is valid, or a query names a column that the data does not have after the creator's steps"},
	dataset.ModeAggregate: {usage.ReasonWall: "without any data the code takes longer than a shard may, compiling it included, and no data was read: " +
		"give shards longer with --slot, or do less before the data"},
}

// runHint says what a buyer can do about a run in a mode that failed.
func runHint(mode, reason string) string {
	if hint := privateHints[mode][reason]; hint != "" {
		return hint
	}
	return runHints[reason]
}

// run is a finished attempt, about to be recorded.
type run struct {
	outcome string // the job's state once its usage is in the log
	reason  string
	result  *envelope.Digest
	bytes   int64
	leaves  int64
	usage   envelope.Digest
	parts   []byte // [usage.Parts] but for job and manifests, canonical
}

// runParts is what the database keeps of a run until its bundle is made.
type runParts struct {
	Usage    []byte   `json:"usage"`
	Evidence []byte   `json:"evidence"`
	Ticket   []byte   `json:"ticket"`
	Grants   [][]byte `json:"grants"`
	Commits  [][]byte `json:"commits"`
}

// checkRun refuses a run whose parts do not fit each other, so that every recorded run can be published and every
// published result can be opened. Whether the parts are true is not for a host to say.
func (h *Host) checkRun(ctx context.Context, a *attempt, r *door.Result) (*run, *record, error) {
	key, err := usage.LeaseKey(r.Evidence)
	if err != nil {
		return nil, nil, err
	}
	v, want, err := usage.Verify(r.Usage, key)
	if err != nil {
		return nil, nil, err
	}
	if v.Predicate.Job != a.job || v.Predicate.Outcome != r.Outcome || v.Predicate.Reason != r.Reason {
		return nil, nil, fmt.Errorf("%w: the usage statement is about another run", ErrInvalid)
	}
	out := &run{outcome: StateFailed, reason: r.Reason, usage: v.ID, leaves: h.hub.leaves(a.job)}
	kept := runParts{r.Usage, r.Evidence, r.Ticket, r.Grants, r.Commits}
	if err := h.rehearse(ctx, a, &kept); err != nil {
		return nil, nil, err
	}
	if out.parts, err = envelope.Canonical(kept); err != nil {
		return nil, nil, err
	}
	if want != nil {
		if a.payload == nil {
			return nil, nil, fmt.Errorf("%w: a completed run without a payload", ErrInvalid)
		}
		n, err := h.results.seal(&a.lease, r.Header, a.payload, a.written, *want)
		if err != nil {
			return nil, nil, err
		}
		out.outcome, out.result, out.bytes = StateCompleted, want, n
	}
	return out, usageRecord(v, key, r.Usage), nil
}

// mode is that of the job, "" if there is none.
func (a *attempt) mode() string {
	if a.order == nil {
		return ""
	}
	return a.order.Mode
}

// store moves the job to publishing, if the attempt still holds it.
func (r *run) store(tx *sql.Tx, a *attempt, now int64) error {
	outcome, reason, message, hint := r.outcome, r.reason, "", ""
	if outcome == StateFailed {
		message = "the run failed inside the enclave; its usage attestation says what was used"
		if reason == usage.ReasonNotPermitted {
			message = "a broker denied it, or it asked for more than it may; its usage attestation says what was used"
		}
		hint = runHint(a.mode(), reason)
		var cancel bool
		if err := tx.QueryRow(`SELECT cancel FROM jobs WHERE id = ?`, a.job[:]).Scan(&cancel); err != nil {
			return err
		}
		if cancel && reason == usage.ReasonStopped {
			outcome, reason, message, hint = StateCancelled, reasonCancelled, "the buyer cancelled the job", ""
		}
	}
	var result []byte
	if r.result != nil {
		result = r.result[:]
	}
	return fenced(tx, &a.lease, `state = ?, outcome = ?, reason = ?, message = ?, hint = ?, denial = NULL, result = ?,
		result_bytes = ?, leaves = ?, usage = ?, run = ?, updated = ?`,
		StatePublishing, outcome, reason, message, hint, result, r.bytes, r.leaves, r.usage[:], r.parts, now)
}

// parts adds the signed job and its manifests to what the database kept.
func (h *Host) parts(ctx context.Context, id envelope.Digest, k *runParts) (usage.Parts, error) {
	p := usage.Parts{Usage: k.Usage, Evidence: k.Evidence, Ticket: k.Ticket, Grants: k.Grants, Commits: k.Commits}
	var err error
	if p.Job, err = h.signedJob(ctx, id); err != nil {
		return p, err
	}
	v, err := verifiedJob(p.Job)
	if err != nil {
		return p, err
	}
	for _, m := range v.Predicate.Manifests() {
		b, err := h.signedManifest(ctx, m)
		if err != nil {
			return p, err
		}
		p.Manifests = append(p.Manifests, b)
	}
	return p, nil
}

// rehearse makes the run's bundle under a throw-away log of one entry: what can be bundled now can be bundled later.
func (h *Host) rehearse(ctx context.Context, a *attempt, k *runParts) error {
	p, err := h.parts(ctx, a.job, k)
	if err != nil {
		return err
	}
	body, err := usage.Body(p.Usage, p.Evidence)
	if err != nil {
		return err
	}
	const origin = "rehearsal.invalid"
	skey, vkey, err := note.GenerateKey(nil, origin)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return err
	}
	log, err := tlog.NewLog(vkey)
	if err != nil {
		return err
	}
	leaf := tlog.LeafHash(body)
	text := fmt.Sprintf("%s\n1\n%s\n", origin, base64.StdEncoding.EncodeToString(leaf[:]))
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return err
	}
	_, err = usage.MakeBundle(p, log, tlog.Proof{Index: 0, Size: 1, Hashes: []envelope.Digest{}, Checkpoint: string(signed)})
	return err
}

// complete makes the bundle of every job whose usage attestation is in the log, and ends the job.
func (h *Host) complete(ctx context.Context) error {
	rows, err := h.db.read.QueryContext(ctx, `SELECT j.id, j.epoch, j.outcome, j.updated, r.idx FROM jobs j JOIN records r ON r.statement = j.usage
		AND r.type = ? WHERE j.state = ? AND r.idx IS NOT NULL`, envelope.UsageType, StatePublishing)
	if err != nil {
		return err
	}
	defer rows.Close()
	type item struct {
		lease   lease
		outcome string
		since   int64
		index   int64
	}
	var todo []item
	for rows.Next() {
		var id []byte
		var it item
		if err := rows.Scan(&id, &it.lease.epoch, &it.outcome, &it.since, &it.index); err != nil {
			return err
		}
		if it.lease.job, err = toDigest(id); err != nil {
			return err
		}
		todo = append(todo, it)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	var errs []error
	for _, it := range todo {
		overdue := h.cfg.Now().UnixMilli()-it.since >= h.cfg.BundleWait.Milliseconds()
		err := h.completeOne(ctx, &it.lease, it.outcome, it.index, overdue)
		if err != nil && !errors.Is(err, errUnproven) { // tried again when the log or its witnesses have moved
			errs = append(errs, fmt.Errorf("job %s: %w", it.lease.job, err))
		}
	}
	return errors.Join(errs...)
}

func (h *Host) completeOne(ctx context.Context, l *lease, outcome string, index int64, overdue bool) error {
	var b []byte
	if err := h.db.read.QueryRowContext(ctx, `SELECT run FROM jobs WHERE id = ?`, l.job[:]).Scan(&b); err != nil {
		return err
	}
	var kept runParts
	if err := envelope.Decode(b, 2*door.MaxPayload, &kept); err != nil {
		return err
	}
	p, err := h.parts(ctx, l.job, &kept)
	if err != nil {
		return err
	}
	proof, err := h.publicly(ctx, index, overdue)
	if err != nil {
		return err
	}
	if p.Proofs, err = h.proofs(ctx, kept.Commits, overdue); err != nil {
		return err
	}
	bundle, err := usage.MakeBundle(p, h.seq.log, proof)
	if err != nil {
		return err
	}
	if outcome == StateCompleted {
		if err := h.results.publish(l); err != nil {
			return err
		}
	}
	if err := writeFile(h.bundlePath(l.job), bundle); err != nil {
		return err
	}
	err = h.db.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE jobs SET state = outcome, run = NULL, updated = ? WHERE id = ? AND state = ?`,
			h.cfg.Now().UnixMilli(), l.job[:], StatePublishing)
		return err
	})
	if err == nil {
		h.changed(l.job)
	}
	return err
}

// adopt gives recorded results their names after a crash, and only then sweeps what no run is recorded for.
func (h *Host) adopt(ctx context.Context) error {
	rows, err := h.db.read.QueryContext(ctx, `SELECT id, epoch FROM jobs WHERE state = ? AND outcome = ?`, StatePublishing, StateCompleted)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id []byte
		var l lease
		if err := rows.Scan(&id, &l.epoch); err != nil {
			return err
		}
		if l.job, err = toDigest(id); err != nil {
			return err
		}
		if err := h.results.publish(&l); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return errors.Join(sweep(h.results.dir), sweep(filepath.Join(h.cfg.Dir, bundlesDir)))
}

func (h *Host) bundlePath(id envelope.Digest) string {
	return filepath.Join(h.cfg.Dir, bundlesDir, id.Hex()+bundleSuffix)
}
