// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// PackConfig says what to seal, for whom and under which terms.
type PackConfig struct {
	Store Store
	// Source is the text of a CSV or JSON Lines package; Files is the tree of a package of whole files. Use
	// [PackConfig.OpenSource] to set either from a path.
	Source io.Reader
	Files  fs.FS
	// Manifest carries Kind, Name, Broker, Test, Format, Terms and, where given, Credential and Metadata. Pack fills in
	// the rest.
	Manifest Manifest
	Signer   *envelope.Signer // role owner
	Key      Key
	// Previous makes this a later version of the same dataset: its segments are kept as they are and the source's are
	// added. Its level blobs must be in Store, and Key must be its key.
	Previous *envelope.Verified[Manifest]
	// Contributors makes each contributor's records an erasure unit; nil: all are under Key.
	Contributors *Contributors
	// Temp is where records wait while they are grouped by contributor, encrypted; the system's folder if empty.
	Temp string
	// PublishColumns puts the CSV header's column names into the manifest, which everybody can read.
	PublishColumns bool
	SegmentBytes   int64            // of the plaintext stream; DefaultSegmentBytes if zero
	BatchBytes     int64            // of the plaintext stream; DefaultBatchBytes if zero
	Progress       func(Progress)   // called after each batch; may be nil
	Rand           io.Reader        // crypto/rand if nil
	Now            func() time.Time // time.Now if nil; dates the metadata

	testOnlyDefect      func(seg int64, batch []byte) []byte // lets tests pack what no honest owner packs
	testOnlyGroupMemory int                                  // that grouping may take; groupMemory if zero
}

// Progress is how far a [Pack] has come.
type Progress struct {
	Records  int64
	RawBytes int64
	Segments int64
	Leaves   int64
}

// Packed is a sealed package.
type Packed struct {
	Signed   []byte // the manifest
	ID       envelope.Digest
	Manifest *Manifest
}

