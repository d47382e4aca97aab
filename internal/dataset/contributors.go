// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Contributors makes every contributor's records an erasure unit: whole segments under a key of their own.
type Contributors struct {
	// By is the column of a CSV file, or the top-level member of each JSON line, that names the contributor. It is empty
	// for files, whose first path element does.
	By string
	// Unit gives a contributor's unit. It is called once for each name, before anything of the contributor is sealed. The
	// keys are the caller's to wipe, after Pack.
	Unit func(name string) (envelope.Digest, Key, error)
	// Ready is called when all contributors are known, and before anything of one is sealed: time to store their keys, which a
	// pack that can be resumed needs again. May be nil.
	Ready func() error
	// Consents has what contributors agreed to, by unit: also for units of earlier versions, whose consent is stated anew.
	// Nil leaves those as they are, and gives new units none.
	Consents map[envelope.Digest]*Consent
}

// unitLabel opens what the key of contributors' names is used for.
const unitLabel = "glovebox.dev/contributor/v1"

// UnitID is the name that a contributor's unit has for everybody else: HMAC-SHA256 under a key of the dataset's owner.
func UnitID(key []byte, name string) envelope.Digest {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(unitLabel))
	h.Write([]byte{0})
	h.Write([]byte(name))
	return envelope.Digest(h.Sum(nil))
}

func (c *Contributors) validate(m *Manifest) error {
	switch {
	case c == nil:
		return nil
	case m.Kind != KindDataset:
		return fmt.Errorf("%w: code has no contributors", ErrConfig)
	case m.Format == FormatSamples:
		return fmt.Errorf("%w: samples have no contributors yet: unpack the shards into a folder for each contributor, and pack those as files", ErrConfig)
	case c.Unit == nil || (c.By == "") != (m.Format == FormatFiles):
		return fmt.Errorf("%w: contributors are named by a column (csv), a member (jsonl), or a file's first path element", ErrConfig)
	}
	return nil
}

func (c *Contributors) ready() error {
	if c.Ready == nil {
		return nil
	}
	return c.Ready()
}

// unit is one contributor while a pack goes on.
type unit struct {
	name string
	id   envelope.Digest
	key  Key
	text *group // of its records; nil for files
}

// contributors finds units by name.
type contributors struct {
	cfg   *Contributors
	room  int64 // units that there may be
	names map[string]*unit
	ids   map[envelope.Digest]bool
	list  []*unit
}

func (p *packer) newContributors() *contributors {
	return &contributors{cfg: p.cfg.Contributors, room: MaxSegments - 1 - p.kept, names: map[string]*unit{}, ids: map[envelope.Digest]bool{}}
}

// find returns the unit of a name, new at its first record. where says which record, for the error.
func (c *contributors) find(name string, where int64) (*unit, error) {
	if u := c.names[name]; u != nil {
		return u, nil
	}
	switch {
	case name == "":
		return nil, fmt.Errorf("%w: record %d has an empty name in %q", ErrContributor, where, c.cfg.By)
	case len(name) > MaxContributor || !utf8.ValidString(name):
		return nil, fmt.Errorf("%w: the name in record %d is longer than %d bytes or not UTF-8", ErrContributor, where, MaxContributor)
	case int64(len(c.list)) >= c.room:
		return nil, fmt.Errorf("%w: more than %d contributors, and each needs a segment of its own; pack them as several datasets", ErrTooLarge, c.room)
	}
	id, k, err := c.cfg.Unit(name)
	if err != nil {
		return nil, err
	}
	if err := k.usable(); err != nil || id.IsZero() || c.ids[id] {
		return nil, fmt.Errorf("%w: a unit without identity or key, or the same one for two contributors", ErrConfig)
	}
	u := &unit{name: name, id: id, key: k}
	c.names[name], c.ids[id] = u, true
	c.list = append(c.list, u)
	return u, nil
}

