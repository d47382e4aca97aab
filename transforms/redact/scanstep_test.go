// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms/redact"
)

func scanned(t *testing.T, act, f, in string) run {
	t.Helper()
	return through(t, "scan", redact.NewScan, `{"detect":["contact","US_SSN"],"keys":true,"act":"`+act+`"}`, dataset.Format(f), []byte(in), "k")
}

// wide is a text in UTF-16, little-endian, without a mark.
func wide(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

func tarOf(t *testing.T, name, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(text)), Mode: 0o644})
	_, err2 := w.Write([]byte(text))
	if err := errors.Join(err, err2, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestScanOfWhatIsNoText: what the recognisers cannot read is not said to have been looked at.
func TestScanOfWhatIsNoText(t *testing.T) {
	const text = "write to j@acme.com"
	for name, c := range map[string]struct {
		format, in string
		unread     int64
	}{
		"UTF-16 without a mark": {"files", tarOf(t, "a.txt", wide(text)), 1},
		"UTF-16 with a mark":    {"files", tarOf(t, "a.txt", "\xff\xfe"+wide(text)), 1},
		"Latin-1":               {"files", tarOf(t, "a.txt", "gr\xfc\xdfe, "+text), 1},
		"NUL":                   {"files", tarOf(t, "a.txt", text+"\x00"), 1},
		"UTF-8":                 {"files", tarOf(t, "a.txt", "größe, "+text), 0},
		"Latin-1 in CSV":        {"csv", "a,b\n1,gr\xfc\xdfe\n2," + text + "\n", 1},
		"NUL in JSON":           {"jsonl", `{"a":"j\u0000@acme.com"}` + "\n" + `{"a":"x"}` + "\n", 1},
		"NUL in a name":         {"jsonl", `{"a\u0000":"x"}` + "\n", 1},
	} {
		r := scanned(t, redact.Report, c.format, c.in)
		if r.err != nil || r.report.Unread != c.unread || r.report.RecordsOut != r.report.RecordsIn {
			t.Errorf("%s: unread %d of %d, %v", name, r.report.Unread, r.report.RecordsIn, r.err)
		}
	}
}

// TestFieldsWithZeroBytes: UTF-16 in a table, or a zero byte in the middle, hides what it says from recognisers, and nothing else. Such a
// record passes no step that acts; where the field is not looked at, it does.
func TestFieldsWithZeroBytes(t *testing.T) {
	for name, c := range map[string]struct{ format, in, out string }{
		"UTF-16 in CSV": {"csv", "a,b\n1,ok\n2," + wide("ssn 219-09-9999") + "\n", "a,b\n1,ok\n"},
		"NUL in JSON":   {"jsonl", `{"a":"ok"}` + "\n" + `{"a":"j\u0000@acme.com"}` + "\n", `{"a":"ok"}` + "\n"},
		"NUL in a name": {"jsonl", `{"a":"ok"}` + "\n" + `{"j\u0000@acme.com":"ok"}` + "\n", `{"a":"ok"}` + "\n"},
	} {
		for step, r := range map[string]run{
			"redact": redacted(t, `{"detect":["contact","US_SSN"]}`, dataset.Format(c.format), c.in),
			"scan":   scanned(t, redact.Quarantine, c.format, c.in),
		} {
			if r.err != nil || r.out != c.out || fmt.Sprint(r.report.Quarantined) != "[{not-text 1}]" {
				t.Errorf("%s, %s: %q, %v, %v", name, step, r.out, r.report.Quarantined, r.err)
			}
		}
	}
	in := "a,b\nx,J\x00\n"
	if r := redacted(t, `{"fields":["a"]}`, "csv", in); r.err != nil || r.out != in {
		t.Errorf("not looked at: %q, %v", r.out, r.err)
	}
}

// TestScanOfColumnNames: names of columns are looked at where names are, also those of a table without rows.
func TestScanOfColumnNames(t *testing.T) {
	for _, in := range []string{"n,j@acme.com\n1,2\n3,4\n", "n,j@acme.com\n"} {
		r := scanned(t, redact.Report, "csv", in)
		if r.err != nil || r.report.RecordsOut != int64(strings.Count(in, "\n")-1) || fmt.Sprint(r.report.Findings) != "[{EMAIL_ADDRESS 1}]" || len(r.findings) != 1 || r.findings[0].Path != "{}" || r.findings[0].End != 10 {
			t.Errorf("%q: %v %+v %v", in, r.report.Findings, r.findings, r.err)
		}
	}
	for _, act := range []string{redact.Quarantine, redact.Fail} {
		if r := scanned(t, act, "csv", "n,j@acme.com\n1,2\n"); !errors.Is(r.err, redact.ErrFound) || strings.Contains(r.err.Error(), "acme") {
			t.Errorf("%s: %v", act, r.err)
		}
	}
	in := "n,j@acme.com\n1,2\n"
	if r := redacted(t, `{}`, "csv", in); !errors.Is(r.err, redact.ErrFound) || strings.Contains(r.err.Error(), "acme") || !strings.Contains(r.err.Error(), "column 2") {
		t.Errorf("redact: %v", r.err)
	}
	if r := redacted(t, `{"keys":false}`, "csv", in); r.err != nil || r.out != in {
		t.Errorf("names are not looked at: %q %v", r.out, r.err)
	}
}
