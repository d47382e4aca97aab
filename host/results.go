// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// results is the directory of age files, each in the order in which its parts come: payload, header, and the header's
// length in four bytes. So the end of a run, which is paid for by then, needs no more of the disk than the header. A file
// gets its final name only when its run is recorded.
type results struct{ dir string }

const trailerBytes = 4

func (r results) path(job envelope.Digest) string {
	return filepath.Join(r.dir, job.Hex()+resultSuffix)
}

func (r results) attempt(l *lease, suffix string) string {
	return filepath.Join(r.dir, l.job.Hex()+"."+strconv.FormatInt(l.epoch, 10)+suffix)
}

// room refuses n bytes more of a payload where they would leave less than the ends of runs may need.
func (r results) room(n int) error {
	left, err := free(r.dir)
	if err == nil && int64(n) > left-diskReserve {
		err = fmt.Errorf("%w: %d bytes are free and %d stay reserved", ErrFull, left, int64(diskReserve))
	}
	return err
}

// payload opens the file that an attempt's payload is appended to.
func (r results) payload(l *lease) (*os.File, error) {
	return os.OpenFile(r.attempt(l, partSuffix), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// seal adds the header to an attempt's payload of n bytes, flushed, if both are the age file with the digest want, and
// returns its length. After an error it may be called again.
func (r results) seal(l *lease, header []byte, payload *os.File, n int64, want envelope.Digest) (int64, error) {
	if len(header) > maxHeader {
		return 0, fmt.Errorf("%w: header of %d bytes, at most %d", ErrTooLarge, len(header), maxHeader)
	}
	h := sha256.New()
	h.Write(header)
	if _, err := io.Copy(h, io.NewSectionReader(payload, 0, n)); err != nil {
		return 0, err
	}
	if envelope.Digest(h.Sum(nil)) != want {
		return 0, fmt.Errorf("%w: header and payload are not the file that the usage statement names", ErrDigest)
	}
	end := binary.BigEndian.AppendUint32(append([]byte{}, header...), uint32(len(header)))
	if _, err := payload.WriteAt(end, n); err != nil {
		return 0, err
	}
	if err := errors.Join(payload.Truncate(n+int64(len(end))), payload.Sync()); err != nil {
		return 0, err
	}
	err := os.Rename(r.attempt(l, partSuffix), r.attempt(l, sealedSuffix))
	if errors.Is(err, fs.ErrNotExist) { // sealed before, and not recorded
		_, err = os.Stat(r.attempt(l, sealedSuffix))
	}
	return n + int64(len(header)), errors.Join(err, syncDir(r.dir))
}

// publish gives a recorded attempt's file its final name. It may be called again after a crash.
func (r results) publish(l *lease) error {
	err := os.Rename(r.attempt(l, sealedSuffix), r.path(l.job))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(r.path(l.job))
		return err
	}
	return errors.Join(err, syncDir(r.dir))
}

// result is a job's age file, header first.
type result struct {
	io.Reader
	io.Closer
}

func (r results) open(job envelope.Digest) (*result, error) {
	f, err := os.Open(r.path(job))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the result file of job %s", ErrUnknown, job)
	}
	if err != nil {
		return nil, err
	}
	header, payload, err := split(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("result of job %s: %w", job, err)
	}
	return &result{io.MultiReader(header, payload), f}, nil
}

func split(f *os.File) (header, payload io.Reader, err error) {
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	var b [trailerBytes]byte
	end := st.Size() - trailerBytes
	if end < 0 {
		return nil, nil, ErrSize
	}
	if _, err := f.ReadAt(b[:], end); err != nil {
		return nil, nil, err
	}
	n := int64(binary.BigEndian.Uint32(b[:]))
	if n > maxHeader || n > end {
		return nil, nil, ErrSize
	}
	return io.NewSectionReader(f, end-n, n), io.NewSectionReader(f, 0, end-n), nil
}

// discard removes an attempt's payload and, unless its run is recorded, the sealed file.
func (r results) discard(l *lease, sealed bool) error {
	suffixes := []string{partSuffix}
	if sealed {
		suffixes = append(suffixes, sealedSuffix)
	}
	var errs []error
	for _, s := range suffixes {
		if err := os.Remove(r.attempt(l, s)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
