// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/scan"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// words for generated text. Those of two letters and more are as frequent as in mails; the text means nothing.
var proseWords = strings.Fields("the of and to in that is was it for on with as be at by this have from or had not are but they which one you were all her would there their we him been has when who will no more if out so what up said its about than into them can only other time new some could these two may then do first any my now such like our over me even most made after also did many fill before must well back through years where much your way down should because long each just state those people too how little good world make very year still see own work men day get here old between both life being under three never know same last another while us off might great go come since against right came take used himself house during without again place around however small found school part once general high upon every does got united number course until water always away public something fact less though far put head think called set almost enough end took government night yet system better four nothing told going")

// prose is text like that of mails: sentences, paragraphs, now and then a header, a date, an address, a number.
func prose(size int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for sentence := 0; b.Len() < size; sentence++ {
		switch {
		case sentence%60 == 0:
			fmt.Fprintf(&b, "\n\nFrom: %s.%s@example.org\nDate: Mon, %d Aug 2002 %02d:%02d:00 +0100\nSubject: Re: %s\n\n", pick(r), pick(r), 1+r.IntN(28), r.IntN(24), r.IntN(60), pick(r))
		case sentence%10 == 0:
			b.WriteString("\n\n")
		case sentence%25 == 7:
			fmt.Fprintf(&b, "See http://www.%s.com/%s/%d.html for it. ", pick(r), pick(r), r.IntN(1000))
		case sentence%25 == 9:
			fmt.Fprintf(&b, "Call +1 (%d) 555-%04d or (0%d) %d before March %d. ", 200+r.IntN(700), r.IntN(10000), 10+r.IntN(80), 100000+r.IntN(900000), 1+r.IntN(28))
		case sentence%5 == 3:
			fmt.Fprintf(&b, "It took %d of the %d %s in %d, or %d.%d%%. ", r.IntN(100), r.IntN(10000), pick(r), 1950+r.IntN(80), r.IntN(100), r.IntN(10))
		}
		for n := 8 + r.IntN(14); n > 0; n-- {
			w := pick(r)
			if n%9 == 1 {
				w = strings.ToUpper(w[:1]) + w[1:]
			}
			b.WriteString(w)
			if n > 1 {
				b.WriteString([]string{" ", " ", " ", " ", " ", " ", " ", " ", ", ", "\n"}[r.IntN(10)])
			}
		}
		b.WriteString(". ")
	}
	return []byte(b.String())
}

func pick(r *rand.Rand) string { return proseWords[r.IntN(len(proseWords))] }

// logs are lines of a web server: hardly anything but triggers.
func logs(size int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%d.%d.%d.%d - - [%02d/Oct/2024:13:%02d:36 -0700] \"GET /%s/%s.php?id=%d&u=%s%%40example.com HTTP/1.1\" 200 %d \"http://www.%s.com/start.html\" \"Mozilla/5.0 (X11; Linux x86_64) %d\"\n",
			1+r.IntN(223), r.IntN(256), r.IntN(256), 1+r.IntN(254), 1+r.IntN(28), r.IntN(60), pick(r), pick(r), r.IntN(1e6), pick(r), r.IntN(1e5), pick(r), r.IntN(1e6))
	}
	return []byte(b.String())
}

func benchmark(b *testing.B, text []byte) {
	s := scan.New(scan.Options{})
	var found []span.Finding
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		found = s.Scan(found[:0], text)
	}
	b.ReportMetric(float64(len(found))/float64(len(text))*1e6, "findings/MB")
}

func BenchmarkScanProse(b *testing.B) { benchmark(b, prose(1<<20)) }

func BenchmarkScanDense(b *testing.B) { benchmark(b, logs(1<<20)) }

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		_ = scan.New(scan.Options{})
	}
}

// BenchmarkRegexp is what the same would cost with package regexp, and finds less: one pattern for each type.
func BenchmarkRegexp(b *testing.B) {
	var patterns []*regexp.Regexp
	for _, p := range []string{
		`[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`,
		`(?:[a-z][a-z0-9+.-]*://|www\.)[^\s<>"]+`,
		`\b(?:\d{1,3}\.){3}\d{1,3}\b`,
		`\b(?:[0-9a-fA-F]{1,4}:){2,7}[0-9a-fA-F]{0,4}\b`,
		`\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b`,
		`(?:\+?\d{1,3}[ .-]?)?(?:\(\d{1,4}\)|\d{1,4})(?:[ .-]?\d{2,4}){2,4}(?: ?x\d+)?`,
		`\b\d(?:[ -]?\d){11,18}\b`,
		`\b[A-Za-z]{2}\d{2}[ -]?(?:[A-Za-z0-9]{4}[ -]?){2,7}[A-Za-z0-9]{1,4}\b`,
		`\b[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?\b`,
		`\b(?:bc1[a-z0-9]{25,60}|[13][1-9A-HJ-NP-Za-km-z]{25,34}|0x[0-9a-fA-F]{40})\b`,
		`\b\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T]\d\d:\d\d(?::\d\d)?)?\b`,
		`(?i)\b(?:\d{1,2}(?:st|nd|rd|th)? )?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? (?:\d{1,2}(?:st|nd|rd|th)?,? ?)?(?:\d{4})?`,
		`(?i)\b\d{1,3}[ -]years?[ -]old\b|\baged? \d{1,3}\b`,
		`[+-]?\d{1,3}\.\d{3,}, ?[+-]?\d{1,3}\.\d{3,}`,
	} {
		patterns = append(patterns, regexp.MustCompile(p))
	}
	text := prose(1 << 16)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		for _, p := range patterns {
			p.FindAllIndex(text, -1)
		}
	}
}
