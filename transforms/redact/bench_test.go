// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact"
)

// mail is text like that of a mail archive: some personal data in much prose.
func mail() []byte {
	var b bytes.Buffer
	for i := range 40 {
		fmt.Fprintf(&b, "From: Jane Doe <jane.doe%d@acme.com>\nDate: Mon, %d May 2021 10:%02d:00 +0200\nSubject: Re: the plan for week %d\n\n", i, i%28+1, i, i)
		b.WriteString(strings.Repeat("We talked about the plan last week and I think it is fine, but (as you said) some of the figures need another look before we go on. ", 8))
		b.WriteString("\nPlease call me at (212) 736-5000 or see https://acme.com/plan.\n> It costs 1,200 & takes 3 days.\n\nRegards, Jane\n\n")
	}
	return b.Bytes()
}

// repeat is a dataset of one record, many times.
type repeat struct {
	raw []byte
	n   int
}

func (*repeat) Schema() transforms.Schema { return transforms.Schema{Format: dataset.FormatJSONL} }

func (r *repeat) Next() (transforms.Item, error) {
	if r.n == 0 {
		return transforms.Item{}, io.EOF
	}
	r.n--
	return transforms.Item{Raw: r.raw}, nil
}

func benchmark(b *testing.B, config string) {
	raw := append(transforms.AppendString([]byte(`{"body":`), mail()), '}')
	s, err := redact.New([]byte(config), transforms.Schema{}, &transforms.Env{Keys: keys("k")})
	if err != nil {
		b.Fatal(err)
	}
	step := dataset.Step{Name: "redact", Digest: envelope.Sum(nil), Config: []byte("{}")}
	src := &repeat{raw: raw}
	p, err := transforms.New(b.Context(), []dataset.Step{step}, src.Schema(), func(*dataset.Step, transforms.Schema, *transforms.Env) (transforms.Step, error) {
		return s, nil
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	src.n = b.N
	b.ResetTimer()
	if err := p.Run(b.Context(), src, func(transforms.Item) error { return nil }); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRedact(b *testing.B) {
	b.Run("structured", func(b *testing.B) { benchmark(b, `{"detect":["structured"]}`) })
	b.Run("names", func(b *testing.B) { benchmark(b, `{}`) })
	b.Run("surrogate", func(b *testing.B) {
		benchmark(b, `{"detect":["structured"],"operators":{"default":{"op":"surrogate"}}}`)
	})
	b.Run("nothing", func(b *testing.B) { benchmark(b, `{"detect":["IBAN_CODE"]}`) })
}

func BenchmarkFind(b *testing.B) {
	text := mail()
	for _, detect := range []string{"structured", "all"} {
		d := detector(b, redact.Detect{Types: []string{detect}})
		found := d.Find(nil, text)
		b.Run(detect, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				found = d.Find(found[:0], text)
			}
		})
	}
}