// ordered lists the units by what they agreed to, so that jobs get few ranges, and by their meaningless identities, so that
// nobody's place tells of a name or of when it first occurred.
func (c *contributors) ordered() []*unit {
	agreed := func(u *unit) string {
		k := c.cfg.Consents[u.id]
		if k == nil {
			return ""
		}
		return fmt.Sprintf("%d %q", k.NotAfter, k.Purposes)
	}
	slices.SortFunc(c.list, func(a, b *unit) int {
		return cmp.Or(strings.Compare(agreed(a), agreed(b)), bytes.Compare(a.id[:], b.id[:]))
	})
	return c.list
}

// scanUnits packs the source contributor by contributor.
func (p *packer) scanUnits() error {
	c := p.newContributors()
	if p.m.Format == FormatFiles {
		return p.filesByContributor(c)
	}
	g := newGrouper(p.cfg.Temp)
	defer g.close()
	if p.cfg.testOnlyGroupMemory > 0 {
		g.memory = p.cfg.testOnlyGroupMemory
	}
	if err := p.group(c, g); err != nil {
		return err
	}
	if err := c.cfg.ready(); err != nil {
		return err
	}
	for _, u := range c.ordered() {
		err := p.inUnit(u, func() error {
			return g.each(u.text, func(record []byte) error { return p.take(record, true) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// filesByContributor needs no grouping: a file's contributor is where it lies.
func (p *packer) filesByContributor(c *contributors) error {
	top, err := fs.ReadDir(p.cfg.Files, ".")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrMissing
	case err != nil:
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	for i, e := range top {
		files, err := hasFiles(p.cfg.Files, e)
		if err != nil {
			return err
		}
		if !files {
			continue
		}
		if _, err := c.find(e.Name(), int64(i+1)); err != nil {
			return err
		}
	}
	if len(c.list) == 0 {
		return ErrEmpty
	}
	if err := c.cfg.ready(); err != nil {
		return err
	}
	for _, u := range c.ordered() {
		if err := p.inUnit(u, func() error { return scanFiles(p.cfg.Files, u.name, p.take) }); err != nil {
			return err
		}
	}
	return nil
}

// hasFiles reports whether a directory has anything but directories.
func hasFiles(fsys fs.FS, e fs.DirEntry) (bool, error) {
	found := false
	err := fs.WalkDir(fsys, e.Name(), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = true
			return fs.SkipAll
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return found, nil
}

// group reads the source once and hands each record to its contributor's group. The CSV header goes into the stream at
// once, in a segment of its own: whatever units are left out later, what remains is CSV.
func (p *packer) group(c *contributors, g *grouper) error {
	r := &recordGatherer{at: 1}
	var name func(record []byte) (string, error)
	r.whole = func(record []byte) error {
		n, err := name(record)
		if err != nil {
			return fmt.Errorf("%w (record %d)", err, r.at)
		}
		u, err := c.find(n, r.at)
		if err != nil {
			return err
		}
		if u.text == nil {
			u.text = g.open()
		}
		r.at++
		return g.add(u.text, record)
	}
	defer r.wipe()
	in := contextReader{p.ctx, p.cfg.Source}
	if p.m.Format == FormatJSONL {
		name = func(record []byte) (string, error) { return jsonMember(record, p.cfg.Contributors.By) }
		return errors.Join(scanJSONL(in, r.take), r.end())
	}
	r.header = func(header []byte) (err error) {
		if name, err = csvNamer(header, p.cfg.Contributors.By); err != nil || p.prior != nil {
			return err
		}
		if err := p.take(header, false); err != nil {
			return err
		}
		return p.cut()
	}
	if p.prior != nil {
		if err := r.header(p.prior); err != nil {
			return err
		}
		r.header = nil
	}
	header, err := scanCSV(in, p.cfg.PublishColumns, p.prior, r.take)
	if p.cfg.PublishColumns {
		p.columns = header
	}
	if err != nil {
		return err
	}
	return r.end()
}

// recordGatherer makes whole records, each ending in a line end, out of pieces. What comes before the first is the header.
type recordGatherer struct {
	at     int64 // record, from 1
	began  bool
	buf    []byte
	header func(header []byte) error // nil: none is expected
	whole  func(record []byte) error
}

func (r *recordGatherer) take(piece []byte, starts bool) error {
	if starts {
		if err := r.end(); err != nil {
			return err
		}
		r.began = true
	}
	r.buf = append(r.buf, piece...)
	return nil
}

// end hands over what was gathered.
func (r *recordGatherer) end() error {
	if len(r.buf) == 0 {
		return nil
	}
	if r.buf[len(r.buf)-1] != '\n' {
		r.buf = append(r.buf, '\n')
	}
	f := r.whole
	if !r.began {
		f = r.header
	}
	err := f(r.buf)
	r.buf = r.buf[:0]
	return err
}

func (r *recordGatherer) wipe() { clear(r.buf[:cap(r.buf)]) }

// csvNamer finds the one column that is called by, and returns what reads it from a record.
func csvNamer(header []byte, by string) (func(record []byte) (string, error), error) {
	names, err := csv.NewReader(bytes.NewReader(header)).Read()
	if err != nil {
		return nil, fmt.Errorf("%w: header", ErrCSV)
	}
	names[0] = strings.TrimPrefix(names[0], "\ufeff")
	at := slices.Index(names, by)
	if at < 0 || slices.Contains(names[at+1:], by) {
		return nil, fmt.Errorf("%w: the header has no column %q, or two", ErrContributor, by)
	}
	return func(record []byte) (string, error) { return csvField(record, at), nil }, nil
}

// csvField is field n of a record that the scanner accepted.
func csvField(record []byte, n int) string {
	var out []byte
	quoted := false
	for i := 0; i < len(record); i++ {
		b := record[i]
		switch {
		case b == '"' && quoted && i+1 < len(record) && record[i+1] == '"':
			i++
		case b == '"':
			quoted = !quoted
			continue
		case b == ',' && !quoted:
			if n--; n < 0 {
				return string(out)
			}
			continue
		}
		if n == 0 {
			out = append(out, b)
		}
	}
	return string(bytes.TrimRight(out, "\r\n"))
}

// jsonMember is the text of a line's member: a string, or a number as it is written.
func jsonMember(line []byte, by string) (string, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", fmt.Errorf("%w: the line is no object", ErrContributor)
	}
	var found []any
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return "", fmt.Errorf("%w: the line is no object", ErrContributor)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return "", fmt.Errorf("%w: the line is no object", ErrContributor)
		}
		if key != by {
			continue
		}
		e := json.NewDecoder(bytes.NewReader(v))
		e.UseNumber()
		var value any
		if err := e.Decode(&value); err != nil {
			return "", fmt.Errorf("%w: member %q", ErrContributor, by)
		}
		found = append(found, value)
	}
	if len(found) == 1 {
		switch v := found[0].(type) {
		case string:
			return v, nil
		case json.Number:
			return v.String(), nil
		}
	}
	return "", fmt.Errorf("%w: want one member %q, a string or a number", ErrContributor, by)
}

// cut ends batch and segment: what comes next shares neither with what came before.
func (p *packer) cut() error {
	if err := p.flush(); err != nil {
		return err
	}
	return p.endSegment()
}

// inUnit packs what f takes as one unit. Of its plaintext only a checksum under the unit's own key enters that of the
// package: when the unit's key is gone, nobody can try guesses.
func (p *packer) inUnit(u *unit, f func() error) error {
	if err := p.cut(); err != nil {
		return err
	}
	sum, err := ingestionHash(u.key)
	if err != nil {
		return err
	}
	first, records := p.prog.Segments, p.prog.Records
	var whole hash.Hash
	whole, p.sum, p.unit = p.sum, sum, u
	err = f()
	if err == nil {
		err = p.cut()
	}
	p.sum, p.unit = whole, nil
	if err != nil {
		return err
	}
	p.sum.Write(sum.Sum(nil))
	if p.prog.Segments == first || p.prog.Records == records {
		return fmt.Errorf("%w: a contributor without records", ErrEmpty)
	}
	p.m.Units = append(p.m.Units, ErasureUnit{
		ID: u.id, First: p.kept + first, Count: p.prog.Segments - first, Consent: p.cfg.Contributors.Consents[u.id],
	})
	return nil
}
