// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// indexKeySize is the length of a key that contributors' names are hashed with.
const indexKeySize = 32

// contributorFlags say who contributed which record, and who agreed to what.
type contributorFlags struct {
	by       string
	files    bool
	consents string
}

func (f *contributorFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.by, "contributor", "", "column (csv) or member (jsonl) that names who contributed a record; each contributor can be erased on her own")
	fl.BoolVar(&f.files, "contributor-folders", false, "with --format files: each folder, or file beside them, is one contributor's")
	fl.StringVar(&f.consents, "consent", "", "CSV file: contributor, reference, purposes (separated by ;), not_after (a date); without consent, records are withheld")
}

// apply prepares c for packing by contributor. previous is the version before, or nil.
func (f *contributorFlags) apply(o *owner, c *dataset.PackConfig, previous *config.Package) error {
	if f.by == "" && !f.files {
		if f.consents != "" || c.Manifest.Terms.Consent {
			return Errorf(KindUsage, "say which column names the contributor, with --contributor COLUMN").because("consent is of contributors")
		}
		return nil
	}
	if f.files != (c.Manifest.Format == dataset.FormatFiles) || f.files && f.by != "" {
		return Errorf(KindUsage, "use --contributor COLUMN for csv and jsonl, --contributor-folders for files").because("the format is %s", c.Manifest.Format)
	}
	c.Contributors = &dataset.Contributors{By: f.by}
	c.Temp = o.layout.Blobs()
	var err error
	if c.Manifest.Dataset, err = o.pack.dataset(previous); err != nil {
		return err
	}
	index, err := o.indexKey(c.Manifest.Dataset, previous)
	if err != nil {
		return err
	}
	if previous != nil {
		c.Erased = o.erased(previous.Manifest)
	}
	u := &unitKeys{o: o, id: c.Manifest.Dataset, index: index, keys: map[envelope.Digest]dataset.Key{}}
	o.units = u
	c.Contributors.Unit, c.Contributors.Ready = u.unit, u.ready
	if f.consents == "" {
		return nil
	}
	c.Manifest.Terms.Consent = true
	c.Contributors.Consents, err = readConsents(f.consents, index)
	return err
}

// indexKey is what names of a dataset's contributors are hashed with; fresh for a dataset that has no contributors yet.
func (o *owner) indexKey(id dataset.ID, previous *config.Package) ([]byte, error) {
	path := o.layout.ContributorKey(id)
	b, err := os.ReadFile(path)
	switch {
	case err == nil && len(b) == indexKeySize:
		return b, nil
	case err == nil || !errors.Is(err, fs.ErrNotExist) || previous != nil && previous.Manifest.Units != nil:
		return nil, Errorf(KindUsage, "restore %s from your copy of the directory", path).because("the key of this dataset's contributors is missing or damaged")
	}
	b = make([]byte, indexKeySize)
	rand.Read(b) //nolint:errcheck // never fails since Go 1.24
	return b, nil
}

// erased are the contributors of a package whose keys were destroyed. The reason is for everybody to read, so that it is not
// the one that a revocation gives for the record.
func (o *owner) erased(m *dataset.Manifest) map[envelope.Digest]string {
	out := map[envelope.Digest]string{}
	for i := range m.Units {
		if _, err := o.UnitKey(m.Dataset, m.Units[i].ID); errors.Is(err, config.ErrShredded) {
			out[m.Units[i].ID] = "key destroyed"
		}
	}
	return out
}

// unitKeys are the keys of one pack's contributors.
type unitKeys struct {
	o     *owner
	ctx   context.Context // of the pack
	kh    keyholder.Keyholder
	id    dataset.ID
	index []byte
	keys  map[envelope.Digest]dataset.Key
	fresh []envelope.Digest
}

// begin makes u ready; a nil u is that of a package without contributors.
func (u *unitKeys) begin(ctx context.Context, kh keyholder.Keyholder) {
	if u != nil {
		u.ctx, u.kh = ctx, kh
	}
}

// unit is a contributor's key: the one she has, or a fresh one.
func (u *unitKeys) unit(name string) (envelope.Digest, dataset.Key, error) {
	id := dataset.UnitID(u.index, name)
	wrapped, err := u.o.UnitKey(u.id, id)
	switch {
	case errors.Is(err, config.ErrUnknown):
		u.fresh = append(u.fresh, id)
		u.keys[id] = dataset.NewKey()
		return id, u.keys[id], nil
	case errors.Is(err, config.ErrShredded):
		return id, dataset.Key{}, Errorf(KindUsage, "take their records out of SOURCE").because("the records of %q were erased from this dataset", name)
	case err != nil:
		return id, dataset.Key{}, err
	}
	b, err := u.kh.Unwrap(u.ctx, keyholder.UnitContext(u.id, id), wrapped)
	if err != nil {
		return id, dataset.Key{}, err
	}
	defer clear(b)
	u.keys[id], err = dataset.KeyFromBytes(b)
	return id, u.keys[id], err
}

// keepIndex stores what names are hashed with.
func (u *unitKeys) keepIndex() error {
	if u == nil {
		return nil
	}
	path := u.o.layout.ContributorKey(u.id)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return config.WriteFile(path, u.index)
}

