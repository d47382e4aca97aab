// SPDX-License-Identifier: Apache-2.0

package transforms_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/scratch"
	"github.com/glovebox-dev/glovebox/transforms"
)

// looker only looks, or says so.
type looker struct {
	same
	lies string
}

func (looker) Onlooks() bool { return true }

func (x looker) Transform(r *transforms.Record, t *transforms.Trace) (transforms.Verdict, error) {
	t.Count("NAME", int64(len(r.Name)))
	switch x.lies {
	case "changes":
		r.Fields()[0].Set([]byte("x"))
	case "drops":
		return transforms.Drop, nil
	}
	return transforms.Keep, nil
}

// long is a source of one file that is said to be too long to be held.
type long struct {
	text string
	size int64
	done bool
}

func (s *long) Schema() transforms.Schema { return transforms.Schema{Format: dataset.FormatFiles} }

func (s *long) Next() (transforms.Item, error) {
	if s.done {
		return transforms.Item{}, io.EOF
	}
	s.done = true
	return transforms.Item{Name: "a/big", TooLong: true, Long: strings.NewReader(s.text), Size: s.size}, nil
}

func look(t *testing.T, src transforms.Source, x looker, names []string, sink func(transforms.Item) error) ([]transforms.Report, error) {
	t.Helper()
	var list []dataset.Step
	for _, n := range names {
		list = append(list, native(n))
	}
	p, err := transforms.New(t.Context(), list, src.Schema(), func(s *dataset.Step, in transforms.Schema, env *transforms.Env) (transforms.Step, error) {
		if s.Name == "look" {
			return x, nil
		}
		return steps(s, in, env)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // of a test
	err = p.Run(t.Context(), src, sink)
	return p.Reports(), err
}

// TestReportingScanLeavesNoFileOut: a step that only reports lets a file pass that is too long to be looked at, whole, and says that it
// did; any other leaves it out, and says so too.
func TestReportingScanLeavesNoFileOut(t *testing.T) {
	const text = "much of it"
	tree := transforms.NewTree(scratch.New(t.TempDir(), 0))
	defer tree.Close() //nolint:errcheck // of a test
	reports, err := look(t, &long{text: text, size: int64(len(text))}, looker{}, []string{"look", "look"}, tree.Add)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports {
		if r.RecordsOut != 1 || r.Unread != 1 || len(r.Quarantined) != 0 || r.BytesIn != int64(len(text)) || r.BytesOut != int64(len(text)) || fmt.Sprint(r.Findings) != "[{NAME 5}]" {
			t.Errorf("%+v", r)
		}
	}
	f, err := tree.Open("a/big")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(f); err != nil || string(b) != text {
		t.Errorf("%q, %v", b, err)
	}
	var out bytes.Buffer
	w := transforms.NewWriter(&out, transforms.Schema{Format: dataset.FormatFiles})
	if _, err := look(t, &long{text: text, size: int64(len(text))}, looker{}, []string{"look"}, w.Write); err != nil || !strings.Contains(out.String(), text) {
		t.Errorf("%q, %v", out.String(), err)
	}
	reports, err = look(t, &long{text: text, size: int64(len(text))}, looker{}, []string{"look", "upper"}, nil)
	if err != nil || fmt.Sprint(reports[1].Quarantined) != "[{too-large 1}]" || reports[1].RecordsOut != 0 {
		t.Errorf("%+v, %v", reports, err)
	}
}

// TestLongFileOfAnotherLength: what is sealed of a file is all of it, or nothing is.
func TestLongFileOfAnotherLength(t *testing.T) {
	for _, size := range []int64{3, 5} {
		tree := transforms.NewTree(scratch.New(t.TempDir(), 0))
		if _, err := look(t, &long{text: "four", size: size}, looker{}, []string{"look"}, tree.Add); !errors.Is(err, dataset.ErrFile) {
			t.Errorf("%d: tree: %v", size, err)
		}
		w := transforms.NewWriter(io.Discard, transforms.Schema{Format: dataset.FormatFiles})
		if _, err := look(t, &long{text: "four", size: size}, looker{}, []string{"look"}, w.Write); !errors.Is(err, dataset.ErrFile) {
			t.Errorf("%d: tar: %v", size, err)
		}
		if err := errors.Join(tree.Add(transforms.Item{Name: "n", TooLong: true, Size: 1}), tree.Close()); !errors.Is(err, transforms.ErrRecord) {
			t.Errorf("nothing to read: %v", err)
		}
	}
}

// TestOnlookerThatActs: a step that says that it only looks and does more ends the run.
func TestOnlookerThatActs(t *testing.T) {
	for _, lie := range []string{"changes", "drops"} {
		if _, err := look(t, &long{text: "x", size: 1}, looker{lies: lie}, []string{"look"}, nil); !errors.Is(err, transforms.ErrShape) {
			t.Errorf("%s: %v", lie, err)
		}
	}
}

// TestLongFileOfDirectory: a file beyond the bound is read when it is taken, from the directory itself.
func TestLongFileOfDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big"), []byte("begins"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "big"), transforms.MaxFile+1); err != nil {
		t.Fatal(err)
	}
	src, err := transforms.NewFilesSource(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	tree := transforms.NewTree(scratch.New(t.TempDir(), 0))
	defer tree.Close() //nolint:errcheck // of a test
	if _, err := look(t, src, looker{}, []string{"look"}, tree.Add); err != nil {
		t.Fatal(err)
	}
	f, err := tree.Open("big")
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 6)
	if _, err := io.ReadFull(f, head); err != nil || string(head) != "begins" {
		t.Errorf("%q, %v", head, err)
	}
	if st, err := f.Stat(); err != nil || st.Size() != transforms.MaxFile+1 {
		t.Errorf("%d, %v", st.Size(), err)
	}
}
