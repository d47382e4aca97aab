// SPDX-License-Identifier: Apache-2.0

package transforms_test

import (
	"errors"
	"io"
	"testing"
	"testing/fstest"

	"github.com/glovebox-dev/glovebox/internal/scratch"
	"github.com/glovebox-dev/glovebox/transforms"
)

// TestTree holds the tree to what the standard library asks of a file system.
func TestTree(t *testing.T) {
	in := fstest.MapFS{"a.txt": {Data: []byte("one")}, "d/e/b.txt": {Data: make([]byte, 300_000)}, "d/c": {}}
	src, err := transforms.NewFilesSource(in)
	if err != nil {
		t.Fatal(err)
	}
	tree := transforms.NewTree(scratch.New(t.TempDir(), 0))
	defer tree.Close() //nolint:errcheck // of a test
	for {
		it, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Add(it); err != nil {
			t.Fatal(err)
		}
	}
	if err := fstest.TestFS(tree, "a.txt", "d/e/b.txt", "d/c"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"a.txt", "d", "a.txt/x", "../x", ""} {
		if err := tree.Add(transforms.Item{Name: name}); !errors.Is(err, transforms.ErrRecord) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
