// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact"
)

func TestRedactsJSON(t *testing.T) {
	in := `{"id":7,"from":{"addr":"jane@acme.com"},"tags":["x","joe@acme.com"],"card":4111111111111111,"ok":true,"none":null}` + "\n"
	r := redacted(t, `{"detect":["EMAIL_ADDRESS","CREDIT_CARD"]}`, "jsonl", in)
	want := `{"id":7,"from":{"addr":"<EMAIL_ADDRESS>"},"tags":["x","<EMAIL_ADDRESS>"],"card":"<CREDIT_CARD>","ok":true,"none":null}` + "\n"
	if r.err != nil || r.out != want {
		t.Errorf("got %s %v, want %s", r.out, r.err, want)
	}
	r = redacted(t, `{"detect":["CREDIT_CARD"],"operators":{"CREDIT_CARD":{"op":"surrogate"}}}`, "jsonl", `{"n":378282246310005}`+"\n")
	if r.err != nil || !strings.HasPrefix(r.out, `{"n":378282`) || strings.Contains(r.out, `"378`) {
		t.Errorf("a number became %s %v", r.out, r.err)
	}
	for name, c := range map[string]struct{ config, want string }{
		"one field": {`{"detect":["EMAIL_ADDRESS"],"fields":["tags"]}`, `{"a":"j@acme.com","tags":["<EMAIL_ADDRESS>"],"t":{"x":"j@acme.com"}}`},
		"below":     {`{"detect":["EMAIL_ADDRESS"],"fields":["t.*"]}`, `{"a":"j@acme.com","tags":["j@acme.com"],"t":{"x":"<EMAIL_ADDRESS>"}}`},
		"except":    {`{"detect":["EMAIL_ADDRESS"],"except":["a"]}`, `{"a":"j@acme.com","tags":["<EMAIL_ADDRESS>"],"t":{"x":"<EMAIL_ADDRESS>"}}`},
	} {
		r := redacted(t, c.config, "jsonl", `{"a":"j@acme.com","tags":["j@acme.com"],"t":{"x":"j@acme.com"}}`+"\n")
		if r.err != nil || r.out != c.want+"\n" {
			t.Errorf("%s: got %s %v, want %s", name, r.out, r.err, c.want)
		}
	}
}

func TestRedactsCSV(t *testing.T) {
	r := redacted(t, `{"detect":["EMAIL_ADDRESS","US_SSN"],"except":["keep"]}`, "csv", "who,ssn,keep\n\"Doe, \"\"J\"\" j@acme.com\",219099999,j@acme.com\n")
	if want := "who,ssn,keep\n\"Doe, \"\"J\"\" <EMAIL_ADDRESS>\",<US_SSN>,j@acme.com\n"; r.err != nil || r.out != want {
		t.Errorf("got %q %v, want %q: the column's name is context", r.out, r.err, want)
	}
}

func TestRedactsNamesOfMembers(t *testing.T) {
	in := `{"a@x.com":{"b@x.com":1},"c@x.com":2,"list":[{"a@x.com":3},{"a@x.com":4}]}` + "\n"
	words := `{"firstName":1,"Headline":2,"Jane Smith":3,"label":4,"bank":5}` + "\n"
	if r := redacted(t, `{"detect":["names"]}`, "jsonl", words); r.err != nil || r.out != strings.Replace(words, "Jane Smith", "<PERSON>", 1) {
		t.Errorf("got %s %v", r.out, r.err)
	}
	for config, want := range map[string]string{
		`{"detect":["EMAIL_ADDRESS"],"keys":false}`:                     in,
		`{"detect":["EMAIL_ADDRESS"],"fields":["list.*"],"keys":false}`: in,
		`{"detect":["EMAIL_ADDRESS"],"fields":["list.*"]}`:              strings.NewReplacer(`{"a@x.com":3}`, `{"<EMAIL_ADDRESS>":3}`, `{"a@x.com":4}`, `{"<EMAIL_ADDRESS>":4}`).Replace(in),
	} {
		if r := redacted(t, config, "jsonl", in); r.err != nil || r.out != want {
			t.Errorf("%s: got %s %v, want %s", config, r.out, r.err, want)
		}
	}
	r := redacted(t, `{"detect":["EMAIL_ADDRESS"]}`, "jsonl", in)
	want := `{"<EMAIL_ADDRESS>":{"<EMAIL_ADDRESS>":1},"<EMAIL_ADDRESS>_2":2,"list":[{"<EMAIL_ADDRESS>":3},{"<EMAIL_ADDRESS>":4}]}` + "\n"
	if r.err != nil || r.out != want {
		t.Errorf("got %s %v, want %s", r.out, r.err, want)
	}
	for _, f := range redacted(t, `{"detect":["EMAIL_ADDRESS"]}`, "jsonl", `{"a@x.com":{"m":"b@x.com"}}`+"\n").findings {
		if strings.Contains(f.Path, "@") {
			t.Errorf("the trace's path %q has an address in it", f.Path)
		}
	}
}

