// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// SelfTest is what a worker could and could not do on this machine. The same machine and binary give the same value, and
// its digest is part of the evidence.
type SelfTest struct {
	Isolation string    `json:"isolation"`
	Attempts  []Attempt `json:"attempts"`
}

// Attempt is one thing a worker tried. Result is the kernel's answer in a word; Refused says whether it was held back.
type Attempt struct {
	Try     string `json:"try"`
	Result  string `json:"result"`
	Refused bool   `json:"refused"`
}

// Digest identifies the result.
func (t SelfTest) Digest() (envelope.Digest, error) {
	b, err := envelope.Canonical(t)
	if err != nil {
		return envelope.Digest{}, err
	}
	return envelope.Hash("glovebox.dev/sandbox-self-test/v1", b), nil
}

// SelfTest starts a worker that tries to break out of its jail. An error means that the enclave must not serve: the
// jail could not be built, or an attempt was not refused ([ErrSelfTest] names it).
func (s *Spawner) SelfTest(ctx context.Context) (SelfTest, error) {
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	spec := Spec{Files: []File{{Name: "probe", Size: 1}}, MemoryBytes: pageBytes, OutputBytes: pageBytes, Wall: testTimeout}
	p, err := s.start(ctx, startRequest{MemoryBytes: spec.MemoryBytes, OutputBytes: spec.OutputBytes, CPUSeconds: spec.cpuSeconds()})
	if err != nil {
		return SelfTest{}, err
	}
	defer p.close()
	defer context.AfterFunc(ctx, p.kill)()
	r := &run{process: p, spec: &spec}
	if err := r.sendHeader(modeTest); err != nil {
		return SelfTest{}, fmt.Errorf("%w: %w", ErrSelfTest, err)
	}
	b, err := io.ReadAll(io.LimitReader(p.out, maxTestReport+1))
	if err != nil {
		return SelfTest{}, fmt.Errorf("%w: %w", ErrSelfTest, err)
	}
	t := SelfTest{Isolation: p.isolation}
	if err := envelope.Decode(b, maxTestReport, &t.Attempts); err != nil {
		return SelfTest{}, fmt.Errorf("%w: report: %w", ErrSelfTest, err)
	}
	return t, t.judge()
}

// judge demands that every attempt of this release was made, in order, and refused.
func (t SelfTest) judge() error {
	offered, err := stampedLandlock(t.Isolation)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSelfTest, err)
	}
	var tried []string
	var errs []error
	for i, a := range t.Attempts {
		tried = append(tried, a.Try)
		excused := i < len(layers) && layers[i].landlock > offered && a.Result == notOffered
		if !a.Refused && !excused {
			errs = append(errs, fmt.Errorf("%w: %s: %s", ErrSelfTest, a.Try, a.Result))
		}
	}
	if !slices.Equal(tried, attemptNames()) {
		errs = append(errs, fmt.Errorf("%w: not all attempts were made", ErrSelfTest))
	}
	return errors.Join(errs...)
}

// attemptNames are all attempts of this release, in order.
func attemptNames() []string {
	var all []string
	for _, l := range layers {
		all = append(all, l.name)
	}
	for _, e := range escapes {
		all = append(all, e.name)
	}
	return all
}

// report is what a worker in self-test mode writes to its artefact pipe.
type report []Attempt

func (r report) write(w io.Writer) error {
	b, err := envelope.Canonical([]Attempt(r))
	if err != nil {
		return err
	}
	_, err = io.Copy(w, bytes.NewReader(b))
	return err
}
