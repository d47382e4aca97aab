// SPDX-License-Identifier: Apache-2.0

package national_test

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/national"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// each calls f for each maximal run of letters and digits that holds a digit, as the scanner does.
func each(text []byte, f func(start, end int)) {
	for i := 0; i < len(text); {
		start, digits := i, false
		for i < len(text) && (text[i]-'0' < 10 || text[i]|0x20-'a' < 26) {
			digits = digits || text[i]-'0' < 10
			i++
		}
		if digits {
			f(start, i)
		}
		if i == start {
			i++
		}
	}
}

func find(text string) []span.Finding {
	var found []span.Finding
	each([]byte(text), func(start, end int) { found = national.Match(found, []byte(text), start, end) })
	return span.Resolve(found)
}

// mail is text with numbers as mails have them.
const mail = "On Tue, 3 Sep 2002 at 14:55:12 +0200 the 2nd build of release 4.1.12 went out to 35 users, 7 of whom called 555-0134 by 9am.\n" +
	"Prices rose 2.5% to $1,299 in 2001; see RFC 2822 section 3.4.1, page 12, or ISBN 0-13-110362-8. Received: id g83Dt2Z01234; Mon, 02 Sep.\n" +
	"We met in room 12 at 10am on 03/09/2002, then took bus 46A. Size 1048576 bytes in 3 files, version 2.4.18-10, x86, md5 0cc175b9c0f1.\n"

func benchmark(b *testing.B, line string) {
	text := []byte(strings.Repeat(line, 20))
	calls := 0
	each(text, func(int, int) { calls++ })
	national.Match(nil, text, 0, 1)
	var found []span.Finding
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		found = found[:0]
		each(text, func(start, end int) { found = national.Match(found, text, start, end) })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*calls), "ns/call")
}

func BenchmarkMatchMail(b *testing.B) { benchmark(b, mail) }

func BenchmarkMatchIdentifiers(b *testing.B) {
	benchmark(b, "SSN 123-45-6789, passport 123456789, PESEL 44051401359, account number 12345678901, ID 8001015009087, AB123456C, 529.982.247-25\n")
}

func BenchmarkMatchHex(b *testing.B) {
	benchmark(b, "d41d8cd98f00b204e9800998ecf8427e 550e8400e29b41d4 deadbeef01 0cc175b9c0f1 7c4a8d09ca37 1700000000 1700000000123\n")
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		national.New(national.Options{})
	}
}
