// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
	"github.com/glovebox-dev/glovebox/transforms/redact/evaluate"
)

// finder finds personal data in texts.
type finder interface {
	name() string
	// find gives the findings of each text: of the types, or of all it has.
	find(ctx context.Context, docs []evaluate.Document, types []string) ([][]evaluate.Span, error)
	// speed is megabytes of text a second of one core, looking for the types, or for all.
	speed(ctx context.Context, docs []evaluate.Document, types []string) (float64, error)
}

// ours is Glovebox's built-in step "scan", natively.
type ours struct{}

func (ours) name() string { return "Glovebox" }

func (ours) find(ctx context.Context, docs []evaluate.Document, types []string) ([][]evaluate.Span, error) {
	out := make([][]evaluate.Span, len(docs))
	err := scan(ctx, docs, types, func(f transforms.Finding) {
		out[f.Record] = append(out[f.Record], evaluate.Span{Type: f.Type, Start: f.Start, End: f.End})
	})
	return out, err
}

func scan(ctx context.Context, docs []evaluate.Document, types []string, tell func(transforms.Finding)) error {
	config := map[string]any{"fields": []string{"*"}, "act": "report"}
	if types != nil {
		config["detect"] = types
	}
	step, err := builtin.Pin("scan", config)
	if err != nil {
		return err
	}
	src := &texts{docs: docs}
	p, err := transforms.New(ctx, []dataset.Step{step}, src.Schema(), builtin.New, &transforms.Env{Finding: tell})
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // it holds nothing
	return p.Run(ctx, src, func(transforms.Item) error { return nil })
}

// texts are documents as JSON strings.
type texts struct {
	docs []evaluate.Document
	buf  []byte
}

func (s *texts) Schema() transforms.Schema { return transforms.Schema{Format: dataset.FormatJSONL} }

func (s *texts) Next() (transforms.Item, error) {
	if len(s.docs) == 0 {
		return transforms.Item{}, io.EOF
	}
	s.buf = transforms.AppendString(s.buf[:0], []byte(s.docs[0].Text))
	s.docs = s.docs[1:]
	return transforms.Item{Raw: s.buf}, nil
}

// speed takes the best of several runs, each long enough to measure.
func (ours) speed(ctx context.Context, docs []evaluate.Document, types []string) (float64, error) {
	n := int64(0)
	for i := range docs {
		n += int64(len(docs[i].Text))
	}
	best := 0.0
	for range 4 {
		from, done := cpu(), int64(0)
		for cpu()-from < 150*time.Millisecond {
			if err := scan(ctx, docs, types, nil); err != nil {
				return 0, err
			}
			done += n
		}
		best = max(best, float64(done)/1e6/(cpu()-from).Seconds())
	}
	return best, nil
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// speeds prints how fast each type is looked for, alone and all together.
func speeds(ctx context.Context, w io.Writer, sets []set, finders []finder) error {
	var docs []evaluate.Document
	for _, s := range sets {
		docs = append(docs, s.docs...)
	}
	if len(docs) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nMB/s of one core%4s", "")
	for _, f := range finders {
		fmt.Fprintf(w, "| %-20s", f.name())
	}
	fmt.Fprintln(w)
	for _, kind := range append(measured, "") {
		var types []string
		name := "everything"
		if kind != "" {
			types, name = []string{kind}, kind
		}
		fmt.Fprintf(w, "%-20s", name)
		for _, f := range finders {
			mbs, err := f.speed(ctx, docs, types)
			if err != nil {
				fmt.Fprintf(w, "| %-20s", "none")
				continue
			}
			fmt.Fprintf(w, "| %-20.2f", mbs)
		}
		fmt.Fprintln(w)
	}
	return nil
}

// measured are the types whose speed is compared.
var measured = []string{
	"EMAIL_ADDRESS", "URL", "IP_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "CRYPTO", "DATE_TIME", "PERSON", "LOCATION", "ORGANIZATION",
}
