// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	hostv1 "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/host/client"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// The files of one job in the buyer's directory.
const (
	jobFile    = "job.dsse"
	resultFile = "result.age"
	bundleFile = "bundle.json"
)

func (o *owner) jobDir(id envelope.Digest) string { return filepath.Join(o.dir, "jobs", id.Hex()) }

// findJob resolves a job by digest or an unambiguous beginning of one; "" is the latest.
func (o *owner) findJob(what string) (envelope.Digest, error) {
	entries, err := os.ReadDir(filepath.Join(o.dir, "jobs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return envelope.Digest{}, err
	}
	var matches []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), strings.TrimPrefix(what, "sha256:")) {
			matches = append(matches, e.Name())
		}
	}
	if len(matches) != 1 || len(what) < 4 {
		return envelope.Digest{}, Errorf(KindUsage, "see them with: glovebox buyer ls --dir %s", o.dir).because("%d jobs match %q", len(matches), what)
	}
	return parseDigest(matches[0])
}

// signedJob reads back what the buyer signed, and verifies that it was she.
func (o *owner) signedJob(id envelope.Digest) (*envelope.Verified[job.Job], error) {
	b, err := readBounded(filepath.Join(o.jobDir(id), jobFile), envelope.MaxEnvelope)
	if err != nil {
		return nil, err
	}
	v, err := job.Verify(b)
	if err != nil {
		return nil, err
	}
	if v.ID != id || o.Buyer == nil || !v.Predicate.Buyer.Equal(*o.Buyer) {
		return nil, Errorf(KindVerify, "the directory was changed by somebody").because("%s does not hold job %s of this buyer", o.jobDir(id), id)
	}
	return v, nil
}

// jobCommand wires the verbs that take one job.
func jobCommand(use, what string, f func(cmd *cobra.Command, o *owner, h *hostClient, id envelope.Digest, dir string, asJSON bool) error) *cobra.Command {
	var dir, host string
	var asJSON bool
	cmd := &cobra.Command{
		Use: use + " JOB", Short: what, Args: exactArgs(1, "one job, by digest"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Buyer)
			if err != nil {
				return err
			}
			id, err := o.findJob(args[0])
			if err != nil {
				return err
			}
			h, err := o.host(host)
			if err != nil {
				return err
			}
			return f(cmd, o, h, id, dir, asJSON)
		},
	}
	dirFlag(cmd, &dir, config.Buyer)
	hostFlag(cmd, &host)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newWatch() *cobra.Command {
	return jobCommand("watch", "Follow a job to its end, answering for the buyer meanwhile",
		func(cmd *cobra.Command, o *owner, h *hostClient, id envelope.Digest, dir string, asJSON bool) error {
			v, err := o.await(cmd, h, id)
			if err != nil {
				return err
			}
			return show(cmd, asJSON, v, func(w io.Writer) { v.print(w, dir) })
		})
}

func newFetch() *cobra.Command {
	return jobCommand("fetch", "Fetch the sealed result and the bundle of a job that ended",
		func(cmd *cobra.Command, o *owner, h *hostClient, id envelope.Digest, dir string, asJSON bool) error {
			j, err := h.Job(cmd.Context(), id)
			if err != nil {
				return h.explain(err)
			}
			v, err := o.fetch(cmd, h, id, j)
			if err != nil {
				return err
			}
			return show(cmd, asJSON, v, func(w io.Writer) { v.print(w, dir) })
		})
}

func newCancel() *cobra.Command {
	var reason string
	cmd := jobCommand("cancel", "Withdraw a job; one that runs is stopped and still says what it used",
		func(cmd *cobra.Command, o *owner, h *hostClient, id envelope.Digest, _ string, asJSON bool) error {
			c := &job.Cancel{Job: id, Reason: reason}
			if _, err := config.AddCancellation(o.dir, c); err != nil {
				return err
			}
			key, err := o.signer(o.layout.BuyerKey(), envelope.RoleBuyer)
			if err != nil {
				return err
			}
			signed, _, err := job.SignCancel(c, key)
			if err != nil {
				return err
			}
			j, err := h.Cancel(cmd.Context(), signed)
			if err != nil {
				return h.explain(err)
			}
			v := viewJob(j)
			return show(cmd, asJSON, v, func(w io.Writer) { table(w, v.row()) })
		})
	cmd.Flags().StringVar(&reason, "reason", "withdrawn by the buyer", "why, for the record")
	return cmd
}

