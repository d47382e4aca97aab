// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of journals.
var (
	ErrNoJournal = errors.New("dataset: no unfinished pack")
	ErrResume    = errors.New("dataset: the pack cannot go on as it began")
	ErrPacking   = errors.New("dataset: another process is packing this")
)

// Bounds of a journal.
const (
	journalFormat  = "glovebox.dev/pack-journal/v1"
	journalSeed    = 32
	journalSumSize = 8
	maxJournalLine = 32 << 20
)

// Journal is what a [Pack] notes in the creator's directory so that another can go on with it: a text file, mode 0600, of
// one JSON object a line, each line with a checksum that covers all lines before it. It holds no plaintext and no key:
//
//   - the head: a random seed, the dataset's name, and when the pack began;
//   - a digest of each thing that must be the same when the pack goes on: terms, card, format, sizes, key and others;
//   - for every segment that the store has kept: what the manifest and its index will say of it, and a keyed checksum of
//     the source up to its end.
//
// A line is on the disk before the next segment is listed. A line torn by a crash, or changed, ends the journal: what came
// after it is packed again. Against others than crashes each segment's line has a seal under the data key, without which a
// pack does not go on from it. A lock keeps two processes from writing one journal. For one goroutine.
type Journal struct {
	path   string
	f      *os.File
	head   journalHead
	config map[string]envelope.Digest // nil until a pack began
	kept   []keptSegment
	ends   []int64 // of the lines of kept
	start  int64   // end of the line before them
	sum    [sha256.Size]byte
	sums   [][sha256.Size]byte // after each line of kept
	first  [sha256.Size]byte   // before them
}

type journalHead struct {
	Format  string `json:"format"`
	Seed    []byte `json:"seed"`
	Dataset ID     `json:"dataset"`
	Begun   int64  `json:"begun"` // Unix seconds
}

// keptSegment is a segment that the store has.
type keptSegment struct {
	Segment  Segment         `json:"segment"`
	Checksum envelope.Digest `json:"checksum"` // of the source up to its end, keyed; of the contributor's part in a unit
	Headers  []byte          `json:"headers"`  // of its batches
	Seal     envelope.Digest `json:"seal"`     // of all this and the head, keyed
}

// journalLine is one of the three.
type journalLine struct {
	Head   *journalHead               `json:"head,omitempty"`
	Config map[string]envelope.Digest `json:"config,omitempty"`
	Kept   *keptSegment               `json:"kept,omitempty"`
}

// BeginJournal makes a journal for a pack that begins now, in place of one that is there. The caller chooses the dataset's
// name (of the version before, if there is one) and keeps its data key. Errors: [ErrPacking], [ErrFull], and those of files.
func BeginJournal(path string, id ID, now time.Time) (*Journal, error) {
	if id.IsZero() {
		return nil, fmt.Errorf("%w: a journal without a dataset", ErrConfig)
	}
	f, err := lockJournal(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	seed := make([]byte, journalSeed)
	rand.Read(seed) //nolint:errcheck // never fails since Go 1.24
	j := &Journal{path: path, f: f, head: journalHead{journalFormat, seed, id, now.Unix()}}
	err = f.Truncate(0)
	if err == nil {
		err = j.write(journalLine{Head: &j.head})
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", diskError(err)), f.Close())
	}
	return j, nil
}

// OpenJournal opens the journal of a pack that did not end. Errors: [ErrNoJournal] where there is none, or none with a
// head; [ErrPacking] while its pack is running.
func OpenJournal(path string) (*Journal, error) {
	f, err := lockJournal(path, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoJournal, filepath.Base(path))
	}
	if err != nil {
		return nil, err
	}
	j := &Journal{path: path, f: f}
	err = j.read()
	if err == nil && j.head.Seed == nil {
		err = fmt.Errorf("%w: %s does not begin with a head", ErrNoJournal, filepath.Base(path))
	}
	if err == nil {
		err = j.rewind(len(j.kept))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// lockJournal opens the file for this process alone.
func lockJournal(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", diskError(err))
	}
	held := tryLock(f) == nil
	mine, err := f.Stat()
	there, lerr := os.Lstat(path)
	if !held || err != nil || lerr != nil || !os.SameFile(mine, there) { // or its pack ended in between
		return nil, errors.Join(fmt.Errorf("%w: %s is in use", ErrPacking, filepath.Base(path)), f.Close())
	}
	return f, nil
}

// read takes the lines up to the first that is not whole.
func (j *Journal) read() error {
	in := bufio.NewReaderSize(j.f, readBuffer)
	for {
		line, err := journalText(in)
		if err != nil || line == nil {
			return err
		}
		sum, text, ok := bytes.Cut(line, []byte{' '})
		next := chain(j.sum, text)
		if !ok || string(sum) != hex.EncodeToString(next[:journalSumSize]) || !j.accept(text) {
			return nil
		}
		j.sum = next
		end := j.end() + int64(len(line)) + 1
		if len(j.kept) > len(j.ends) {
			j.ends, j.sums = append(j.ends, end), append(j.sums, next)
		} else {
			j.start, j.first = end, next
		}
	}
}

// journalText is the next line without its end; nil where there is no whole one.
func journalText(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, io.EOF) || len(line) > maxJournalLine:
			return nil, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("journal: %w", err)
		}
	}
}