func files(list ...string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(list); i += 2 {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: list[i], Size: int64(len(list[i+1])), Mode: 0o644}); err != nil {
			panic(err)
		}
		if _, err := w.Write([]byte(list[i+1])); err != nil {
			panic(err)
		}
	}
	if err := w.Flush(); err != nil {
		panic(err)
	}
	return b.String()
}

func TestRedactsFiles(t *testing.T) {
	in := files("mail/jane@acme.com.txt", "x", "mail/joe@acme.com.txt", "y j@acme.com", "readme.md", "z", "a.bin", "\x00\xff", "b.txt", "caf\xe9 j@acme.com")
	r := redacted(t, `{"detect":["contact","DOMAIN_NAME"]}`, "files", in)
	want := []string{"mail/<EMAIL_ADDRESS>.txt", "mail/<EMAIL_ADDRESS>_2.txt", "readme.md"}
	if r.err != nil || r.out != "xy <EMAIL_ADDRESS>z" || !slices.Equal(r.names, want) {
		t.Errorf("got %q %q %v", r.out, r.names, r.err)
	}
	if q := r.report.Quarantined; len(q) != 1 || q[0] != (transforms.Count{Name: "not-text", Count: 2}) {
		t.Errorf("quarantined %v", q)
	}
}

// TestPersonalDataInFileNames: what follows the last point of a name is no extension because it is short.
func TestPersonalDataInFileNames(t *testing.T) {
	for in, want := range map[string]string{
		"alice.smith@example.com":       "<EMAIL_ADDRESS>",
		"203.0.113.77":                  "<IP_ADDRESS>",
		"mail/219-09-9999":              "mail/<US_SSN>",
		"alice.smith@example.com/1.txt": "<EMAIL_ADDRESS>/1.txt",
		"box/bob@acme.org":              "box/<EMAIL_ADDRESS>",
		"bob@acme.py":                   "<EMAIL_ADDRESS>",
		"bob@acme.org.md":               "<EMAIL_ADDRESS>.md",
		"bob@acme.org.zzz":              "<EMAIL_ADDRESS>",
		"219-09-9999.TXT":               "<US_SSN>.TXT",
		"219-09.9999":                   "<US_SSN>",
		"scan_219-09-9999_final.pdf":    "scan_<US_SSN>_final.pdf",
		"bob_smith@acme.com":            "<EMAIL_ADDRESS>",
		"v1.2.3.tar.gz":                 "v1.2.3.tar.gz",
		"2021-03-04_report.v2.csv":      "2021-03-04_report.v2.csv",
		"readme.md":                     "readme.md",
		"a.b/setup.py":                  "a.b/setup.py",
		"x.tar.gz":                      "x.tar.gz",
	} {
		r := redacted(t, `{"detect":["contact","IP_ADDRESS","DOMAIN_NAME","US_SSN"]}`, "files", files(in, "x"))
		if r.err != nil || len(r.names) != 1 || r.names[0] != want {
			t.Errorf("%q became %q %v, want %q", in, r.names, r.err, want)
		}
		scanned := through(t, "scan", redact.NewScan, `{"act":"report","detect":["contact","IP_ADDRESS","DOMAIN_NAME","US_SSN"]}`, "files", []byte(files(in, "x")), "k")
		if scanned.err != nil || (len(scanned.findings) == 0) != (in == want) {
			t.Errorf("scan of %q found %d, %v", in, len(scanned.findings), scanned.err)
		}
	}
}

