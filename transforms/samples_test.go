// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

func samples(t testing.TB, files ...int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for s, n := range files {
		for i := range n {
			name := string(rune('a'+s)) + "." + string(rune('0'+i))
			if err := w.WriteHeader(dataset.SampleHeader(name, 700, i)); err != nil {
				t.Fatal(err)
			}
			w.Write(bytes.Repeat([]byte{byte(s)}, 700)) //nolint:errcheck // a buffer
		}
	}
	w.Flush() //nolint:errcheck // a buffer
	return b.Bytes()
}

// TestSamplesComeWhole: a record is a sample, and all of them in order are the stream again.
func TestSamplesComeWhole(t *testing.T) {
	all := samples(t, 2, 1, 3)
	src, err := NewSource(bytes.NewReader(all), dataset.FormatSamples)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, names, at := NewWriter(&b, src.Schema()), "", int64(-1)
	for {
		it, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || it.At <= at {
			t.Fatalf("at %d after %d: %v", it.At, at, err)
		}
		names, at = names+it.Name+" ", it.At
		if err := w.Write(it); err != nil {
			t.Fatal(err)
		}
	}
	if names != "a.0 b.0 c.0 " || !bytes.Equal(b.Bytes(), all) {
		t.Errorf("samples %s of %d bytes, want those of %d", names, b.Len(), len(all))
	}
}

func TestSamplesHaveNoSteps(t *testing.T) {
	_, err := New(context.Background(), make([]dataset.Step, 1), Schema{Format: dataset.FormatSamples}, nil, nil)
	if !errors.Is(err, ErrConfig) {
		t.Errorf("a step over samples: %v, want %v", err, ErrConfig)
	}
}

func TestBadSamples(t *testing.T) {
	all := samples(t, 2)
	for name, b := range map[string][]byte{"cut": all[:700], "begins in the middle": all[1536:], "no tar": bytes.Repeat([]byte("x"), 512)} {
		src, err := NewSource(bytes.NewReader(b), dataset.FormatSamples)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := src.Next(); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v, want %v", name, err, ErrRecord)
		}
	}
}
