// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

// TestPackProgressByRecords: where only the number of records is known, the bar and the time left go by records.
func TestPackProgressByRecords(t *testing.T) {
	var out bytes.Buffer
	start := time.Unix(1_800_000_000, 0)
	p := newPackProgress(&out, "visits", 0)
	p.rows = 1000
	p.start, p.now = start, func() time.Time { return start.Add(10 * time.Second) }
	p.step(dataset.Progress{Records: 500, RawBytes: 20_000_000}, false)
	want := "packing visits [##########----------]  50%  500 of 1000 records, 19.1 MiB  2.0 MB/s, 50 records/s  10s left\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	p.seen = dataset.Progress{Records: 1200, RawBytes: 30_000_000} // the footer was wrong
	done, total := p.measure()
	if words := p.words(done, total); !strings.Contains(words, "100%  1200 of 1200 records") || strings.Contains(words, "left") {
		t.Error(words)
	}
	if done, total := newPackProgress(nil, "x", 0).measure(); done != 0 || total != 0 {
		t.Errorf("nothing known: %d of %d", done, total)
	}
}

// TestPackProgressEnds: a bar that was told more than there is ends full, and only when all is sealed.
func TestPackProgressEnds(t *testing.T) {
	for name, p := range map[string]*packProgress{"bytes": {total: 1000}, "records": {rows: 10}} {
		var out bytes.Buffer
		p.line, p.now = newProgress(&out, "packing"), time.Now
		p.step(dataset.Progress{Records: 6, RawBytes: 620}, false)
		if strings.Contains(out.String(), "100%") {
			t.Errorf("%s: %q", name, out.String())
		}
		p.finish()
		if _, last, _ := strings.Cut(out.String(), "\n"); !strings.Contains(last, "[####################] 100%") || strings.Contains(last, "left") {
			t.Errorf("%s: %q", name, last)
		}
	}
}

// TestServersDoNotWriteToStderr: what a server sends unasked, such as a body after HEAD, is not for the person's terminal.
func TestServersDoNotWriteToStderr(t *testing.T) {
	var out bytes.Buffer
	before := log.Writer()
	log.SetOutput(&out)
	defer log.SetOutput(before)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for buf := make([]byte, 8192); ; {
					if _, err := c.Read(buf); err != nil {
						return
					}
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nnoise") //nolint:errcheck // the client goes when it likes
				}
			}()
		}
	}()
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	var words bytes.Buffer
	if code := run([]string{"creator", "init", "--dir", t.TempDir() + "/alice", "--store", "s3://bucket/x?endpoint=http://" + l.Addr().String()}, io.Discard, &words); code != 0 {
		t.Logf("ended with %d: %s", code, words.String()) // whatever it is: HEAD alone tells nobody that this is no S3 server
	}
	http.DefaultClient.CloseIdleConnections()
	if strings.Contains(out.String()+words.String(), "noise") {
		t.Errorf("printed %q %q", out.String(), words.String())
	}
	if log.Writer() != io.Discard {
		t.Error("what net/http prints would be shown")
	}
}

// TestDuplicateWords: a lower bound says what it was counted among.
func TestDuplicateWords(t *testing.T) {
	const among = "; only the first 3145728 different ones are remembered to compare with"
	for d, want := range map[dataset.Duplicates]string{
		{Count: 0, Exact: true}: "no record is there twice",
		{Count: 1, Exact: true}: "1 record is equal to an earlier one",
		{Count: 2, Exact: true}: "2 records are equal to an earlier one",
		{Count: 0}:              "at least 0 records are equal to an earlier one" + among,
		{Count: 1}:              "at least 1 record is equal to an earlier one" + among,
	} {
		if got := duplicateWords(d); got != want {
			t.Errorf("%+v: %q, want %q", d, got, want)
		}
	}
}
