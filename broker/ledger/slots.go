// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	slotSize  = 4096 // no write to one slot reaches into the other's page
	slotLabel = "glovebox.dev/ledger-slot/v1"
)

// fileAnchor is the head file: two slots of fixed size, written alternately and in place, so that storing costs one
// fdatasync and no change of the file's metadata. A write that is torn spoils one slot; the other holds what was stored
// before it. A slot is the head in canonical JSON, a line with its checksum, and spaces.
type fileAnchor struct {
	path string
	f    *os.File
	next int // slot to write
}

// Load implements [Anchor].
func (a *fileAnchor) Load(context.Context) ([]byte, error) {
	b, err := envelope.ReadSecretFile(a.path, 2*slotSize)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(b) <= maxAnchor && bytes.HasPrefix(b, []byte("{")) { // as release 0.1 wrote it
		_, err := parseHead(b)
		return b, err
	}
	if len(b) != 2*slotSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", ErrCorrupt, a.path, len(b), 2*slotSize)
	}
	newest, at := []byte(nil), -1
	var revision int64
	for i := range 2 {
		h, text := parseSlot(b[i*slotSize : (i+1)*slotSize])
		if h != nil && (newest == nil || h.Revision >= revision) {
			newest, at, revision = text, i, h.Revision
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("%w: neither half of %s can be read", ErrCorrupt, a.path)
	}
	a.next = 1 - at
	return newest, nil
}

// parseSlot returns nil for a slot that is torn or was never written.
func parseSlot(slot []byte) (*head, []byte) {
	text, rest, ok := bytes.Cut(slot, []byte("\n"))
	if !ok || len(text) > maxAnchor {
		return nil, nil
	}
	if !bytes.Equal(rest, padding(text)) {
		return nil, nil
	}
	h, err := parseHead(text)
	if err != nil {
		return nil, nil
	}
	return h, text
}

// padding is what follows the head's line in its slot.
func padding(text []byte) []byte {
	sum := envelope.Hash(slotLabel, text).Hex()
	rest := append([]byte(sum), '\n')
	rest = append(rest, bytes.Repeat([]byte(" "), slotSize-len(text)-len(rest)-2)...)
	return append(rest, '\n')
}

func makeSlot(text []byte) []byte {
	return append(append(bytes.Clone(text), '\n'), padding(text)...)
}

// Store implements [Anchor].
func (a *fileAnchor) Store(ctx context.Context, previous, next []byte) error {
	slot := makeSlot(next)
	if len(slot) != slotSize {
		return fmt.Errorf("%w: head of %d bytes", ErrAnchor, len(next))
	}
	if a.f == nil || !a.inPlace() {
		made, err := a.open(ctx, previous, slot)
		if err != nil || made {
			return err
		}
	}
	if err := a.write(slot, a.next); err != nil {
		return err
	}
	a.next = 1 - a.next
	return nil
}

// errUnsynced means that the file shows what the disk perhaps does not have: it must not be believed.
var errUnsynced = errors.New("it may not be on disk")

// write writes one slot, durably. After an error the file is opened anew, and settled, before anything else is written: a
// sync that failed is not made good by another.
func (a *fileAnchor) write(slot []byte, at int) error {
	_, err := a.f.WriteAt(slot, int64(at)*slotSize)
	if err == nil {
		err = unix.Fdatasync(int(a.f.Fd()))
	}
	if err != nil {
		a.close()
		return fmt.Errorf("%w: %w", errUnsynced, err)
	}
	return nil
}

// settle opens the file for writing in place, if it is there in this form, and makes durable what Load found, by writing
// it again: a broker that was killed before it had synced leaves a slot that can be read, but that a power loss takes
// away. The other slot must not be overwritten before.
func (a *fileAnchor) settle(ctx context.Context) error {
	a.close()
	held, err := a.Load(ctx)
	if err != nil || held == nil {
		return err
	}
	f, err := os.OpenFile(a.path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	if st, err := f.Stat(); err != nil || st.Size() != 2*slotSize {
		return errors.Join(err, f.Close())
	}
	a.f = f
	if err := a.write(makeSlot(held), 1-a.next); err != nil {
		return err
	}
	if err := syncFile(filepath.Dir(a.path)); err != nil {
		a.close()
		return fmt.Errorf("%w: %w", errUnsynced, err)
	}
	return nil
}

// inPlace reports whether the open file is the one that a restart would read.
func (a *fileAnchor) inPlace() bool {
	is, err := a.f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(a.path)
	return err == nil && os.SameFile(is, there)
}

// open opens the file for writing in place. One that is missing, or has the form of release 0.1, is replaced by one with
// slot in it; one that holds something else than previous is left alone.
func (a *fileAnchor) open(ctx context.Context, previous, slot []byte) (made bool, err error) {
	a.close()
	held, err := a.Load(ctx)
	if err != nil {
		return false, err
	}
	if held != nil && !bytes.Equal(held, previous) && !bytes.Equal(makeSlot(held), slot) {
		return false, ErrMoved
	}
	if err := a.settle(ctx); err != nil || a.f != nil {
		return false, err
	}
	a.next = 1
	if err := config.WriteFile(a.path, append(slot, bytes.Repeat([]byte(" "), slotSize)...)); err != nil {
		return false, fmt.Errorf("%w: %w", errUnsynced, err)
	}
	return true, nil
}

func (a *fileAnchor) close() {
	if a.f != nil {
		a.f.Close() //nolint:errcheck // every write was synced
		a.f = nil
	}
}
