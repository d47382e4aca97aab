// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// resumeFlags say what happens to a pack of the same name that did not end.
type resumeFlags struct{ resume, restart bool }

func (f *resumeFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.resume, "resume", false, "go on with a pack of this name that was interrupted, with the same SOURCE, terms and flags; begins if there is none")
	fl.BoolVar(&f.restart, "restart", false, "drop what an interrupted pack of this name has sealed, and begin anew")
}

// packing is a pack that can be resumed. Its nil pack cannot.
type packing struct {
	name    string
	path    string
	resumed bool // it goes on with what another run sealed
	begun   time.Time
	journal *dataset.Journal // of the pack that goes on; nil until one begins
	say     func(format string, args ...any)
}

// open looks for a pack of the name that did not end. done is its package if all of it was stored, and only its journal is left.
func (f *resumeFlags) open(cmd *cobra.Command, o *owner, name string) (p *packing, done *config.Package, err error) {
	if f.resume && f.restart {
		return nil, nil, Errorf(KindUsage, "give one of them").because("--resume goes on, and --restart begins anew")
	}
	p = &packing{name: name, path: o.layout.Packing(name), begun: time.Now(), say: func(format string, args ...any) { say(cmd, format, args...) }}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return nil, nil, err
	}
	if list, err := config.ListPackages(o.dir); err == nil {
		o.unfinished(list, name) // for what it removes
	}
	j, err := dataset.OpenJournal(p.path)
	switch {
	case errors.Is(err, dataset.ErrNoJournal):
		if f.resume {
			p.say("no pack of %s was interrupted; this one begins", name)
		}
		return p, nil, nil
	case err != nil:
		return nil, nil, err
	}
	list, err := config.ListPackages(o.dir)
	if err != nil {
		return nil, nil, errors.Join(err, j.Close())
	}
	if k := slices.IndexFunc(list, func(c config.Package) bool { return holds(c.Manifest, j) }); k >= 0 {
		if err := o.endPack(name, j); err != nil || !f.resume {
			return p, nil, err
		}
		p.say("the pack was complete: package %s", short(list[k].ID.String()))
		return p, &list[k], nil
	}
	switch {
	case f.resume:
		p.journal, p.begun, p.resumed = j, j.Begun(), j.Kept() > 0
		return p, nil, nil
	case j.Kept() > 0 && !f.restart:
		return nil, nil, errors.Join(Errorf(KindUsage, "go on with --resume, or drop it with --restart").
			because("a pack of %s from %s was interrupted; it has sealed %s", name, when(j.Begun().UnixMilli()), amount(int64(j.Kept()), "segments")), j.Close())
	}
	if from := when(j.Begun().UnixMilli()); j.Kept() == 0 {
		p.say("a pack of %s from %s was interrupted before it had sealed a segment; this one begins anew", name, from)
	} else {
		p.say("a pack of %s from %s was interrupted; what it had sealed (%s) is dropped, and this one begins anew", name, from, amount(int64(j.Kept()), "segments"))
	}
	return p, nil, o.dropPack(cmd.Context(), name, j, list)
}

// unfinishedPack is a pack that was interrupted, or runs.
type unfinishedPack struct {
	Name     string `json:"name"`
	Begun    int64  `json:"begun"`    // Unix seconds; 0: it runs, or cannot be read
	Segments int    `json:"segments"` // that are sealed and kept
	State    string `json:"state"`    // interrupted, running, or why it cannot be read
}

// unfinished lists the packs that are not complete, but for one. It removes what a crash may have left of those that are, and
// of those that never began: wrapped data keys, among others.
func (o *owner) unfinished(list []config.Package, except string) []unfinishedPack {
	names, err := o.layout.Packs()
	if err != nil {
		return []unfinishedPack{{State: err.Error()}}
	}
	out := []unfinishedPack{}
	for _, name := range names {
		if name == except {
			continue
		}
		j, err := dataset.OpenJournal(o.layout.Packing(name))
		switch {
		case errors.Is(err, dataset.ErrPacking):
			out = append(out, unfinishedPack{Name: name, State: "running"})
		case errors.Is(err, dataset.ErrNoJournal): // it had not begun
		case err != nil:
			out = append(out, unfinishedPack{Name: name, State: err.Error()})
		case slices.ContainsFunc(list, func(c config.Package) bool { return holds(c.Manifest, j) }):
			_ = o.endPack(name, j) //nolint:errcheck // the next look tries again
		default:
			out = append(out, unfinishedPack{name, j.Begun().Unix(), j.Kept(), "interrupted"})
			_ = j.Close() //nolint:errcheck // nothing was written
		}
	}
	if unlock, err := o.layout.TryLockKeys(); err == nil {
		_ = errors.Join(o.SweepPackKeys(), unlock()) //nolint:errcheck // the next look tries again
	}
	return out
}