// accept takes a line's object if it is the next that may come.
func (j *Journal) accept(text []byte) bool {
	var l journalLine
	if err := envelope.DecodeStrict(text, maxJournalLine, &l); err != nil {
		return false
	}
	switch {
	case l.Head != nil && l.Config == nil && l.Kept == nil && j.head.Seed == nil:
		h := l.Head
		if h.Format != journalFormat || len(h.Seed) != journalSeed || h.Dataset.IsZero() {
			return false
		}
		j.head = *h
	case l.Config != nil && l.Head == nil && l.Kept == nil && j.head.Seed != nil && j.config == nil:
		j.config = l.Config
	case l.Kept != nil && l.Head == nil && l.Config == nil && j.config != nil && len(j.kept) < MaxSegments:
		k := l.Kept
		leaves, err := segmentLeaves(k.Segment.Bytes)
		if err != nil || leaves != k.Segment.Leaves || k.Segment.Index != int64(len(j.kept)) || k.Segment.Blob.IsZero() || k.Checksum.IsZero() ||
			int64(len(k.Headers)) != k.Segment.Batches*batchHeader || len(k.Headers) == 0 {
			return false
		}
		j.kept = append(j.kept, *k)
	default:
		return false
	}
	return true
}

// chain is the checksum of a line and all before it.
func chain(before [sha256.Size]byte, text []byte) [sha256.Size]byte {
	return sha256.Sum256(append(before[:], text...))
}

// end is where the last line ends.
func (j *Journal) end() int64 {
	if n := len(j.ends); n > 0 {
		return j.ends[n-1]
	}
	return j.start
}

// write adds a line and waits until it is on the disk.
func (j *Journal) write(l journalLine) error {
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	next := chain(j.sum, text)
	line := fmt.Appendf(nil, "%x %s\n", next[:journalSumSize], text)
	at := j.end()
	_, err = j.f.WriteAt(line, at)
	if err = errors.Join(err, j.f.Sync()); err != nil {
		return fmt.Errorf("journal: %w", diskError(err))
	}
	j.sum = next
	if l.Kept != nil {
		j.kept, j.ends, j.sums = append(j.kept, *l.Kept), append(j.ends, at+int64(len(line))), append(j.sums, next)
		return nil
	}
	j.start, j.first = at+int64(len(line)), next
	return nil
}

// rewind forgets all but the first n segments.
func (j *Journal) rewind(n int) error {
	j.kept, j.ends, j.sums = j.kept[:n], j.ends[:n], j.sums[:n]
	if j.sum = j.first; n > 0 {
		j.sum = j.sums[n-1]
	}
	if err := errors.Join(j.f.Truncate(j.end()), j.f.Sync()); err != nil {
		return fmt.Errorf("journal: %w", diskError(err))
	}
	return nil
}

// begin notes what the pack depends on or, when it goes on, refuses what is no longer the same.
func (j *Journal) begin(config map[string]envelope.Digest) error {
	if j.config == nil {
		j.config = config
		return j.write(journalLine{Config: config})
	}
	var other []string
	for name, d := range config {
		if j.config[name] != d {
			other = append(other, name)
		}
	}
	if len(other) == 0 && len(config) == len(j.config) {
		return nil
	}
	slices.Sort(other)
	return fmt.Errorf("%w: not the same as when it began: %v", ErrResume, other)
}

// Begun is when the pack began. Whatever a manifest dates is dated so.
func (j *Journal) Begun() time.Time { return time.Unix(j.head.Begun, 0) }

// Dataset is the dataset's name.
func (j *Journal) Dataset() ID { return j.head.Dataset }

// Kept is how many segments the journal lists.
func (j *Journal) Kept() int { return len(j.kept) }

// Blobs are the segments' blobs.
func (j *Journal) Blobs() []envelope.Digest {
	out := make([]envelope.Digest, len(j.kept))
	for i := range j.kept {
		out[i] = j.kept[i].Segment.Blob
	}
	return out
}

// Close lets go of the journal; the pack can be resumed.
func (j *Journal) Close() error { return j.f.Close() }

// Remove ends the journal: the pack is complete and its package stored, or is given up.
func (j *Journal) Remove() error {
	err := os.Remove(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, syncDir(filepath.Dir(j.path)), j.f.Close())
}
