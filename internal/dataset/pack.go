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
	// Erased are contributors of Previous whose keys were destroyed, by unit, with the reason that everybody may read: the
	// new version says that they are gone.
	Erased map[envelope.Digest]string
	// Erase makes a version of Previous without new records, for Erased alone: Manifest is that of Previous, with other terms
	// or not. There is neither source nor journal then.
	Erase bool
	// Contributors makes each contributor's records an erasure unit; nil: all are under Key.
	Contributors *Contributors
	// Temp is where records wait while they are grouped by contributor, encrypted; the system's folder if empty.
	Temp string
	// PublishColumns puts the CSV header's column names into the manifest, which everybody can read.
	PublishColumns bool
	// Columns are the columns with their types, where the source knows them: what PublishColumns publishes then, whatever the format.
	// Of files there are [ImageColumns] or none.
	Columns      []Column
	SegmentBytes int64            // of the plaintext stream; DefaultSegmentBytes if zero
	BatchBytes   int64            // of the plaintext stream; DefaultBatchBytes if zero
	Progress     func(Progress)   // called after each batch; may be nil
	Rand         io.Reader        // crypto/rand if nil
	Now          func() time.Time // time.Now if nil; dates the metadata
	// Journal makes a pack that can be resumed: by another with the same configuration and source, and the journal opened
	// again. It sets the dataset's name and Now. A segment's plaintext is then held in memory until it is sealed, and what
	// a Pack that failed has sealed is kept. The caller removes it once the package is stored.
	Journal *Journal
	// Resumed is told, before the source is read, how many segments of a resumed pack the store has kept, and how many of
	// those listed are missing or damaged, or follow one that is; they are packed again. May be nil.
	Resumed func(kept, lost int)

	testOnlyDefect      func(seg int64, batch []byte) []byte // lets tests pack what no honest owner packs
	testOnlyIndex       func(headers []byte)                 // ... and an index of something else
	testOnlyGroupMemory int                                  // that grouping may take; groupMemory if zero
}

// Progress is how far a [Pack] has come.
type Progress struct {
	Records  int64
	RawBytes int64
	Segments int64
	Leaves   int64
	Replayed bool // the store had all this before; nothing was sealed
}

// Packed is a sealed package.
type Packed struct {
	Signed   []byte // the manifest
	ID       envelope.Digest
	Manifest *Manifest
}

// Pack seals the source into the store and signs its manifest. Memory is bounded whatever the size of the source. A Pack
// that fails leaves no unfinished blob, and removes the finished ones where the store can, unless a journal lists them.
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
	if err := c.journalled(); err != nil {
		return err
	}
	switch {
	case c.Store == nil:
		return fmt.Errorf("%w: no store", ErrConfig)
	case c.Signer == nil || c.Signer.Role() != envelope.RoleOwner:
		return fmt.Errorf("%w: want a signer with role %q", ErrConfig, envelope.RoleOwner)
	case !m.Owner.IsZero() && !m.Owner.Equal(c.Signer.Public()):
		return fmt.Errorf("%w: the manifest names another owner than the signer", ErrOwner)
	case c.Erase:
		if err := c.erasing(); err != nil {
			return err
		}
	case m.Format == FormatFiles && (c.Files == nil || c.Source != nil), m.Format != FormatFiles && (c.Source == nil || c.Files != nil):
		return fmt.Errorf("%w: format %q needs a source of its own kind", ErrConfig, m.Format)
	case c.BatchBytes < 1 || c.BatchBytes > MaxBatchBytes || c.SegmentBytes < c.BatchBytes || c.SegmentBytes > MaxSegmentBytes:
		return fmt.Errorf("%w: batches of %d bytes in segments of %d, at most %d in %d", ErrConfig, c.BatchBytes, c.SegmentBytes, int64(MaxBatchBytes), int64(MaxSegmentBytes))
	}
	if len(c.Erased) > 0 && c.Previous == nil {
		return fmt.Errorf("%w: only what an earlier version has can be erased", ErrConfig)
	}
	m.Owner = c.Signer.Public()
	if err := c.Key.usable(); err != nil {
		return err
	}
	if err := c.Contributors.validate(m); err != nil {
		return err
	}
	if m.Terms.Consent && c.Contributors == nil && !c.Erase {
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
	sealer  sealer
	drawn   [saltSize]byte
	seg     *segmentWriter
	segRaw  int64 // of the stream in seg
	raw     int64 // of the stream in all segments
	index   indexBuilder
	flushed *segmentWriter // ended; the store may still be flushing it
	sum     hash.Hash      // keyed, of the plaintext stream
	unit    *unit          // whose records are being packed; nil: nobody's
	columns []byte
	done    []envelope.Digest // finished blobs
	prog    Progress
	kept    int64  // segments of earlier versions
	prior   []byte // their CSV header
	resumes *resumption
	same    duplicateCounter
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
	p.tree.sink, p.sealer.onLeaf, p.index.change = p.hash, p.tree.add, cfg.testOnlyIndex
	p.same.files = cfg.Manifest.Format == FormatFiles || cfg.Manifest.Format == FormatSamples
	if cfg.Journal != nil {
		p.resumes = &resumption{j: cfg.Journal}
	}
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
	if err := p.resume(); err != nil {
		return nil, err
	}
	if !p.cfg.Erase {
		if err := p.add(); err != nil {
			return nil, err
		}
	}
	p.m.RawBytes = padme(p.raw)
	if err := p.endTree(); err != nil {
		return nil, err
	}
	return p.sign()
}

