// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/s3store"
	"github.com/glovebox-dev/glovebox/internal/source"
)

// TestInterruptedBeforeASegment: a pack that has sealed nothing yet begins anew, and says so.
func TestInterruptedBeforeASegment(t *testing.T) {
	base := t.TempDir()
	dir, csv := filepath.Join(base, "alice"), filepath.Join(base, "notes.csv")
	mustRun(t, "creator", "init", "--dir", dir)
	if err := os.WriteFile(csv, []byte("a,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := config.Layout{Dir: dir}.Packing("notes")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	j, err := dataset.BeginJournal(path, dataset.ID{1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, words, err := runVerb(t, "creator", "pack", csv, "--dir", dir)
	if err != nil || !strings.Contains(words, "interrupted before it had sealed a segment; this one begins anew") {
		t.Errorf("%v: %s", err, words)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a journal is left: %v", err)
	}
}

// TestRefused: going on is advised only where it can succeed.
func TestRefused(t *testing.T) {
	for _, err := range []error{source.ErrCorrupt, source.ErrLimit, source.ErrName, source.ErrValue, dataset.ErrRecordSize, dataset.ErrTooLarge} {
		if !refused(fmt.Errorf("pack: %w", err)) {
			t.Errorf("%v: taken for an interruption", err)
		}
	}
	for _, err := range []error{
		context.Canceled, fmt.Errorf("%w: %w", context.Canceled, source.ErrCorrupt), dataset.ErrFull, s3store.ErrUnavailable, s3store.ErrCredentials,
		os.ErrPermission, dataset.ErrRagged, dataset.ErrJSONLine,
	} {
		if refused(fmt.Errorf("pack: %w", err)) {
			t.Errorf("%v: taken for a source that cannot be packed", err)
		}
	}
}

// TestTwoPacksBeginAtOnce: whoever comes second, after both saw no journal, is told to wait, and leaves the first one's key alone.
func TestTwoPacksBeginAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "alice")
	mustRun(t, "creator", "init", "--dir", dir)
	o, err := openOwner(dir, config.Creator)
	if err != nil {
		t.Fatal(err)
	}
	kh, closeIt, err := o.keyholder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt()
	path := o.layout.Packing("notes")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	begin := func(id dataset.ID) (*packing, error) {
		p := &packing{name: "notes", path: path, begun: time.Now()}
		c := &dataset.PackConfig{Key: dataset.NewKey()}
		c.Manifest.Dataset = id
		return p, p.beginJournal(t.Context(), o, kh, c, true)
	}
	first, err := begin(dataset.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	defer first.journal.Close()
	second, err := begin(dataset.ID{2})
	if ExitCode(err) != int(KindTryAgain) || !strings.Contains(classify(err).Hint, "wait until it ends") || second.journal != nil {
		t.Errorf("the second: %v", err)
	}
	if _, err := first.key(t.Context(), o, kh); err != nil {
		t.Errorf("the first cannot go on: %v", err)
	}
	if _, err := o.PackKey("notes", dataset.ID{2}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the second leaves a key: %v", err)
	}
}

// TestInterruptedPackSaysSo: in the words for people, with what to do, and not as a failure.
func TestInterruptedPackSaysSo(t *testing.T) {
	err := hinted(fmt.Errorf("pack %q: %w", "notes", context.Canceled), "run it again with --resume")
	if e := classify(err); e.Error() != "interrupted" || e.Hint != "run it again with --resume" || e.Kind != KindTryAgain || !errors.Is(err, context.Canceled) {
		t.Errorf("%d: %v (%s)", e.Kind, e, e.Hint)
	}
}