func newJobs() *cobra.Command {
	var dir, host string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "ls", Short: "List the buyer's jobs, the latest first", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOwner(dir, config.Buyer)
			if err != nil {
				return err
			}
			h, err := o.host(host)
			if err != nil {
				return err
			}
			views, rows := []*jobView{}, [][]string{{"JOB", "STATE", "ATTEMPTS", "SUBMITTED", "NOTE"}}
			jobs, err := h.List(cmd.Context(), o.Buyer.String())
			if err != nil {
				return h.explain(err)
			}
			for _, j := range jobs {
				v := viewJob(j)
				views, rows = append(views, v), append(rows, v.row())
			}
			return show(cmd, asJSON, map[string]any{"jobs": views}, func(w io.Writer) { table(w, rows...) })
		},
	}
	dirFlag(cmd, &dir, config.Buyer)
	hostFlag(cmd, &host)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// jobView is a job as the host tells of it; files are on this side.
type jobView struct {
	Job       string         `json:"job"`
	State     string         `json:"state"`
	Attempts  int64          `json:"attempts"`
	Leaves    int64          `json:"leaves"`
	Total     int64          `json:"total"`
	Submitted int64          `json:"submitted"`
	Reason    string         `json:"reason"`
	Message   string         `json:"message"`
	Hint      string         `json:"hint"`
	Denied    []grant.Reason `json:"denied"`
	Bundle    string         `json:"bundle"` // paths of what was fetched
	Result    string         `json:"result"`

	denied []envelope.Digest // the manifest that each of Denied is about
	names  map[envelope.Digest]string
}

func viewJob(j *hostv1.Job) *jobView {
	v := &jobView{
		Job: j.GetId(), State: j.GetState(), Attempts: j.GetAttempts(), Leaves: j.GetLeaves(), Total: j.GetTotal(),
		Submitted: j.GetSubmitted(), Reason: j.GetReason(), Message: j.GetMessage(), Hint: j.GetHint(), Denied: []grant.Reason{},
	}
	if d, err := envelope.Peek[grant.Denial](j.GetDenial(), envelope.DenialType); err == nil {
		v.deny(&d.Predicate)
	}
	return v
}

func (v *jobView) deny(d *grant.Denial) {
	for _, r := range d.Reasons {
		v.Denied, v.denied = append(v.Denied, r), append(v.denied, d.Manifest)
	}
}

func (v *jobView) row() []string {
	note := v.note()
	if v.State == "running" && v.Total > 0 {
		note = fmt.Sprintf("%s delivered, %d in the data", amount(v.Leaves, "leaves"), v.Total)
	}
	return []string{short(v.Job), v.State, fmt.Sprint(v.Attempts), when(v.Submitted), note}
}

func (v *jobView) print(w io.Writer, dir string) {
	fmt.Fprintf(w, "job %s %s\n", v.Job, v.State)
	if v.Bundle != "" {
		fmt.Fprintf(w, "bundle  %s\n", v.Bundle)
	}
	if v.Result != "" {
		fmt.Fprintf(w, "result  %s\nopen it with: glovebox buyer open %s --dir %s --out OUT\n", v.Result, short(v.Job), dir)
	}
}

// await follows a job to its end, being the buyer's broker meanwhile, and fetches what it left.
func (o *owner) await(cmd *cobra.Command, h *hostClient, id envelope.Digest) (*jobView, error) {
	stop, err := o.ensureBroker(cmd.Context())
	if err != nil {
		return nil, err
	}
	defer stop()
	last, err := h.follow(cmd, id)
	if err != nil {
		return nil, err
	}
	return o.fetch(cmd, h, id, last)
}

// follow shows every change until the job ends. A connection that breaks is made again.
func (h *hostClient) follow(cmd *cobra.Command, id envelope.Digest) (*hostv1.Job, error) {
	const patience = 30
	bar := newProgress(cmd.ErrOrStderr(), "running")
	defer bar.done()
	shown, failures := "", 0
	for {
		last, err := h.watch(cmd.Context(), id, func(j *hostv1.Job) {
			failures = 0
			if text := stateText(j); text != shown {
				bar.done()
				say(cmd, "%s", text)
				shown = text
			}
			if j.GetState() == "running" && j.GetTotal() > 0 {
				bar.count(j.GetLeaves(), fmt.Sprintf("leaves delivered, the data has %d", j.GetTotal()))
			}
		})
		if err == nil && last != nil && client.Ended(last.GetState()) {
			return last, nil
		}
		if cmd.Context().Err() != nil {
			return nil, Errorf(KindError, "the job goes on; come back with: glovebox buyer watch %s", short(id.String())).because("interrupted")
		}
		if failures++; failures > patience || (err != nil && classify(err).Kind != KindTryAgain) {
			return nil, err
		}
		select {
		case <-cmd.Context().Done():
		case <-time.After(time.Second):
		}
	}
}

// stateText is one line for one state; progress within a state is not part of it.
func stateText(j *hostv1.Job) string {
	s := "job " + short(j.GetId()) + " " + j.GetState()
	if j.GetAttempts() > 1 {
		s += fmt.Sprintf(", attempt %d", j.GetAttempts())
	}
	if j.GetMessage() != "" && j.GetState() != "running" && !client.Ended(j.GetState()) { // why it ended is said with the error
		s += ": " + j.GetMessage()
	}
	return s
}

