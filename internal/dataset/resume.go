// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// saltLabel opens what the key of a journalled pack's salts is derived with.
const saltLabel = "glovebox.dev/pack-salt/v1"

// sealLabel opens what the key of a journal's seals is derived with.
const sealLabel = "glovebox.dev/pack-journal-seal/v1"

// resumeReads is how many leaves of a kept segment are read at once.
const resumeReads = 16

// resumption is what a pack with a journal does beyond packing. Without a journal it is nil, and salts are random.
//
// With one, the salt of a message is a keyed hash of its whole plaintext: the same text gives the same blob, so that a
// pack which was interrupted ends as one that was not; and another text, should the source have changed behind what the
// journal covers, gives another salt. One key and salt never seal two texts, which is what AES-GCM must not do.
type resumption struct {
	j      *Journal
	replay []keptSegment // still to be compared with the source
	held   bytes.Buffer  // plaintext of the segment at hand
}

// dependsOn digests what must be the same for the pack to go on. The broker may be another, or have another key, since then:
// nothing that is sealed hangs on it, and the manifest names the one there is at the end.
func (c *PackConfig) dependsOn(j *Journal) (map[string]envelope.Digest, error) {
	m := c.Manifest
	m.Metadata.Creator.Identifier = m.Owner
	key, err := ingestionHash(c.Key)
	if err != nil {
		return nil, err
	}
	var previous envelope.Digest
	if c.Previous != nil {
		previous = c.Previous.ID
	}
	var by string
	var consents any
	if c.Contributors != nil {
		by, consents = c.Contributors.By, c.Contributors.Consents
	}
	out := map[string]envelope.Digest{"key": envelope.Digest(key.Sum(nil))}
	for name, v := range map[string]any{
		"terms": m.Terms, "card": m.Metadata, "name": m.Name, "format": m.Format, "previous version": previous,
		"owner":             []any{m.Kind, m.Owner, m.Credential, m.Test},
		"sizes":             []int64{c.SegmentBytes, c.BatchBytes},
		"published columns": []any{c.PublishColumns, c.Columns},
		"contributors":      []any{c.Contributors != nil, by, consents},
		"erased":            c.Erased,
	} {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		out[name] = envelope.Sum(b)
	}
	return out, nil
}

// resume takes over what the journal lists and the store still has: its leaves go into the tree at once. The source is
// compared with it later, as it is read.
func (p *packer) resume() error {
	r := p.resumes
	if r == nil {
		return nil
	}
	config, err := p.cfg.dependsOn(r.j)
	if err != nil {
		return err
	}
	if err := r.j.begin(config); err != nil {
		return err
	}
	listed := len(r.j.kept)
	if listed == 0 {
		return nil
	}
	for i := 0; i < len(r.j.kept); i++ {
		err := r.sealed(p.cfg.Key, &r.j.kept[i])
		if err == nil {
			err = p.reread(&r.j.kept[i].Segment)
		}
		if errors.Is(err, ErrNoBlob) || errors.Is(err, ErrIntegrity) {
			err = r.j.rewind(i) // it and what follows is sealed again
		}
		if err != nil {
			return err
		}
	}
	r.replay = append(r.replay, r.j.kept...)
	if p.cfg.Resumed != nil {
		p.cfg.Resumed(len(r.j.kept), listed-len(r.j.kept))
	}
	return nil
}

// reread hashes a kept segment's leaves out of its blob, and adds them to the tree if the blob is what it was.
func (p *packer) reread(g *Segment) error {
	if n, err := p.cfg.Store.Size(p.ctx, g.Blob); err != nil {
		return err
	} else if n != g.Bytes {
		return fmt.Errorf("%w: %d bytes, want %d", ErrBlob, n, g.Bytes)
	}
	whole := sha256.New()
	leaves := make([]envelope.Digest, 0, g.Leaves)
	buf := make([]byte, headerSize+resumeReads*leafSize)
	for first := int64(0); first < g.Leaves; first += resumeReads {
		off, _ := leafSpan(g.Bytes, first)
		last, n := leafSpan(g.Bytes, min(first+resumeReads, g.Leaves)-1)
		part := buf[:last+int64(n)-off]
		if err := readFull(p.ctx, p.cfg.Store, g.Blob, part, off); err != nil {
			return err
		}
		whole.Write(part)
		for i := first; i < min(first+resumeReads, g.Leaves); i++ {
			at, n := leafSpan(g.Bytes, i)
			leaves = append(leaves, leafHash(part[at-off:at-off+int64(n)]))
		}
	}
	if envelope.Digest(whole.Sum(nil)) != g.Blob {
		return ErrBlob
	}
	for _, d := range leaves {
		if err := p.tree.add(d); err != nil {
			return err
		}
	}
	return nil
}