// Pack seals the source into the store and signs its manifest. Memory is bounded whatever the size of the source. A Pack
// that fails leaves no unfinished blob, and removes the finished ones where the store can.
func Pack(ctx context.Context, cfg PackConfig) (*Packed, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	p, err := newPacker(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	out, err := p.run()
	if err != nil {
		p.undo(err)
		return nil, fmt.Errorf("pack %q: %w", cfg.Manifest.Name, err)
	}
	return out, nil
}

// complete refuses what could not become a valid manifest before anything is read, and fills in defaults.
func (c *PackConfig) complete() error {
	if c.SegmentBytes == 0 {
		c.SegmentBytes = DefaultSegmentBytes
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = min(DefaultBatchBytes, c.SegmentBytes)
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	m := &c.Manifest
	switch {
	case c.Store == nil:
		return fmt.Errorf("%w: no store", ErrConfig)
	case c.Signer == nil || c.Signer.Role() != envelope.RoleOwner:
		return fmt.Errorf("%w: want a signer with role %q", ErrConfig, envelope.RoleOwner)
	case !m.Owner.IsZero() && !m.Owner.Equal(c.Signer.Public()):
		return fmt.Errorf("%w: the manifest names another owner than the signer", ErrOwner)
	case m.Format == FormatFiles && (c.Files == nil || c.Source != nil), m.Format != FormatFiles && (c.Source == nil || c.Files != nil):
		return fmt.Errorf("%w: format %q needs a source of its own kind", ErrConfig, m.Format)
	case c.BatchBytes < 1 || c.BatchBytes > MaxBatchBytes || c.SegmentBytes < c.BatchBytes || c.SegmentBytes > MaxSegmentBytes:
		return fmt.Errorf("%w: batches of %d bytes in segments of %d, at most %d in %d", ErrConfig, c.BatchBytes, c.SegmentBytes, int64(MaxBatchBytes), int64(MaxSegmentBytes))
	}
	m.Owner = c.Signer.Public()
	if err := c.Key.usable(); err != nil {
		return err
	}
	if err := c.Contributors.validate(m); err != nil {
		return err
	}
	if m.Terms.Consent && c.Contributors == nil {
		return fmt.Errorf("%w: terms ask for consent, and nothing says who contributed which record", ErrConfig)
	}
	return m.validateOffer()
}

// packer holds one Pack's state. Methods run in one goroutine; stores are fed by others.
type packer struct {
	ctx     context.Context // of the one Pack it lives for
	cfg     *PackConfig
	m       Manifest
	tree    treeBuilder
	levels  []*levelWriter
	batch   []byte
	records int // that begin in batch
	enc     *batchEncoder
	seg     *segmentWriter
	flushed *segmentWriter // ended; the store may still be flushing it
	sum     hash.Hash      // keyed, of the plaintext stream
	unit    *unit          // whose records are being packed; nil: nobody's
	columns []byte
	done    []envelope.Digest // finished blobs
	prog    Progress
	kept    int64  // segments of earlier versions
	prior   []byte // their CSV header
}

func newPacker(ctx context.Context, cfg *PackConfig) (*packer, error) {
	enc, err := newBatchEncoder(cfg.BatchBytes)
	if err != nil {
		return nil, err
	}
	sum, err := ingestionHash(cfg.Key)
	if err != nil {
		return nil, err
	}
	p := &packer{ctx: ctx, cfg: cfg, m: cfg.Manifest, enc: enc, sum: sum, batch: make([]byte, 0, cfg.BatchBytes)}
	p.tree.sink = p.hash
	return p, nil
}

// ingestionHash is a checksum of the plaintext that only holders of the data key can compute: a bare hash would invite
// guessing.
func ingestionHash(k Key) (hash.Hash, error) {
	sub, err := hkdf.Expand(sha512.New, k.secret[:], ingestionLabel, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive checksum key: %w", err)
	}
	defer clear(sub)
	return hmac.New(sha256.New, sub), nil
}

func (p *packer) run() (*Packed, error) {
	defer p.wipe()
	if err := p.begin(); err != nil {
		return nil, err
	}
	if err := p.scan(); err != nil {
		return nil, err
	}
	if err := p.flush(); err != nil {
		return nil, err
	}
	if err := p.endSegment(); err != nil {
		return nil, err
	}
	if err := p.collect(p.flushed); err != nil {
		return nil, err
	}
	p.flushed = nil
	if err := p.endTree(); err != nil {
		return nil, err
	}
	return p.sign()
}

// begin settles identity and version, and takes over what an earlier version sealed.
func (p *packer) begin() error {
	p.m.Version, p.m.Previous, p.m.Segments, p.m.Tree = 1, nil, nil, Tree{}
	p.m.Records, p.m.RawBytes, p.m.Units = 0, 0, nil
	if p.cfg.Previous != nil {
		return p.extend(p.cfg.Previous)
	}
	if p.m.Dataset.IsZero() {
		if _, err := io.ReadFull(p.cfg.Rand, p.m.Dataset[:]); err != nil {
			return fmt.Errorf("draw dataset id: %w", err)
		}
	}
	return nil
}

func (p *packer) scan() error {
	if p.cfg.Contributors != nil {
		return p.scanUnits()
	}
	switch p.m.Format {
	case FormatCSV:
		header, err := scanCSV(contextReader{p.ctx, p.cfg.Source}, p.cfg.PublishColumns, p.prior, p.take)
		if p.cfg.PublishColumns {
			p.columns = header
		}
		return err
	case FormatJSONL:
		return scanJSONL(contextReader{p.ctx, p.cfg.Source}, p.take)
	default:
		return scanFiles(p.cfg.Files, ".", p.take)
	}
}

// take adds a piece of the stream to the batch at hand. A batch ends where the next record would not fit; a record
// larger than a batch is cut.
func (p *packer) take(piece []byte, starts bool) error {
	if starts {
		if len(p.batch)+len(piece) > cap(p.batch) {
			if err := p.flush(); err != nil {
				return err
			}
		}
		p.records++
	}
	for {
		n := copy(p.batch[len(p.batch):cap(p.batch)], piece)
		p.batch, piece = p.batch[:len(p.batch)+n], piece[n:]
		if len(piece) == 0 {
			return nil
		}
		if err := p.flush(); err != nil {
			return err
		}
	}
}

// flush seals the batch at hand, in a new segment when the current one is full.
func (p *packer) flush() error {
	raw := p.batch
	if len(raw) == 0 {
		return nil
	}
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if p.seg != nil && p.seg.seg.RawBytes+int64(len(raw)) > p.cfg.SegmentBytes {
		if err := p.endSegment(); err != nil {
			return err
		}
	}
	if p.seg == nil {
		if err := p.startSegment(); err != nil {
			return err
		}
	}
	p.sum.Write(raw)
	packed := p.enc.encode(raw, p.records)
	if p.cfg.testOnlyDefect != nil {
		packed = p.cfg.testOnlyDefect(p.seg.seg.Index, packed)
	}
	if _, err := p.seg.Write(packed); err != nil {
		return err
	}
	s := &p.seg.seg
	s.Batches, s.Records, s.RawBytes = s.Batches+1, s.Records+int64(p.records), s.RawBytes+int64(len(raw))
	p.prog.Records, p.prog.RawBytes, p.prog.Leaves = p.prog.Records+int64(p.records), p.prog.RawBytes+int64(len(raw)), p.tree.size
	p.batch, p.records = p.batch[:0], 0
	if p.cfg.Progress != nil {
		p.cfg.Progress(p.prog)
	}
	return nil
}

func (p *packer) startSegment() error {
	if p.kept+p.prog.Segments == MaxSegments {
		return fmt.Errorf("%w: more than %d segments of up to %d bytes, and every contributor has at least one; pack with larger segments, or as several datasets", ErrTooLarge, MaxSegments, p.cfg.SegmentBytes)
	}
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(p.cfg.Rand, salt); err != nil {
		return fmt.Errorf("draw salt: %w", err)
	}
	seg, key := Segment{Version: p.m.Version, Index: p.prog.Segments}, p.cfg.Key
	if p.unit != nil {
		key = p.unit.key
	}
	w, err := newSegmentWriter(p.ctx, p.cfg.Store, key, salt, p.m.Dataset, seg, p.tree.add)
	if err != nil {
		return err
	}
	p.seg = w
	return nil
}

// endSegment ends the segment at hand and collects the one before, which had all this time to reach the disk.
func (p *packer) endSegment() error {
	if p.seg == nil {
		return nil
	}
	if err := p.seg.End(); err != nil {
		return err
	}
	before := p.flushed
	p.flushed, p.seg = p.seg, nil
	p.prog.Segments++
	return p.collect(before)
}

// collect waits until the segment is kept, and lists it.
func (p *packer) collect(w *segmentWriter) error {
	if w == nil {
		return nil
	}
	seg, err := w.Wait()
	if err != nil {
		return err
	}
	p.done = append(p.done, seg.Blob)
	p.m.Segments = append(p.m.Segments, seg)
	p.m.Records, p.m.RawBytes = p.m.Records+seg.Records, p.m.RawBytes+seg.RawBytes
	return nil
}

// hash keeps a hash of the tree in its level's blob.
func (p *packer) hash(level int, h tlog.Hash) error {
	if level == len(p.levels) {
		p.levels = append(p.levels, &levelWriter{put: startPut(p.ctx, p.cfg.Store)})
	}
	return p.levels[level].add(h)
}

func (p *packer) endTree() error {
	for i, l := range p.levels {
		d, err := l.close()
		if err != nil {
			return err
		}
		p.levels[i] = nil
		p.done = append(p.done, d)
		p.m.Tree.Levels = append(p.m.Tree.Levels, d)
	}
	p.levels = nil
	p.m.Tree.Size, p.m.Tree.Root = p.tree.size, p.tree.root()
	if p.m.Records == 0 || p.prog.RawBytes == 0 {
		return ErrEmpty
	}
	return nil
}

func (p *packer) sign() (*Packed, error) {
	if err := p.m.describe(p.columns, p.sum.Sum(nil), p.cfg.Now()); err != nil {
		return nil, err
	}
	if err := p.m.Validate(); err != nil {
		return nil, err
	}
	signed, id, err := envelope.Sign(p.cfg.Signer, envelope.ManifestType, p.m.subjects(), &p.m)
	if errors.Is(err, envelope.ErrTooLarge) {
		return nil, fmt.Errorf("%w: the manifest names %d segments and %d units; pack as several datasets: %w", ErrTooLarge, len(p.m.Segments), len(p.m.Units), err)
	}
	if err != nil {
		return nil, err
	}
	v, err := Verify(signed) // what everybody else will do
	if err != nil {
		return nil, err
	}
	return &Packed{signed, id, &v.Predicate}, nil
}

// undo makes the store let go of unfinished blobs and removes finished ones. A blob without a manifest does no harm, so
// what cannot be removed is left.
func (p *packer) undo(cause error) {
	if p.seg != nil {
		p.seg.Abort(cause)
	}
	if p.flushed != nil {
		if d, _, err := p.flushed.put.Wait(); err == nil {
			p.done = append(p.done, d)
		}
	}
	for _, l := range p.levels {
		if l != nil {
			l.put.Abort(cause)
		}
	}
	r, ok := p.cfg.Store.(remover)
	if !ok {
		return
	}
	ctx := context.WithoutCancel(p.ctx)
	for _, d := range p.done {
		_ = r.Remove(ctx, d) //nolint:errcheck // see above
	}
}

func (p *packer) wipe() {
	clear(p.batch[:cap(p.batch)])
	p.enc.wipe()
}