// sayUnfinished says what can be done about packs that were interrupted.
func (o *owner) sayUnfinished(cmd *cobra.Command, packs []unfinishedPack) {
	for _, p := range packs {
		switch p.State {
		case "running":
			say(cmd, "a pack of %s is running", p.Name)
		case "interrupted":
			say(cmd, "a pack of %s from %s was interrupted; it has sealed %s. With its SOURCE, terms and flags:", p.Name, when(1000*p.Begun), amount(int64(p.Segments), "segments"))
			say(cmd, "  go on:    glovebox creator pack SOURCE --dir %s --name %s --resume", o.dir, p.Name)
			say(cmd, "  drop it:  glovebox creator pack SOURCE --dir %s --name %s --restart", o.dir, p.Name)
		default:
			say(cmd, "unfinished pack %s: %s", p.Name, p.State)
		}
	}
}

// holds reports whether a package has every segment of a journal.
func holds(m *dataset.Manifest, j *dataset.Journal) bool {
	blobs := m.Blobs()
	for _, d := range j.Blobs() {
		if !slices.Contains(blobs, d) {
			return false
		}
	}
	return j.Kept() > 0
}

// dropPack removes what an interrupted pack has left: blobs that no package has and, of a dataset that no package is of,
// what names its contributors. Keys of theirs that nothing was sealed with do no harm.
func (o *owner) dropPack(ctx context.Context, name string, j *dataset.Journal, list []config.Package) error {
	store, err := o.blobs(ctx)
	if err != nil {
		return errors.Join(err, j.Close())
	}
	s, ok := store.(interface {
		Remove(ctx context.Context, d envelope.Digest) error
	})
	used, fresh := map[envelope.Digest]bool{}, true
	for _, p := range list {
		fresh = fresh && p.Manifest.Dataset != j.Dataset()
		for _, d := range p.Manifest.Blobs() {
			used[d] = true
		}
	}
	for _, d := range j.Blobs() {
		if ok && !used[d] {
			if err := s.Remove(ctx, d); err != nil {
				return errors.Join(err, j.Close())
			}
		}
	}
	if fresh {
		path := o.layout.ContributorKey(j.Dataset())
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return errors.Join(err, j.Close())
		}
		os.Remove(filepath.Dir(path)) //nolint:errcheck // it may hold others
	}
	return o.endPack(name, j)
}

// endPack removes what makes a pack one that can go on: its wrapped key, which nothing else would find, then its journal.
func (o *owner) endPack(name string, j *dataset.Journal) error {
	unlock, err := o.layout.LockKeys()
	if err != nil {
		return errors.Join(err, j.Close())
	}
	if err := errors.Join(o.DropPackKey(name), unlock()); err != nil {
		return errors.Join(err, j.Close())
	}
	return j.Remove()
}

// dataset is the name of the dataset that goes on, or a fresh one.
func (p *packing) dataset(previous *config.Package) (id dataset.ID, err error) {
	switch {
	case previous != nil:
		return previous.Manifest.Dataset, nil
	case p != nil && p.journal != nil:
		return p.journal.Dataset(), nil
	}
	_, err = io.ReadFull(rand.Reader, id[:])
	return id, err
}

// begin gives c its journal and its data key: of the pack that goes on, of the version before, or a fresh one. A keyholder
// that shows no key can wrap one for nobody to resume with: then there is no journal.
func (p *packing) begin(ctx context.Context, o *owner, kh keyholder.Keyholder, c *dataset.PackConfig, previous *config.Package) (err error) {
	_, sealed := kh.(keyholder.Sealer)
	switch {
	case p == nil || sealed:
		c.Key, err = o.dataKey(ctx, kh, c, previous)
		return err
	case p.journal != nil && previous == nil:
		c.Key, err = p.key(ctx, o, kh)
	default:
		c.Key, err = o.dataKey(ctx, kh, c, previous)
	}
	if err != nil {
		return err
	}
	if c.Manifest.Dataset.IsZero() { // else its contributors are named after it already
		if c.Manifest.Dataset, err = p.dataset(previous); err != nil {
			return err
		}
	}
	if p.journal == nil {
		if err := p.beginJournal(ctx, o, kh, c, previous == nil); err != nil {
			return err
		}
	}
	if err := o.units.keepIndex(); err != nil {
		return err
	}
	c.Journal = p.journal
	c.Resumed = func(kept, lost int) {
		if lost > 0 {
			p.say("%s of the interrupted pack missing, damaged or behind one that is; they are sealed again", amount(int64(lost), "segments"))
		}
		p.say("going on after %s; SOURCE is read from its beginning and compared", amount(int64(kept), "segments"))
	}
	return nil
}

