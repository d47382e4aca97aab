// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// barWidth is how many characters a bar has.
const barWidth = 20

// packProgress shows how a pack comes along: a bar on a terminal, a line at the beginning and in the middle elsewhere. Without a
// writer it is silent.
type packProgress struct {
	line  *progress
	name  string
	total int64 // bytes; 0: unknown
	rows  int64 // records, where they are known and the bytes are not; else 0
	start time.Time
	now   func() time.Time
	first dataset.Progress // what a resumed pack had sealed before; it counts for no rate
	seen  dataset.Progress
}

func newPackProgress(w io.Writer, name string, total int64) *packProgress {
	line := &progress{}
	if w != nil {
		line = newProgress(w, "packing "+name)
	}
	return &packProgress{line: line, name: name, total: total, start: time.Now(), now: time.Now}
}

// step takes what dataset.Pack reports.
func (p *packProgress) step(at dataset.Progress, replayed bool) {
	p.seen = at
	if replayed {
		p.first, p.start = at, p.now()
	}
	done, total := p.measure()
	p.line.text(done, total, p.words(done, total))
}

// measure is how far the pack is, in bytes or else in records; total is 0 if nobody knows.
func (p *packProgress) measure() (done, total int64) {
	switch {
	case p.total > 0:
		return p.seen.RawBytes, max(p.total, p.seen.RawBytes)
	case p.rows > 0:
		return p.seen.Records, max(p.rows, p.seen.Records)
	}
	return p.seen.RawBytes, 0
}

// words are one line of figures.
func (p *packProgress) words(done, total int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "packing %s ", p.name)
	bytes, records := p.rates()
	rate := bytes
	if total > 0 {
		full := int(barWidth * done / total)
		fmt.Fprintf(&b, "[%s%s] %3d%%  ", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), 100*done/total)
	}
	switch {
	case p.total > 0:
		fmt.Fprintf(&b, "%s of %s", byteSize(done), byteSize(total))
	case total > 0:
		rate = records
		fmt.Fprintf(&b, "%d of %s, %s", done, amount(total, "records"), byteSize(p.seen.RawBytes))
	default:
		b.WriteString(byteSize(done))
	}
	if bytes > 0 {
		fmt.Fprintf(&b, "  %s", rateWords(bytes, records))
		if left := total - done; left > 0 && rate > 0 {
			fmt.Fprintf(&b, "  %s left", time.Duration(float64(left)/rate*1e9).Round(time.Second))
		}
	}
	return b.String()
}

// rates are bytes and records a second; 0 before there is anything to tell.
func (p *packProgress) rates() (bytes, records float64) {
	d := p.now().Sub(p.start).Seconds()
	if d <= 0 {
		return 0, 0
	}
	return float64(p.seen.RawBytes-p.first.RawBytes) / d, float64(p.seen.Records-p.first.Records) / d
}

func rateWords(bytes, records float64) string {
	return fmt.Sprintf("%.1f MB/s, %.0f records/s", bytes/1e6, records)
}

// finish is for a pack that succeeded: the length of the source was a guess where what is sealed is shorter, as of a tar file with its
// padding.
func (p *packProgress) finish() {
	if p.total > 0 {
		p.total = p.seen.RawBytes
	}
	if p.rows > 0 {
		p.rows = p.seen.Records
	}
	p.step(p.seen, false)
	p.done()
}

// done ends the line; summary is what there is to tell of a pack that succeeded.
func (p *packProgress) done() { p.line.done() }

func (p *packProgress) summary(m *dataset.Manifest) string {
	d := p.now().Sub(p.start)
	text := fmt.Sprintf("packed %s, %s", amount(p.seen.Records, "records"), byteSize(p.seen.RawBytes))
	if p.first.RawBytes > 0 {
		text += fmt.Sprintf(", %s of them before", byteSize(p.first.RawBytes))
	}
	bytes, records := p.rates()
	text += fmt.Sprintf(", in %s: %s", d.Round(time.Millisecond), rateWords(bytes, records))
	return text + "\nduplicates: " + duplicateWords(m.Metadata.Duplicates)
}

// duplicateWords say how many of the records that a version adds are equal to others of them.
func duplicateWords(d dataset.Duplicates) string {
	least, among := "", ""
	if !d.Exact {
		least, among = "at least ", fmt.Sprintf("; only the first %d different ones are remembered to compare with", dataset.MaxDistinct)
	}
	switch {
	case d.Count == 0 && d.Exact:
		return "no record is there twice"
	case d.Count == 1:
		return least + "1 record is equal to an earlier one" + among
	}
	return fmt.Sprintf("%s%d records are equal to an earlier one%s", least, d.Count, among)
}