// TestNamesInFileNames: names are found in names of files, and what only says which file it is stays.
func TestNamesInFileNames(t *testing.T) {
	for in, want := range map[string]string{
		"john_smith.txt": "<PERSON>.txt", "a.txt": "a.txt", "b/c.txt": "b/c.txt", "scan1.jpg": "scan1.jpg", "letters/Maria Gonzalez.pdf": "letters/<PERSON>.pdf", "data.csv": "data.csv",
	} {
		r := redacted(t, `{"detect":["all"]}`, "files", files(in, "x"))
		if r.err != nil || len(r.names) != 1 || r.names[0] != want {
			t.Errorf("%q became %q %v, want %q", in, r.names, r.err, want)
		}
	}
}

// TestFilesOfOneName: a file whose name becomes another's gets a number, whichever comes first.
func TestFilesOfOneName(t *testing.T) {
	r := redacted(t, `{"detect":["EMAIL_ADDRESS"]}`, "files", files("<EMAIL_ADDRESS>.txt", "x", "a@b.com.txt", "y", "c@b.com.txt", "z"))
	if r.err != nil || len(r.names) != 3 || r.names[0] == r.names[1] || r.names[1] == r.names[2] || r.names[0] == r.names[2] {
		t.Errorf("%q %v", r.names, r.err)
	}
}

// TestFieldsWhateverTheirShape: whoever writes records does not choose by arrays and objects what is looked at.
func TestFieldsWhateverTheirShape(t *testing.T) {
	for _, c := range [][3]string{
		{`["user.ssn"]`, `{"user":[{"ssn":"219-09-9999"}],"n":"219-09-9999"}`, `{"user":[{"ssn":"<US_SSN>"}],"n":"219-09-9999"}`},
		{`["user.ssn"]`, `[{"user":{"ssn":"219-09-9999"}}]`, `[{"user":{"ssn":"<US_SSN>"}}]`},
		{`["user.ssn"]`, `{"user":"219-09-9999"}`, `{"user":"<US_SSN>"}`},
		{`["ssn"]`, `{"ssn":{"v":"219-09-9999"}}`, `{"ssn":{"v":"<US_SSN>"}}`},
		{`["user.ssn"]`, `{"user":{"ssn":{"219-09-9999":1}}}`, `{"user":{"ssn":{"<US_SSN>":1}}}`},
		{`["ssn"]`, `{"ssn":[[{"v":"219-09-9999"}]]}`, `{"ssn":[[{"v":"<US_SSN>"}]]}`},
		{`["ssn"]`, `"219-09-9999"`, `"<US_SSN>"`},
		{`["items[].ssn"]`, `{"items":{"ssn":"219-09-9999"}}`, `{"items":{"ssn":"<US_SSN>"}}`},
		{`["items.*"]`, `[{"items":[["219-09-9999"]]}]`, `[{"items":[["<US_SSN>"]]}]`},
		{`["ssn"]`, `{"ssns":"219-09-9999"}`, `{"ssns":"219-09-9999"}`},
	} {
		r := redacted(t, `{"detect":["US_SSN"],"optional":true,"fields":`+c[0]+`}`, "jsonl", c[1]+"\n")
		if r.err != nil || r.out != c[2]+"\n" {
			t.Errorf("%s: %s became %s %v", c[0], c[1], r.out, r.err)
		}
	}
	if r := redacted(t, `{"fields":["user.ssn"]}`, "jsonl", `{"user":[{"ssn":"x"}]}`+"\n"); r.err != nil {
		t.Errorf("a path in another shape counts as missing: %v", r.err)
	}
	r := redacted(t, `{"detect":["US_SSN"],"except":["id"]}`, "jsonl", `{"id":"219-09-9999"}`+"\n"+`{"id":{"v":"219-09-9999"}}`+"\n"+`[{"id":"219-09-9999"}]`+"\n")
	if r.err != nil || r.out != `{"id":"219-09-9999"}`+"\n"+`{"id":{"v":"<US_SSN>"}}`+"\n"+`[{"id":"<US_SSN>"}]`+"\n" {
		t.Errorf("except: %s %v", r.out, r.err)
	}
}