// segment begins a segment: one that the store has already, or one whose plaintext is held until it ends.
func (r *resumption) segment(p *packer, key Key, seg Segment) (*segmentWriter, error) {
	w := &segmentWriter{seg: seg}
	if len(r.replay) > 0 {
		w.again, r.replay = &r.replay[0], r.replay[1:]
		return w, nil
	}
	r.held.Reset()
	w.held = &r.held
	w.begin = func(plain []byte) error {
		context := segmentContext(p.m.Dataset, seg.Version, seg.Index)
		salt, err := r.salt(key, context, plain)
		if err != nil {
			return err
		}
		return w.start(p.ctx, p.cfg.Store, &p.sealer, key, salt, context)
	}
	return w, nil
}

// salt is a keyed hash of a message's context and plaintext. Who has no key of the message cannot try guesses at it.
func (r *resumption) salt(k Key, context, plain []byte) ([]byte, error) {
	sub, err := hkdf.Expand(sha512.New, k.secret[:], saltLabel+string(r.j.head.Seed), sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive salt key: %w", err)
	}
	defer clear(sub)
	h := hmac.New(sha256.New, sub)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(context))))
	h.Write(context)
	h.Write(plain)
	return h.Sum(nil)[:saltSize], nil
}

// encode is the batch at hand as it is sealed; of one that the store has, only the header.
func (p *packer) encode(raw []byte) ([]byte, error) {
	w := p.seg
	if w.again == nil {
		packed := p.enc.encode(raw, p.records)
		if p.resumes != nil {
			w.heads = append(w.heads, packed[:batchHeader]...)
		}
		return packed, nil
	}
	at := w.seg.Batches * batchHeader
	if at >= int64(len(w.again.Headers)) {
		return nil, w.again.differs()
	}
	head := w.again.Headers[at : at+batchHeader]
	if h, err := parseBatchHeader(head); err != nil || h.raw != len(raw) || h.records != p.records {
		return nil, w.again.differs()
	}
	return head, nil
}

// same compares what the source gave with what it gave when the segment was sealed.
func (k *keptSegment) same(got *Segment, checksum envelope.Digest) error {
	want := &k.Segment
	if got.Version != want.Version || got.Index != want.Index || got.Batches != want.Batches || got.Records != want.Records || checksum != k.Checksum {
		return k.differs()
	}
	return nil
}

func (k *keptSegment) differs() error {
	return fmt.Errorf("%w: the source is another than when it began: it differs in or before segment %d", ErrResume, k.Segment.Index)
}

// note lists a segment that the store has kept.
func (r *resumption) note(key Key, w *segmentWriter) error {
	if r == nil || w.again != nil || w.seg.Index != int64(len(r.j.kept)) { // one is not listed without those before it
		return nil
	}
	k := &keptSegment{Segment: w.seg, Checksum: w.mark, Headers: w.heads}
	var err error
	if k.Seal, err = r.seal(key, k); err != nil {
		return err
	}
	return r.j.write(journalLine{Kept: k})
}

// seal is a checksum of what a journal lists of a segment, and of the journal's head, keyed with the package's data key.
// Whoever can write the journal but has no key cannot have the owner sign a segment that is not hers.
func (r *resumption) seal(key Key, k *keptSegment) (out envelope.Digest, err error) {
	b, err := json.Marshal([]any{r.j.head, k.Segment, k.Checksum, k.Headers})
	if err != nil {
		return out, fmt.Errorf("journal: %w", err)
	}
	sub, err := hkdf.Expand(sha512.New, key.secret[:], sealLabel, sha256.Size)
	if err != nil {
		return out, fmt.Errorf("derive journal key: %w", err)
	}
	defer clear(sub)
	h := hmac.New(sha256.New, sub)
	h.Write(b)
	return envelope.Digest(h.Sum(nil)), nil
}

// sealed checks a listed segment's seal. Errors: [ErrIntegrity].
func (r *resumption) sealed(key Key, k *keptSegment) error {
	want, err := r.seal(key, k)
	if err == nil && !hmac.Equal(want[:], k.Seal[:]) {
		err = fmt.Errorf("%w: the journal's line of segment %d was changed", ErrIntegrity, k.Segment.Index)
	}
	return err
}

// wipe clears what was held.
func (r *resumption) wipe() {
	if r != nil {
		b := r.held.Bytes()
		clear(b[:cap(b)])
	}
}

// journalled takes from the journal what it decides.
func (c *PackConfig) journalled() error {
	if c.Journal == nil {
		return nil
	}
	id := c.Manifest.Dataset
	if c.Previous != nil {
		id = c.Previous.Predicate.Dataset
	}
	if !id.IsZero() && id != c.Journal.Dataset() {
		return fmt.Errorf("%w: the journal is of another dataset", ErrConfig)
	}
	c.Manifest.Dataset, c.Now = c.Journal.Dataset(), c.Journal.Begun
	return nil
}

// inUse are blobs that stay when a pack fails: those that the journal lists, and those of the version before. Two versions
// may share the hashes of a level.
func (p *packer) inUse() map[envelope.Digest]bool {
	used := map[envelope.Digest]bool{}
	if p.resumes != nil {
		for _, d := range p.resumes.j.Blobs() {
			used[d] = true
		}
	}
	if p.cfg.Previous != nil {
		for _, d := range p.cfg.Previous.Predicate.Blobs() {
			used[d] = true
		}
	}
	return used
}
