// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/host/client/tiles"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

const (
	maxWatchState    = 1 << 20
	maxEvidenceFiles = 100 // of one name: a watcher that is started again and again must not fill the disk
)

// watchState is what `auditor log watch` remembers.
type watchState struct {
	Version    int                     `json:"version"`
	Log        string                  `json:"log"`        // verifier key
	Checkpoint string                  `json:"checkpoint"` // the largest one that everything seen is proven consistent with
	Places     map[string]string       `json:"places"`     // the last checkpoint that each place showed
	Unproven   map[string]unprovenHead `json:"unproven"`   // the first one of each place that nobody has proven yet
}

// place is where a checkpoint can be seen: a host, a mirror, or a witness, which has no tiles.
type place struct {
	*tiles.Source
	name     string
	host     bool
	witness  bool
	cosigner *tlog.Witnesses // that witness, who must have signed what it shows
}

// watcher proves that all places show one log that only grows.
type watcher struct {
	log       *tlog.Log
	places    []place
	witnesses []string // verifier keys, for the evidence
	state     watchState
	refused   map[string]refusedHead // by place
	now       func() time.Time
	say       func(format string, a ...any)
}

// watchFinding is a contradiction, and the evidence for it.
type watchFinding struct {
	Finding  string         `json:"finding"`
	Evidence *tlog.Evidence `json:"evidence"`
}

func newLogWatch() *cobra.Command {
	var hosts, mirrors, witnesses []string
	var trust, remember, evidence string
	var every time.Duration
	var once bool
	cmd := &cobra.Command{
		Use: "watch", Short: "Watch a log from several places for split views and rollbacks", Args: noArgs,
		Long: `Watch asks hosts, mirrors and witnesses for the log's checkpoint, again and again, and proves that each is the same log, grown,
as every checkpoint seen before. The more places, and the more people who watch, the less a log can show one of them something
else. When two checkpoints contradict each other it writes both to a file that everybody with the log's key can verify
(glovebox auditor log evidence) and ends with exit code 4; what an earlier look wrote stays, and the next file has a number. A place that shows less than it did before is a finding too, though
not one that others can verify: the smaller checkpoint could be old. So are a place whose own files contradict the signed
checkpoint that it shows, and a checkpoint that is still not proven after 3 looks and 5 minutes although somebody was reached
who ought to have the files for it. The first such checkpoint of each place is kept in the file of --remember and compared again at
every look, whatever the place shows later.

Watch reads of a place what proofs need: checkpoints, and hashes of the tree. Entries are read by glovebox auditor log --mirror.

A checkpoint that is malformed, not signed by the log, or not cosigned by the witness who shows it, is a finding about that
place: it is said once, the watch goes on with what others show, and ends with exit code 4.

A place that cannot be reached is named and asked again. With --once, what could not be seen or proven ends with exit code 5,
unless something else was found; a later run with the same --remember goes on counting.`,
		Example: "  glovebox auditor log watch --host http://127.0.0.1:7300 --mirror https://mirror.example/log \\\n" +
			"    --witness http://127.0.0.1:7301/witness=KEY --trust trust.json --remember watch.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if remember == "" || every < time.Second {
				return Errorf(KindUsage, "give --remember FILE, and at least --every 1s").because("nothing to compare with, or too often")
			}
			l, err := trustedLog(trust)
			if err != nil {
				return err
			}
			w := &watcher{log: l, now: time.Now, say: func(f string, a ...any) { say(cmd, f, a...) }}
			if err := w.open(hosts, mirrors, witnesses); err != nil {
				return err
			}
			if err := w.recall(remember); err != nil {
				return err
			}
			if evidence == "" {
				evidence = remember + ".evidence"
			}
			return w.run(cmd.Context(), remember, evidence, every, once)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&hosts, "host", nil, "host, by URL; may be given more than once")
	f.StringSliceVar(&mirrors, "mirror", nil, "mirror, by URL or directory; may be given more than once")
	f.StringArrayVar(&witnesses, "witness", nil, "witness, as URL=KEY; may be given more than once")
	f.StringVar(&trust, "trust", "", "trust file, or the operator's trusted_root.json (required)")
	f.StringVar(&remember, "remember", "", "file that keeps what was seen (required)")
	f.StringVar(&evidence, "evidence", "", "file for two checkpoints that contradict each other, with a number behind it if it is taken (default: that of --remember and .evidence)")
	f.DurationVar(&every, "every", 10*time.Second, "time between two looks")
	f.BoolVar(&once, "once", false, "look once")
	return cmd
}