// beginJournal begins the journal and stores a first version's key, wrapped. Nobody moves or shreds wrapped keys meanwhile. The
// journal comes first: while another pack of the name has it, the key in that place is the other's.
func (p *packing) beginJournal(ctx context.Context, o *owner, kh keyholder.Keyholder, c *dataset.PackConfig, first bool) (err error) {
	unlock, err := o.layout.LockKeys()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	var wrapped []byte
	if first {
		if wrapped, err = kh.Wrap(ctx, keyholder.PackContext(c.Manifest.Dataset), c.Key.Bytes()); err != nil {
			return err
		}
	}
	j, err := dataset.BeginJournal(p.path, c.Manifest.Dataset, p.begun)
	if err != nil {
		return err
	}
	if first {
		if err := o.AddPackKey(p.name, c.Manifest.Dataset, wrapped); err != nil {
			return errors.Join(err, j.Remove())
		}
	}
	p.journal = j
	return nil
}

// key opens the data key of the pack that goes on.
func (p *packing) key(ctx context.Context, o *owner, kh keyholder.Keyholder) (dataset.Key, error) {
	wrapped, err := o.PackKey(p.name, p.journal.Dataset())
	if err != nil {
		return dataset.Key{}, Errorf(KindError, "begin anew with --restart").from(fmt.Errorf("key of the interrupted pack: %w", err))
	}
	b, err := kh.Unwrap(ctx, keyholder.PackContext(p.journal.Dataset()), wrapped)
	if err != nil {
		return dataset.Key{}, Errorf(KindError, "if the keyholder's key was shredded since, begin anew with --restart").from(fmt.Errorf("key of the interrupted pack: %w", err))
	}
	defer clear(b)
	return dataset.KeyFromBytes(b)
}

// cannotRepeat gives up the journal of a pack whose records had noise drawn for them: no second run would seal the same.
func (p *packing) cannotRepeat(o *owner, c *dataset.PackConfig) error {
	if p == nil || p.journal == nil {
		return nil
	}
	if c.Journal.Kept() > 0 {
		return Errorf(KindUsage, "begin anew with --restart").because("a step draws noise, and what it draws cannot be repeated")
	}
	p.say("a step draws noise, which cannot be repeated: if this pack is interrupted, it begins anew")
	c.Manifest.Dataset, c.Now, c.Journal = p.journal.Dataset(), p.journal.Begun, nil
	err := o.endPack(p.name, p.journal)
	p.journal = nil
	return err
}

// end lets go of the journal: for good once the package is stored, or where nothing was sealed.
func (p *packing) end(ctx context.Context, o *owner, err error) error {
	if p == nil || p.journal == nil {
		return err
	}
	j := p.journal
	switch {
	case err == nil:
		return o.endPack(p.name, j)
	case errors.Is(err, dataset.ErrResume):
		err = Errorf(KindUsage, "give the same SOURCE, terms and flags as when it began, or begin anew with --restart").from(err)
	case j.Kept() > 0 && !refused(err):
		err = hinted(err, "what is sealed is kept: run the same command again with --resume")
	case j.Kept() > 0 && p.resumed: // of a longer work than this run's; SOURCE may be the wrong one
		err = hinted(err, "what was sealed before is kept; with another SOURCE, begin anew with --restart")
	default:
		if j.Kept() > 0 {
			err = hinted(err, "what was sealed of it is dropped: --resume cannot go on with another SOURCE")
		}
		if list, lerr := config.ListPackages(o.dir); lerr == nil {
			return errors.Join(err, o.dropPack(context.WithoutCancel(ctx), p.name, j, list))
		}
	}
	return errors.Join(err, j.Close())
}

// hinted adds to what an error's hint says.
func hinted(err error, hint string) error {
	e := classify(err)
	if e.Hint != "" {
		hint = e.Hint + "; " + hint
	}
	return Errorf(e.Kind, "%s", hint).from(e.Err)
}

// refused reports whether a pack failed for what its source is, so that it takes another source. A line of text that is
// malformed is none of these: it can be corrected, and what comes before it stays the same.
func refused(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	is := func(target error) bool { return errors.Is(err, target) }
	return slices.ContainsFunc(sourceSentinels(), func(s sentinel) bool { return is(s.target) }) ||
		slices.ContainsFunc([]error{dataset.ErrNotText, dataset.ErrRecordSize, dataset.ErrSparse, dataset.ErrTooLarge, dataset.ErrContributor, dataset.ErrConsent, dataset.ErrDelta}, is)
}

// reportSalt is what the report of a pack's scan begins with. The same pack gives the same when it goes on; only holders of
// the data key can compute it.
func reportSalt(c *dataset.PackConfig) ([]byte, error) {
	if c.Journal == nil {
		salt := make([]byte, saltSize)
		rand.Read(salt) //nolint:errcheck // never fails since Go 1.24
		return salt, nil
	}
	return hkdf.Expand(sha512.New, c.Key.Bytes(), fmt.Sprintf("glovebox.dev/scan-report/v1 %s %d", c.Journal.Dataset(), c.Journal.Begun().Unix()), saltSize)
}

// drawn is a source of noise that knows whether any was drawn.
type drawn struct{ any bool }

// Read implements io.Reader.
func (d *drawn) Read(p []byte) (int, error) {
	d.any = true
	return rand.Read(p)
}