// TestForgedTokensHideNothing: what looks like a token in a text as it came is looked at like any other text; what a step wrote stays.
func TestForgedTokensHideNothing(t *testing.T) {
	const config = `{"detect":["KEY","EMAIL_ADDRESS","PERSON"],"patterns":[{"name":"k","type":"KEY","regexp":"\\bak[a-z2-7]{24}\\b"}],
		"operators":{"EMAIL_ADDRESS":{"op":"hash"},"PERSON":{"op":"encrypt"}}}`
	const key = "ak23456723456723456723abcd"
	for _, in := range []string{"<CREDIT_CARD:" + key + ">", "<KEY:" + key + ">", "jane@acme.com <KEY:" + key + ">"} {
		if r := redacted(t, config, "jsonl", `{"m":"`+in+`"}`+"\n"); r.err != nil || strings.Contains(r.out, key) || !strings.Contains(r.out, "<KEY>") {
			t.Errorf("%s became %s %v", in, r.out, r.err)
		}
	}
	once := redacted(t, config, "jsonl", `{"m":"Dear Jane Miller, jane@acme.com is <KEY> of Bob Smith, not joe@acme.com"}`+"\n")
	twice := redacted(t, config, "jsonl", once.out)
	if once.err != nil || twice.err != nil || once.out != twice.out || strings.Count(once.out, "<") != 5 {
		t.Errorf("once %s %v\ntwice %s %v", once.out, once.err, twice.out, twice.err)
	}
}

func TestTrace(t *testing.T) {
	in := `{"m":"é😀 j@acme.com é 219-09-9999"}` + "\n"
	r := redacted(t, `{"detect":["EMAIL_ADDRESS","US_SSN"],"operators":{"US_SSN":{"op":"mask"}}}`, "jsonl", in)
	if r.err != nil || len(r.findings) != 2 {
		t.Fatalf("%v %v", r.findings, r.err)
	}
	f := r.findings[0]
	if f.Path != "m" || f.Type != "EMAIL_ADDRESS" || f.Start != 3 || f.End != 13 || f.Action != "replace" || f.Score < 850 ||
		f.TextSHA256 != envelope.Sum([]byte("j@acme.com")) || f.Rule == "" || !slices.Contains(f.Why, "form") {
		t.Errorf("%+v", f)
	}
	if f = r.findings[1]; f.Start != 16 || f.End != 27 || f.Action != "mask" {
		t.Errorf("%+v", f)
	}
	if fmt.Sprint(r.report.Findings) != "[{EMAIL_ADDRESS 1} {US_SSN 1}]" {
		t.Errorf("counts %v", r.report.Findings)
	}
	// An operator that cannot do its work says what was done instead.
	r = redacted(t, `{"detect":["EMAIL_ADDRESS"],"operators":{"EMAIL_ADDRESS":{"op":"shift"}}}`, "jsonl", in)
	if len(r.findings) != 1 || r.findings[0].Action != "replace" || !strings.Contains(r.out, "<EMAIL_ADDRESS>") {
		t.Errorf("%+v %s", r.findings, r.out)
	}
}

func TestFieldsNobodyHas(t *testing.T) {
	r := redacted(t, `{"detect":["URL"],"fields":["a","bb","c.*"],"optional":true}`, "jsonl", `{"a":"x"}`+"\n")
	if r.err != nil || r.figures["fields-never-seen"] != 2 {
		t.Errorf("%v %v", r.figures, r.err)
	}
	// A misspelt name would let everything through.
	for _, c := range []struct{ config, format, in, hint string }{
		{`{"fields":["emial"]}`, "csv", "email,b\nj@acme.com,x\n", "did you mean email?"},
		{`{"fields":["user.*"]}`, "csv", "email,b\nj@acme.com,x\n", `"user.*"`},
		{`{"except":["bb"]}`, "csv", "email,b\nj@acme.com,x\n", "did you mean b?"},
		{`{"fields":["emial"]}`, "jsonl", `{"email":"j@acme.com"}` + "\n", `"emial"`},
		{`{"fields":["email","x.*"]}`, "jsonl", `{"email":"j@acme.com"}` + "\n", `"x.*"`},
		{`{"fields":["email"]}`, "files", files("a.txt", "j@acme.com"), "files have none"},
		{`{"operators":{"DATE_TIME":{"op":"shift","by":"usr"}}}`, "csv", "user\nx\n", "did you mean user?"},
	} {
		r := redacted(t, c.config, dataset.Format(c.format), c.in)
		if !errors.Is(r.err, transforms.ErrConfig) || !strings.Contains(r.err.Error(), c.hint) {
			t.Errorf("%s of %s: %q, %v", c.config, c.format, r.out, r.err)
		}
	}
	if r = redacted(t, `{"fields":["a"]}`, "jsonl", ""); r.err != nil {
		t.Errorf("no records: %v", r.err)
	}
	if r = redacted(t, `{"detect":["URL"],"fields":["a"]}`, "csv", "a,b\n"); len(r.figures) != 0 {
		t.Errorf("a column without records: %v", r.figures)
	}
}

