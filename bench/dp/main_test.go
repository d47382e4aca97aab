// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentKeepsWhatIsNotMeasured: what one section writes leaves the others as they were, and rows of trainings that were not
// asked for stay.
func TestDocumentKeepsWhatIsNotMeasured(t *testing.T) {
	first := trainings[0]
	p, err := first.privacy()
	if err != nil {
		t.Fatal(err)
	}
	row := "| " + first.guest + " | 0.5 | 0.5 | **1 %** | 90 % " + first.key(p) + " 1.0 |\n"
	name := filepath.Join(t.TempDir(), "doc.md")
	if err := os.WriteFile(name, []byte("# Old\n\nhead\n\n## Gradients\n\nslow\n\n## MNIST\n\n| model |\n|---|\n"+row+"\nend\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := options{out: name, earlier: chapters(name)}
	o.earlier["Gradients"] = "fast\n"
	if err := o.write(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{head, "\n## Gradients\n\nfast\n", "\n## Samplers\n\nNot measured.\n", "\n## MNIST\n\n| model |", row} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
	for i, want := range []string{row, ""} {
		if got, err := trainings[i].earlier(chapters(name)[accuracyTitle]); err != nil || got != want {
			t.Errorf("%s: %q, %v", trainings[i].String(), got, err)
		}
	}
}

// TestDenseRecords: lines as long as those of MNIST without a 0.
func TestDenseRecords(t *testing.T) {
	for _, line := range dense(20) {
		f := strings.Split(string(line), ",")
		if len(f) != 785 {
			t.Fatalf("%d columns", len(f))
		}
		for _, v := range f[1:] {
			if v == "0" {
				t.Fatal("a pixel is 0")
			}
		}
	}
}