func (h *hostClient) watch(ctx context.Context, id envelope.Digest, each func(*hostv1.Job)) (last *hostv1.Job, err error) {
	err = h.Watch(ctx, id, func(j *hostv1.Job) error {
		last = j
		each(j)
		return nil
	})
	return last, h.explain(err)
}

// fetch keeps bundle and result beside the job, and turns a job that did not complete into its error.
func (o *owner) fetch(cmd *cobra.Command, h *hostClient, id envelope.Digest, j *hostv1.Job) (*jobView, error) {
	v, dir := viewJob(j), o.jobDir(id)
	if !client.Ended(v.State) {
		return nil, Errorf(KindTryAgain, "follow it with: glovebox buyer watch %s", short(v.Job)).because("job %s is %s", short(v.Job), v.State)
	}
	if j.GetUsage() != "" {
		bundle, err := h.Bundle(cmd.Context(), id)
		if err != nil {
			return nil, h.explain(err)
		}
		v.Bundle = filepath.Join(dir, bundleFile)
		if err := config.WriteFile(v.Bundle, bundle); err != nil {
			return nil, err
		}
	}
	if v.State != client.StateCompleted {
		h.denials(cmd.Context(), id, v)
		h.nameDenied(cmd.Context(), v)
		return nil, v.failure()
	}
	v.Result = filepath.Join(dir, resultFile)
	return v, h.result(cmd.Context(), id, v.Result, j.GetResultBytes(), newProgress(cmd.ErrOrStderr(), "fetching result"))
}

// note is the machine's word and the person's, once each.
func (v *jobView) note() string {
	if v.Reason == "" || strings.HasPrefix(v.Message, v.Reason) {
		return v.Message
	}
	return strings.TrimSuffix(v.Reason+": "+v.Message, ": ")
}

// denials finds the signed refusals that the owners' brokers logged for a job that was not permitted to run: the enclave
// may not repeat their words. They follow the job's end shortly.
func (h *hostClient) denials(ctx context.Context, id envelope.Digest, v *jobView) {
	for range 20 {
		if v.Reason != usage.ReasonNotPermitted || len(v.Denied) > 0 {
			return
		}
		r, err := h.Log.ListRecords(ctx, connect.NewRequest(&hostv1.ListRecordsRequest{Type: envelope.DenialType, Job: id.String()}))
		if err != nil {
			return
		}
		for _, rec := range r.Msg.GetRecords() {
			if d, err := envelope.Peek[grant.Denial](rec.GetSigned(), envelope.DenialType); err == nil && d.Predicate.Job == id {
				v.deny(&d.Predicate)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// nameDenied finds the names of what was denied; without one its digest has to do.
func (h *hostClient) nameDenied(ctx context.Context, v *jobView) {
	v.names = map[envelope.Digest]string{}
	for _, id := range v.denied {
		if v.names[id] == "" {
			v.names[id] = short(id.String())
			if _, m, err := h.manifest(ctx, id); err == nil {
				v.names[id] = m.Name
			}
		}
	}
}

// denial is the brokers' reasons, each package's under who denied it; "" if nobody did.
func (v *jobView) denial() string {
	var b strings.Builder
	for i, r := range v.Denied {
		if i == 0 || v.denied[i] != v.denied[i-1] {
			fmt.Fprintf(&b, "\ndenied by the broker of %s: ", v.names[v.denied[i]])
		} else {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s (%s); to satisfy it: %s", r.Message, r.Rule, r.Satisfy)
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// failure is why a job has no result.
func (v *jobView) failure() error {
	k, hint := KindError, v.Hint
	if v.Reason == usage.ReasonTrap {
		hint = strings.TrimPrefix(hint+"\ncheck the --param it reads; a failed run returns no words, but code that catches its error and ends with 0 returns its log if the creator packed with --logs sealed", "\n")
	}
	msg := fmt.Sprintf("job %s %s", short(v.Job), v.State)
	if d := v.denial(); d != "" { // says it all; the host's words are general
		msg = fmt.Sprintf("job %s was %s", short(v.Job), d)
		if v.Reason == usage.ReasonNotPermitted {
			hint = "glovebox buyer plan shows what each owner's terms allow, and what is left of a budget"
		}
	} else if note := v.note(); note != "" {
		msg += ": " + note
	}
	switch {
	case len(v.Denied) > 0 || v.Reason == grant.CodeDenied || v.Reason == grant.CodeEvidence || v.Reason == usage.ReasonNotPermitted:
		k = KindDenied
	case v.Reason == grant.CodeTryAgain:
		k = KindTryAgain
	}
	if v.Bundle != "" {
		hint = strings.TrimPrefix(hint+"\nwhat was used is attested all the same: "+v.Bundle, "\n")
	}
	return &Error{Kind: k, Hint: hint, Err: errors.New(msg)}
}