// open names the places.
func (w *watcher) open(hosts, mirrors, witnesses []string) error {
	add := func(p place, where string) error {
		s, err := tiles.Open(where)
		if err != nil {
			return Errorf(KindUsage, "give URLs, or directories of mirrors").from(err)
		}
		p.Source = s
		w.places = append(w.places, p)
		return nil
	}
	var errs []error
	for _, h := range hosts {
		errs = append(errs, add(place{name: "host " + h, host: true}, strings.TrimRight(h, "/")+"/log"))
	}
	for _, m := range mirrors {
		errs = append(errs, add(place{name: "mirror " + m}, m))
	}
	for _, f := range witnesses {
		u, key, _ := strings.Cut(f, "=")
		k, err := tlog.NewWitness(key)
		if err != nil {
			return Errorf(KindUsage, "give it as --witness URL=KEY").from(err)
		}
		one, err := tlog.NewWitnesses(1, key)
		if err != nil {
			return Errorf(KindUsage, "give it as --witness URL=KEY").from(err)
		}
		w.witnesses = append(w.witnesses, key)
		errs = append(errs, add(place{name: "witness " + k.Name(), witness: true, cosigner: one}, strings.TrimRight(u, "/")+"/"+envelope.Sum([]byte(w.log.Origin())).Hex()))
	}
	if len(w.places) == 0 {
		return Errorf(KindUsage, "give --host, --mirror or --witness").because("nowhere to look")
	}
	return errors.Join(errs...)
}

func (w *watcher) recall(path string) error {
	w.state = watchState{Version: 1, Log: w.log.String(), Places: map[string]string{}, Unproven: map[string]unprovenHead{}}
	b, err := readBounded(path, maxWatchState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var s watchState
	if err := envelope.DecodeStrict(b, maxWatchState, &s); err != nil || s.Version != 1 || s.Places == nil {
		return Errorf(KindUsage, "give the file that an earlier watch wrote, or a new name").because("%s is not a file of auditor log watch", path)
	}
	if s.Log != w.log.String() {
		return Errorf(KindUsage, "each log has a file of its own").because("%s is about another log", path)
	}
	if s.Unproven == nil {
		s.Unproven = map[string]unprovenHead{}
	}
	w.state = s
	return nil
}

// run looks until the context ends, or something does not hold.
func (w *watcher) run(ctx context.Context, remember, evidence string, every time.Duration, once bool) error {
	for {
		missed, found := w.look(ctx)
		b, err := json.Marshal(w.state)
		if err == nil {
			err = config.WriteFile(remember, b)
		}
		if err != nil {
			return err
		}
		if found != nil {
			return w.report(found, evidence)
		}
		if once {
			if err := w.verdict(missed); err != nil {
				return err
			}
			w.sayUnread()
			return nil
		}
		select {
		case <-ctx.Done():
			return w.verdict(nil)
		case <-time.After(every):
		}
	}
}

// sayUnread says of mirrors what was not looked at: an entry that was changed there changes no checkpoint.
func (w *watcher) sayUnread() {
	for _, p := range w.places {
		if !p.host && !p.witness {
			w.say("%s: only its checkpoint was compared; its entries are verified with: glovebox auditor log --mirror %s", p.name, p.Name())
		}
	}
}

// report keeps the evidence and says what it is worth: only two histories are a proof for others.
func (w *watcher) report(f *watchFinding, path string) error {
	b, err := json.MarshalIndent(f.Evidence, "", "  ")
	if err == nil {
		path, err = keepEvidence(path, append(b, '\n'))
	}
	if err != nil {
		return Errorf(KindVerify, "nothing was written: see that the directory of --evidence can be, and look again").from(fmt.Errorf("%s; %w", f.Finding, err))
	}
	if _, err := f.Evidence.Verify(w.log); err != nil {
		return Errorf(KindVerify, "keep %s, and ask the operator; it proves nothing to others, since one log can have signed both checkpoints, one after the other", path).because("%s", f.Finding)
	}
	return Errorf(KindVerify, "keep %s and give it to others: glovebox auditor log evidence %s --trust FILE", path, path).because("%s", f.Finding)
}

// keepEvidence writes evidence under the first of some names that is free or holds the same. Nothing is replaced: what another
// look found may be the only proof that there is.
func keepEvidence(path string, b []byte) (string, error) {
	name := path
	for n := 2; ; n++ {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			_, werr := f.Write(b)
			if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
				return "", errors.Join(err, os.Remove(name))
			}
			return name, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		if have, err := readBounded(name, tlog.MaxEvidence); err == nil && bytes.Equal(have, b) {
			return name, nil
		}
		if n > maxEvidenceFiles {
			return "", fmt.Errorf("%s and %d more like it are there: move them elsewhere", path, n-2)
		}
		name = fmt.Sprintf("%s.%d", path, n)
	}
}

