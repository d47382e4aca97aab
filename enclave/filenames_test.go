// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/transforms"
)

// TestNameOfOneFileChangesTheOthers: what a step makes of a file's name depends on no other file, or one person's would move every
// shard's answer.
func TestNameOfOneFileChangesTheOthers(t *testing.T) {
	redact := pin(t, dataset.StepRedact, map[string]any{"fields": []string{"*"}, "detect": []string{"EMAIL_ADDRESS"}})
	others := []string{"a1@example.com.txt", "x.txt", "b2@example.com.txt", "x.txt"}
	var seen [][]string
	for _, first := range []string{"plain.txt", "x.txt", "jane.roe@example.com.txt"} {
		seen = append(seen, siftedNames(t, append([]string{first}, others...), redact)[1:])
	}
	for _, names := range seen {
		if !slices.Equal(names, seen[0]) || len(names) != len(others) {
			t.Errorf("%q, and with another file before them %q", names, seen[0])
		}
	}
}

// siftedNames are the names of files after a step.
func siftedNames(t *testing.T, names []string, step dataset.Step) (left []string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, n := range names {
		check(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: n, Size: 2, Mode: 0o644}))
		_, err := w.Write([]byte("hi"))
		check(t, err)
	}
	check(t, w.Close())
	g := &envelope.Verified[grant.Grant]{ID: envelope.Sum([]byte("grant"))}
	g.Predicate.Obligations.Mode = dataset.ModeAggregate
	m := &dataset.Manifest{Format: dataset.FormatFiles}
	m.Terms.Steps = []dataset.ModeSteps{{Mode: dataset.ModeAggregate, Steps: []dataset.Step{step}}}
	p := &pack{m: m, grant: g, keys: dataset.Keys{Package: dataset.NewKey()}}
	check(t, (&attempt{}).sift(t.Context(), p, &b, &records{}, func(it transforms.Item, at int64) error {
		left = append(left, fmt.Sprintf("%d %s", at, it.Name))
		return nil
	}))
	return left
}
