// SPDX-License-Identifier: Apache-2.0

package door_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// scripted answers from fields and remembers what it was told.
type scripted struct {
	blob     []byte
	assigned *door.Assignment
	output   []byte
	result   *door.Result
	abandon  *door.Abandon
	probed   *door.Probed
	stall    chan struct{}
}

func (s *scripted) Next(_ context.Context, probes bool) (*door.Assignment, error) {
	if s.assigned != nil && s.assigned.Probe && !probes {
		return nil, nil
	}
	return s.assigned, nil
}

func (s *scripted) Probed(_ context.Context, _ string, p door.Probed) error {
	s.probed = &p
	return nil
}

func (s *scripted) Manifest(_ context.Context, d envelope.Digest) ([]byte, error) {
	if d != envelope.Sum(s.blob) {
		return nil, errors.New("no such manifest")
	}
	return s.blob, nil
}

func (s *scripted) ReadAt(_ context.Context, _ envelope.Digest, p []byte, off int64) (int, error) {
	return bytes.NewReader(s.blob).ReadAt(p, off)
}

func (s *scripted) Relay(_ context.Context, address string, msg []byte, _ int) ([]byte, error) {
	if s.stall != nil {
		<-s.stall
	}
	if address == "lost" {
		return nil, errors.New("no broker there")
	}
	return append([]byte(address+" "), msg...), nil
}

func (s *scripted) Progress(context.Context, string, door.Progress) (bool, error) { return true, nil }

func (s *scripted) Output(_ context.Context, _ string, p []byte) error {
	s.output = append(s.output, p...)
	return nil
}

func (s *scripted) Finish(_ context.Context, _ string, r door.Result) error {
	s.result = &r
	return nil
}

func (s *scripted) Abandon(_ context.Context, _ string, a door.Abandon) error {
	s.abandon = &a
	return nil
}

func open(t *testing.T, h door.Handler) *door.Client {
	t.Helper()
	qr, qw := io.Pipe()
	ar, aw := io.Pipe()
	go func() { _ = door.Serve(t.Context(), qr, aw, h) }()
	t.Cleanup(func() { qw.Close(); aw.Close() })
	return door.NewClient(ar, qw)
}

func TestQuestions(t *testing.T) {
	h := &scripted{blob: bytes.Repeat([]byte("blob"), 700_000), assigned: &door.Assignment{Token: "t", Job: []byte("job")}}
	c, ctx := open(t, h), t.Context()

	if a, err := c.Next(ctx); err != nil || a.Token != "t" || string(a.Job) != "job" {
		t.Fatalf("Next: %v %v", a, err)
	}
	p := make([]byte, len(h.blob)-3)
	if n, err := c.ReadAt(ctx, envelope.Sum(nil), p, 3); err != nil || n != len(p) || !bytes.Equal(p, h.blob[3:]) {
		t.Fatalf("ReadAt over several frames: %d %v", n, err)
	}
	if n, err := c.ReadAt(ctx, envelope.Sum(nil), make([]byte, 10), int64(len(h.blob)-4)); n != 4 || !errors.Is(err, io.EOF) {
		t.Fatalf("ReadAt past the end: %d %v", n, err)
	}
	if m, err := c.Manifest(ctx, envelope.Sum(h.blob)); err != nil || !bytes.Equal(m, h.blob) {
		t.Fatalf("Manifest: %v", err)
	}
	if _, err := c.Manifest(ctx, envelope.Sum([]byte("x"))); !errors.Is(err, door.ErrRefused) {
		t.Fatalf("unknown manifest: %v", err)
	}
	if r, err := c.Relay(ctx, "http://b", []byte("hi")); err != nil || string(r) != "http://b hi" {
		t.Fatalf("Relay: %q %v", r, err)
	}
	all, err := c.RelayAll(ctx, []door.Post{{Address: "http://b", Message: []byte("hi")}, {Address: "lost", Message: []byte("x")}, {Address: "c", Message: []byte("ho")}})
	if want := [][]byte{[]byte("http://b hi"), {}, []byte("c ho")}; err != nil || !cmp.Equal(all, want) {
		t.Fatalf("RelayAll: %q %v", all, err)
	}
	if cancel, err := c.Progress(ctx, "t", door.Progress{State: door.StateRunning}); err != nil || !cancel {
		t.Fatalf("Progress: %v %v", cancel, err)
	}
	if err := c.Output(ctx, "t", h.blob); err != nil || !bytes.Equal(h.output, h.blob) {
		t.Fatalf("Output: %v", err)
	}
	want := door.Result{Outcome: "completed", Usage: []byte("u"), Grants: [][]byte{{1}, {2}}, Header: []byte("h")}
	if err := c.Finish(ctx, "t", want); err != nil || !cmp.Equal(*h.result, want) {
		t.Fatalf("Finish: %v %s", err, cmp.Diff(*h.result, want))
	}
	if err := c.Abandon(ctx, "t", door.Abandon{Code: "denied", Retry: true}); err != nil || !h.abandon.Retry {
		t.Fatalf("Abandon: %v", err)
	}
}

// TestProbes: only an enclave that says so is given probes.
func TestProbes(t *testing.T) {
	h := &scripted{assigned: &door.Assignment{Token: "p", Job: []byte("probe"), Probe: true}}
	c := open(t, h)
	if a, err := c.Next(t.Context()); err != nil || a != nil {
		t.Fatalf("an enclave that knows of no probes: %v %v", a, err)
	}
	c.AnswerProbes()
	if a, err := c.Next(t.Context()); err != nil || !cmp.Equal(a, h.assigned) {
		t.Fatalf("Next: %v %v", a, err)
	}
	want := door.Probed{Evidence: []byte("e"), Message: "m"}
	if err := c.Probed(t.Context(), "p", want); err != nil || !cmp.Equal(*h.probed, want) {
		t.Fatalf("Probed: %v %v", h.probed, err)
	}
}

// A late answer must never be taken for the answer to the next question.
func TestHostStallsThenAnswers(t *testing.T) {
	h := &scripted{stall: make(chan struct{})}
	c := open(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Relay(ctx, "a", nil); !errors.Is(err, door.ErrBroken) {
		t.Fatalf("stalled: %v", err)
	}
	close(h.stall)
	if _, err := c.Next(t.Context()); !errors.Is(err, door.ErrBroken) {
		t.Fatalf("after a stall the door must stay broken: %v", err)
	}
}

func TestHostSendsGarbage(t *testing.T) {
	for name, raw := range map[string][]byte{
		"ends":            {},
		"huge header":     {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"huge payload":    {0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, '{', '}'},
		"not JSON":        {0, 0, 0, 2, 0, 0, 0, 0, 'h', 'i'},
		"missing members": {0, 0, 0, 2, 0, 0, 0, 0, '{', '}'},
	} {
		c := door.NewClient(bytes.NewReader(raw), io.Discard)
		if _, err := c.Next(t.Context()); !errors.Is(err, door.ErrBroken) && !errors.Is(err, door.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzServe(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 0, '{', '}'})
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 1, 'x', 'y'})
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := door.Serve(t.Context(), bytes.NewReader(b), io.Discard, &scripted{}); err == nil && len(b) > 0 && len(b) < 8 {
			t.Fatal("a torn frame was accepted")
		}
	})
}