// ready stores the fresh keys before anything is sealed under them, so that an interrupted pack can go on.
func (u *unitKeys) ready() error {
	unlock, err := u.o.layout.LockKeys()
	if err != nil {
		return err
	}
	return errors.Join(u.keep(), unlock())
}

// keep stores the fresh keys, wrapped, and what names are hashed with. It comes before the package is stored.
func (u *unitKeys) keep() error {
	if u == nil {
		return nil
	}
	if err := u.keepIndex(); err != nil {
		return err
	}
	wrapped := make(map[envelope.Digest][]byte, len(u.fresh))
	for _, id := range u.fresh {
		w, err := u.kh.Wrap(u.ctx, keyholder.UnitContext(u.id, id), u.keys[id].Bytes())
		if err != nil {
			return err
		}
		wrapped[id] = w
	}
	u.fresh = nil
	return config.AddUnits(u.o.dir, u.id, wrapped)
}

func (u *unitKeys) wipe() {
	if u == nil {
		return
	}
	for _, k := range u.keys {
		k.Wipe()
	}
}

// readConsents reads who agreed to what, by unit.
func readConsents(path string, index []byte) (map[envelope.Digest]*dataset.Consent, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usageError(err)
	}
	defer f.Close()
	bad := func(line int, f string, a ...any) error {
		return Errorf(KindUsage, "lines of %s are: contributor, reference, purposes separated by semicolons, not_after as 2027-12-31", path).
			because("line %d: %s", line, fmt.Sprintf(f, a...))
	}
	r := csv.NewReader(f)
	r.FieldsPerRecord, r.TrimLeadingSpace = 4, true
	head, err := r.Read()
	if err != nil || !slices.Equal(head, []string{"contributor", "reference", "purposes", "not_after"}) {
		return nil, bad(1, "want the header contributor,reference,purposes,not_after")
	}
	out := map[envelope.Digest]*dataset.Consent{}
	for {
		fields, err := r.Read()
		line, _ := r.FieldPos(0)
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, bad(line, "%v", err)
		case len(out) >= dataset.MaxSegments:
			return nil, bad(line, "more contributors than a dataset can have")
		}
		c, err := consentOf(fields)
		if err != nil {
			return nil, bad(line, "%v", err)
		}
		id := dataset.UnitID(index, fields[0])
		if fields[0] == "" || out[id] != nil {
			return nil, bad(line, "a contributor without a name, or a second time")
		}
		out[id] = c
	}
}

func consentOf(fields []string) (*dataset.Consent, error) {
	c := &dataset.Consent{Reference: fields[1], Purposes: []string{}}
	for p := range strings.SplitSeq(fields[2], ";") {
		if p = strings.TrimSpace(p); p != "" {
			c.Purposes = append(c.Purposes, p)
		}
	}
	slices.Sort(c.Purposes)
	c.Purposes = slices.Compact(c.Purposes)
	end, err := time.Parse(time.DateOnly, fields[3])
	switch {
	case c.Reference == "" || len(c.Reference) > dataset.MaxReference:
		return nil, fmt.Errorf("a reference of 1 to %d bytes is missing", dataset.MaxReference)
	case err != nil:
		return nil, fmt.Errorf("%q is not a date", fields[3])
	}
	c.NotAfter = end.AddDate(0, 0, 1).Unix() // the day counts, in UTC
	return c, nil
}

// unitNamed finds a contributor's records in a dataset, also where a version of it cannot be read.
func (o *owner) unitNamed(what, contributor string) (*grant.UnitRef, []error, error) {
	if what == "" {
		return nil, nil, Errorf(KindUsage, "give --dataset too").because("whose contributor %q is, is not said", contributor)
	}
	id, damaged, err := o.datasetAmong(what)
	if err != nil {
		return nil, nil, err
	}
	index, err := os.ReadFile(o.layout.ContributorKey(*id))
	if err != nil {
		return nil, nil, Errorf(KindUsage, "pack it with --contributor COLUMN").because("dataset %s was not packed by contributor", id)
	}
	u := &grant.UnitRef{Dataset: *id, ID: dataset.UnitID(index, contributor)}
	if _, err := o.UnitKey(u.Dataset, u.ID); err == nil || errors.Is(err, config.ErrShredded) {
		return u, damaged, nil
	}
	list, more, err := o.readable()
	if err != nil {
		return nil, nil, err
	}
	for _, p := range list {
		if p.Manifest.Dataset == *id && slices.ContainsFunc(p.Manifest.Units, func(e dataset.ErasureUnit) bool { return e.ID == u.ID }) {
			return u, more, nil
		}
	}
	return nil, nil, Errorf(KindUsage, "write the name exactly as in the records").because("dataset %s has no contributor %q", id, contributor)
}

// shred destroys a contributor's key.
func (o *owner) shred(ctx context.Context, u *grant.UnitRef) error {
	kh, closeIt, err := o.keyholder(ctx)
	if err != nil {
		return err
	}
	defer closeIt()
	unlock, err := o.layout.LockKeys()
	if err != nil {
		return err
	}
	return errors.Join(o.ShredUnit(ctx, kh, u.Dataset, u.ID), unlock())
}
