// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// TestSignedFilesWithADanglingName: a name that leads nowhere is an error and no empty folder, and hides no other file.
func TestSignedFilesWithADanglingName(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "a.dsse"), []byte("a"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "z.dsse"), []byte("z"), 0o600))
	must(t, os.Symlink("/nowhere/at/all", filepath.Join(dir, "m.dsse")))
	files, err := config.SignedFiles(dir)
	if !errors.Is(err, config.ErrSigned) || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dangling name: %v", err)
	}
	if len(files) != 2 || string(files[0]) != "a" || string(files[1]) != "z" {
		t.Errorf("files beside it: %q", files)
	}
	if _, err := config.SignedFiles(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	link := filepath.Join(dir, "link")
	must(t, os.Symlink("/nowhere/at/all", link))
	if _, err := config.SignedFiles(link); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder's name that leads nowhere: %v", err)
	}
}

// TestSignedFilesWhileOneIsRemoved: a file that is removed while the folder is read is no error, and hides none.
func TestSignedFilesWhileOneIsRemoved(t *testing.T) {
	dir := t.TempDir()
	for i := range 20 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d.dsse", i)), []byte("kept"), 0o600))
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		path := filepath.Join(dir, "zz.dsse")
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.WriteFile(path, []byte("comes and goes"), 0o600) //nolint:errcheck // it may fail: it is in the way only
			_ = os.Remove(path)                                     //nolint:errcheck // likewise
		}
	})
	errs := 0
	for range 300 {
		files, err := config.SignedFiles(dir)
		if len(files) < 20 || errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%d files, %v", len(files), err)
		}
		if err != nil { // it was made anew in between, under the same name
			errs++
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d errors", errs)
	if files, err := config.SignedFiles(dir); err != nil || len(files) != 20 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// TestHandOverIsNeverWrittenOver: neither a name that leads nowhere nor a missing number lets a rotation replace what an
// earlier one wrote.
func TestHandOverIsNeverWrittenOver(t *testing.T) {
	dir, c := create(t, config.Creator)
	for i := range 2 {
		_, err := config.HandOver(dir, grant.Head{}, "rotation", int64(i+1))
		must(t, err)
	}
	folder := c.Layout().HandOversDir()
	second, err := os.ReadFile(filepath.Join(folder, "0002.dsse"))
	must(t, err)
	must(t, os.Symlink("/nowhere", filepath.Join(folder, "x.dsse")))
	if _, err := config.HandOver(dir, grant.Head{}, "rotation", 3); !errors.Is(err, config.ErrSigned) {
		t.Errorf("beside a dangling name: %v", err)
	}
	must(t, os.Remove(filepath.Join(folder, "x.dsse")))
	must(t, os.Remove(filepath.Join(folder, "0001.dsse")))
	if _, err := config.HandOver(dir, grant.Head{}, "rotation", 4); !errors.Is(err, config.ErrExists) {
		t.Errorf("after the first was lost: %v", err)
	}
	after, err := os.ReadFile(filepath.Join(folder, "0002.dsse"))
	if err != nil || !bytes.Equal(after, second) {
		t.Errorf("the second hand-over was written over: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(folder, ".tmp-*")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