// add seals the source, and the index of what became of it.
func (p *packer) add() error {
	if err := p.scan(); err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.endSegment(); err != nil {
		return err
	}
	if err := p.collect(p.flushed); err != nil {
		return err
	}
	p.flushed = nil
	if p.prog.RawBytes == 0 {
		return ErrEmpty
	}
	return p.endIndex()
}

// begin settles identity and version, and takes over what an earlier version sealed.
func (p *packer) begin() error {
	p.m.Version, p.m.Previous, p.m.Segments, p.m.Indexes, p.m.Tree = 1, nil, nil, nil, Tree{}
	p.m.Records, p.m.RawBytes, p.m.Units, p.m.Tombstones = 0, 0, nil, nil
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
	case FormatSamples:
		return scanSamples(contextReader{p.ctx, p.cfg.Source}, p.take)
	default:
		return scanFiles(p.cfg.Files, ".", p.take)
	}
}

// take adds a piece of the stream to the batch at hand. A batch ends where the next record would not fit; a record
// larger than a batch is cut.
func (p *packer) take(piece []byte, starts bool) error {
	p.same.take(piece, starts)
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
	if p.seg != nil && p.segRaw+int64(len(raw)) > p.cfg.SegmentBytes {
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
	packed, err := p.encode(raw)
	if err == nil {
		err = p.index.add(packed)
	}
	if err != nil {
		return err
	}
	if p.cfg.testOnlyDefect != nil {
		packed = p.cfg.testOnlyDefect(p.seg.seg.Index, packed)
	}
	if _, err := p.seg.Write(packed); err != nil {
		return err
	}
	s := &p.seg.seg
	s.Batches, s.Records = s.Batches+1, s.Records+int64(p.records)
	p.segRaw, p.raw = p.segRaw+int64(len(raw)), p.raw+int64(len(raw))
	p.prog.Records, p.prog.RawBytes, p.prog.Leaves = p.prog.Records+int64(p.records), p.prog.RawBytes+int64(len(raw)), p.tree.size
	p.prog.Replayed = p.seg.again != nil
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
	seg, key := Segment{Version: p.m.Version, Index: p.prog.Segments}, p.cfg.Key
	if p.unit != nil {
		key = p.unit.key
	}
	p.segRaw = 0
	if p.resumes != nil {
		w, err := p.resumes.segment(p, key, seg)
		p.seg = w
		return err
	}
	salt, err := p.salt()
	if err != nil {
		return err
	}
	w, err := newSegmentWriter(p.ctx, p.cfg.Store, &p.sealer, key, salt, p.m.Dataset, seg)
	if err != nil {
		return err
	}
	p.seg = w
	return nil
}

// salt draws one. It is valid until the next call.
func (p *packer) salt() ([]byte, error) {
	if _, err := io.ReadFull(p.cfg.Rand, p.drawn[:]); err != nil {
		return nil, fmt.Errorf("draw salt: %w", err)
	}
	return p.drawn[:], nil
}

// endSegment ends the segment at hand and collects the one before, which had all this time to reach the disk.
func (p *packer) endSegment() error {
	if p.seg == nil {
		return nil
	}
	p.seg.mark = envelope.Digest(p.sum.Sum(nil))
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
	if err := p.resumes.note(p.cfg.Key, w); err != nil {
		return err
	}
	p.m.Segments = append(p.m.Segments, seg)
	p.m.Records += seg.Records
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
	if p.m.Records == 0 {
		return ErrEmpty
	}
	return nil
}

// endIndex seals the index of the segments that were added.
func (p *packer) endIndex() error {
	salt := func(Key, []byte, []byte) ([]byte, error) { return p.salt() }
	if p.resumes != nil {
		salt = p.resumes.salt
	}
	x, err := p.index.seal(p.ctx, p.cfg.Store, p.cfg.Key, salt, p.m.Dataset, p.m.Version)
	if err != nil {
		return err
	}
	p.done = append(p.done, x.Blob)
	p.m.Indexes = append(p.m.Indexes, x)
	return nil
}

func (p *packer) sign() (*Packed, error) {
	p.m.Metadata.Duplicates = p.same.result()
	columns, err := p.published()
	if err != nil {
		return nil, err
	}
	if err := p.m.describe(columns, p.sum.Sum(nil), p.cfg.Now()); err != nil {
		return nil, err
	}
	if p.cfg.Erase { // the columns are those that they were
		p.m.Metadata.RecordSet = p.cfg.Previous.Predicate.Metadata.RecordSet
	}
	if err := p.m.Validate(); err != nil {
		return nil, err
	}
	if !p.cfg.Erase { // whose terms were signed before; erasing is always possible
		if err := p.m.checkDelta(); err != nil {
			return nil, err
		}
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

// undo makes the store let go of unfinished blobs and removes finished ones that no journal lists. A blob without a
// manifest does no harm, so what cannot be removed is left.
func (p *packer) undo(cause error) {
	if p.seg != nil {
		p.seg.Abort(cause)
	}
	if w := p.flushed; w != nil {
		if _, err := w.Wait(); err == nil {
			p.done = append(p.done, w.seg.Blob)
			p.resumes.note(p.cfg.Key, w) //nolint:errcheck // then it is sealed again
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
	used := p.inUse()
	ctx := context.WithoutCancel(p.ctx)
	for _, d := range p.done {
		if !used[d] {
			_ = r.Remove(ctx, d) //nolint:errcheck // see above
		}
	}
}

func (p *packer) wipe() {
	clear(p.batch[:cap(p.batch)])
	p.enc.wipe()
	p.resumes.wipe()
	p.index.wipe()
}
