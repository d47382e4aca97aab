// SPDX-License-Identifier: Apache-2.0

package keyholder_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/keyholdertest"
)

// piped serves a file keyholder through two pipes.
func piped(t *testing.T) *keyholder.Pipe {
	t.Helper()
	k, id := paths(t)
	f, err := keyholder.Create(k, id)
	if err != nil {
		t.Fatal(err)
	}
	return served(t, f)
}

func served(t *testing.T, k keyholder.Keyholder) *keyholder.Pipe {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- keyholder.Serve(context.Background(), k, inR, outW)
		outW.Close() //nolint:errcheck // it has no error to give
	}()
	p := keyholder.NewPipe(inW, outR)
	t.Cleanup(func() {
		p.Close() //nolint:errcheck // it has no error to give
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return p
}

func TestPipe(t *testing.T) {
	keyholdertest.Run(t, func(t *testing.T) keyholder.Keyholder { return piped(t) })
}

// TestPipeServesNothingElse: garbage and unknown operations are answered with an error and do not end the service.
func TestPipeServesNothingElse(t *testing.T) {
	k, id := paths(t)
	f, err := keyholder.Create(k, id)
	if err != nil {
		t.Fatal(err)
	}
	in := "garbage\n{\"op\":\"export\"}\n{}\n\n{\"op\":\"unwrap\"}\n{\"op\":\"versions\"}\n"
	var out strings.Builder
	if err := keyholder.Serve(t.Context(), f, strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 {
		t.Fatalf("%d answers: %q", len(lines), lines)
	}
	for _, l := range lines[:5] {
		if !strings.Contains(l, `"code":"input"`) {
			t.Errorf("answer %s", l)
		}
	}
	if !strings.Contains(lines[5], `"latest":1`) {
		t.Errorf("versions: %s", lines[5])
	}
}

// plain hides a keyholder's further abilities.
type plain struct{ keyholder.Keyholder }

func TestPipeWithoutAbilities(t *testing.T) {
	k, id := paths(t)
	f, err := keyholder.Create(k, id)
	if err != nil {
		t.Fatal(err)
	}
	p := served(t, plain{f})
	if err := p.Rotate(t.Context()); !errors.Is(err, keyholder.ErrInput) {
		t.Errorf("Rotate: %v", err)
	}
	if _, err := p.Wrap(t.Context(), []byte("c"), []byte("key")); err != nil {
		t.Errorf("Wrap: %v", err)
	}
}

// TestPipeProcessDies: a process that ends, or that never answers, makes the keyholder unavailable.
func TestPipeProcessDies(t *testing.T) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	p := keyholder.NewPipe(inW, outR)
	go io.Copy(io.Discard, inR) //nolint:errcheck // until it is closed
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Wrap(ctx, []byte("c"), []byte("key")); !errors.Is(err, keyholder.ErrUnavailable) {
		t.Errorf("no answer: %v", err)
	}
	if _, err := p.Wrap(t.Context(), []byte("c"), []byte("key")); !errors.Is(err, keyholder.ErrUnavailable) {
		t.Errorf("after a call that was given up: %v", err)
	}
	outW.Close() //nolint:errcheck // it has no error to give

	inR, inW = io.Pipe()
	inR.Close() //nolint:errcheck // it has no error to give
	outR, outW = io.Pipe()
	outW.Close() //nolint:errcheck // it has no error to give
	if _, err := keyholder.NewPipe(inW, outR).Wrap(t.Context(), []byte("c"), []byte("key")); !errors.Is(err, keyholder.ErrUnavailable) {
		t.Errorf("a process that ended: %v", err)
	}
}

func TestKind(t *testing.T) {
	k, id := paths(t)
	f, err := keyholder.Create(k, id)
	if err != nil {
		t.Fatal(err)
	}
	w, err := f.Wrap(t.Context(), []byte("c"), []byte("key"))
	if err != nil {
		t.Fatal(err)
	}
	for wrapped, want := range map[string]string{string(w): "file", "glovebox.dev/key-wrap-vault/v1\nx": "vault", "x": "", "x\n": ""} {
		if got := keyholder.Kind([]byte(wrapped)); got != want {
			t.Errorf("kind %q, want %q", got, want)
		}
	}
}