// look asks every place once. missed says what could not be seen or proven.
func (w *watcher) look(ctx context.Context) (missed []string, found *watchFinding) {
	shown := map[string]tlog.Checkpoint{}
	for _, p := range w.places {
		if ctx.Err() != nil {
			return missed, nil
		}
		f, err := w.ask(ctx, p, shown)
		if f != nil {
			return missed, f
		}
		if err != nil {
			missed = append(missed, fmt.Sprintf("%s: %v", p.name, err))
			w.say("%s: not seen: %v", p.name, err)
		}
	}
	return w.settle(ctx, shown, missed)
}

// ask takes one place's checkpoint, and compares it with what is known.
func (w *watcher) ask(ctx context.Context, p place, shown map[string]tlog.Checkpoint) (*watchFinding, error) {
	text, now, err := w.seen(ctx, p)
	if errors.Is(err, errRefused) {
		w.refuse(p.name, err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	shown[p.name] = now
	f, missing := w.compare(ctx, p, text, now)
	if f == nil {
		f = w.rolledBack(p, text, now) // which may be why nobody can prove it
	}
	if f != nil || missing != nil {
		if ctx.Err() == nil && f == nil {
			w.doubt(p, text)
		}
		return f, missing
	}
	if w.state.Places[p.name] != text {
		w.state.Places[p.name] = text
		w.say("%s: %d entries, root %s: consistent", p.name, now.Size, now.Root)
	}
	return nil, nil
}

// rolledBack finds that a place shows less than it did.
func (w *watcher) rolledBack(p place, text string, now tlog.Checkpoint) *watchFinding {
	before, then, err := w.most(p.name)
	if err != nil || then.Size <= now.Size {
		return nil
	}
	e := w.evidence(text, before, now.Root, nil)
	return &watchFinding{fmt.Sprintf("%s went back: it showed %d entries, and shows %d", p.name, then.Size, now.Size), e}
}

// compare proves that one of the known checkpoint and this one begins with the other, and keeps the larger one.
func (w *watcher) compare(ctx context.Context, p place, text string, now tlog.Checkpoint) (*watchFinding, error) {
	if w.state.Checkpoint == "" {
		w.state.Checkpoint = text
		return nil, nil
	}
	known, err := w.log.ParseCheckpoint(w.state.Checkpoint)
	if err != nil {
		return nil, err
	}
	small, large := w.state.Checkpoint, text
	a, b := known, now
	if known.Size > now.Size {
		small, large, a, b = text, w.state.Checkpoint, now, known
	}
	root, hashes, err := w.prefix(ctx, p, b, a.Size)
	if err != nil {
		return nil, fmt.Errorf("%d entries, not proven to be the same log as %d: %w", now.Size, known.Size, err)
	}
	if root != a.Root {
		return &watchFinding{
			fmt.Sprintf("the log has two histories: %s shows another %d entries than were seen before", p.name, a.Size),
			w.evidence(small, large, root, hashes),
		}, nil
	}
	if now.Size > known.Size {
		w.state.Checkpoint = text
	}
	return nil, nil
}

// prefix asks the place itself, and then all others, for the beginning of a tree. Error, among others: [errFalseTiles] of the
// place itself; what others have may be damaged on its own.
func (w *watcher) prefix(ctx context.Context, p place, cp tlog.Checkpoint, n int64) (root envelope.Digest, hashes []envelope.Digest, err error) {
	if n == cp.Size {
		return cp.Root, []envelope.Digest{}, nil
	}
	err = errors.New("no place has its tiles")
	for i, o := range append([]place{p}, w.places...) {
		if o.witness || (i > 0 && o.name == p.name) {
			continue
		}
		var e error
		if root, hashes, e = o.Prefix(ctx, cp, n); e == nil {
			return root, hashes, nil
		}
		if i == 0 && errors.Is(e, tiles.ErrTile) {
			e = fmt.Errorf("%w: %w", errFalseTiles, e)
		}
		if !errors.Is(err, errFalseTiles) {
			err = e
		}
	}
	return root, nil, err
}

func (w *watcher) evidence(first, second string, root envelope.Digest, hashes []envelope.Digest) *tlog.Evidence {
	e := &tlog.Evidence{Version: 1, Log: w.log.String(), First: first, Second: second, Root: root, Hashes: hashes, Witnesses: w.witnesses}
	if e.Hashes == nil {
		e.Hashes = []envelope.Digest{}
	}
	if e.Witnesses == nil {
		e.Witnesses = []string{}
	}
	return e
}