func TestScan(t *testing.T) {
	in := `{"m":"nothing"}` + "\n" + `{"m":"j@acme.com"}` + "\n"
	scan := func(act string) run {
		return through(t, "scan", redact.NewScan, `{"detect":["contact"],"act":"`+act+`"}`, "jsonl", []byte(in), "k")
	}
	if r := scan("report"); r.err != nil || r.out != in || len(r.findings) != 1 || r.findings[0].Action != "" {
		t.Errorf("report: %+v", r)
	}
	if r := scan("quarantine"); r.err != nil || r.out != `{"m":"nothing"}`+"\n" || len(r.report.Quarantined) != 1 {
		t.Errorf("quarantine: %+v", r)
	}
	if r := scan("fail"); !errors.Is(r.err, redact.ErrFound) || strings.Contains(r.err.Error(), "acme") {
		t.Errorf("fail: %v", r.err)
	}
	// What redact leaves, a scan does not find.
	r := redacted(t, `{"detect":["contact"]}`, "jsonl", in)
	if r = through(t, "scan", redact.NewScan, `{"detect":["contact"],"act":"fail"}`, "jsonl", []byte(r.out), "k"); r.err != nil {
		t.Errorf("after redact: %v", r.err)
	}
	r = through(t, "scan", redact.NewScan, `{"act":"quarantine"}`, "files", []byte(files("a.bin", "\x00")), "k")
	if r.err != nil || len(r.names) != 0 {
		t.Errorf("a file that is no text passed: %v %v", r.names, r.err)
	}
}

// TestScanAgreesWithRedact: what redact leaves of files and their names, scan lets pass.
func TestScanAgreesWithRedact(t *testing.T) {
	in := files("mail/jane@acme.com.txt", "j@acme.com", "notes.md", "x", "src/run.sh", "y", "a.b.c.pl", "z")
	r := redacted(t, `{"detect":["contact","network"]}`, "files", in)
	var list []string
	for _, name := range r.names {
		list = append(list, name, "<EMAIL_ADDRESS>")
	}
	s := through(t, "scan", redact.NewScan, `{"detect":["contact","network"],"act":"quarantine"}`, "files", []byte(files(list...)), "k")
	if r.err != nil || s.err != nil || len(s.names) != 4 {
		t.Errorf("%v %v, of %v passed %v", r.err, s.err, r.names, s.names)
	}
}

func TestInvalidUTF8(t *testing.T) {
	r := redacted(t, `{"detect":["EMAIL_ADDRESS"]}`, "jsonl", "{\"m\":\"\xff j@acme.com \xc3\"}\n")
	if r.err != nil || !strings.Contains(r.out, "<EMAIL_ADDRESS>") || strings.Contains(r.out, "acme") || !utf8.ValidString(r.out) {
		t.Errorf("got %q %v", r.out, r.err)
	}
	r = redacted(t, `{"detect":["EMAIL_ADDRESS"]}`, "csv", "a\n\xff j@acme.com\xad\n")
	if r.err != nil || strings.Contains(r.out, "acme") {
		t.Errorf("got %q %v", r.out, r.err)
	}
}

func TestLongLine(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 15 MiB")
	}
	long := strings.Repeat("lorem ipsum 12 dolor (sit) & amet, j@acme.com ", 15<<20/46)
	r := redacted(t, `{"detect":["EMAIL_ADDRESS"]}`, "jsonl", `{"m":"`+long+`"}`+"\n")
	if r.err != nil || strings.Contains(r.out, "acme") || len(r.findings) != strings.Count(long, "@") {
		t.Errorf("%d findings, %v", len(r.findings), r.err)
	}
}
