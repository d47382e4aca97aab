// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// terminal reports whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// say writes words for people to standard error.
func say(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
}

// show writes v as one JSON object to standard output when asJSON, else calls text.
func show(cmd *cobra.Command, asJSON bool, v any, text func(w io.Writer)) error {
	w := cmd.OutOrStdout()
	if !asJSON {
		text(w)
		return nil
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// table writes rows in columns, without borders.
func table(w io.Writer, rows ...[]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(t, strings.Join(r, "\t"))
	}
	t.Flush() //nolint:errcheck // a broken pipe shows at the next write
}

// progress is one running line on a terminal and a few plain lines elsewhere. Its zero value is silent.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	tty   bool
	what  string
	last  time.Time
	tenth int64
	open  bool // a line without its end is on the terminal
}

func newProgress(w io.Writer, what string) *progress {
	return &progress{w: w, tty: terminal(w), what: what, tenth: -1}
}

// step shows done of total; a total of 0 is unknown.
func (p *progress) step(done, total int64, unit string) {
	text := fmt.Sprintf("%s %s", p.what, amount(done, unit))
	if total > 0 {
		text = fmt.Sprintf("%s %3d%%  %s of %s", p.what, 100*min(done, total)/total, amount(done, unit), amount(total, unit))
	}
	p.text(done, total, text)
}

// text shows a line about done of total.
func (p *progress) text(done, total int64, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w == nil {
		return
	}
	tenth := int64(0)
	if total > 0 {
		tenth = 10 * min(done, total) / total
	}
	switch now := time.Now(); {
	case p.tty && (now.Sub(p.last) > 80*time.Millisecond || done == total):
		fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		p.last, p.open = now, true
	case !p.tty && (tenth/5 > p.tenth/5 || p.tenth < 0):
		fmt.Fprintln(p.w, text)
		p.tenth = tenth
	}
}

// count shows a number that has no end, on terminals only.
func (p *progress) count(n int64, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.tty && now.Sub(p.last) > 80*time.Millisecond {
		fmt.Fprintf(p.w, "\r\x1b[K%s %d %s", p.what, n, text)
		p.last, p.open = now, true
	}
}

// done ends the line.
func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		fmt.Fprintln(p.w)
		p.open = false
	}
}

// amount writes bytes in binary units and anything else as a count.
func amount(n int64, unit string) string {
	switch {
	case unit == "bytes":
		return byteSize(n)
	case n == 1:
		return "1 " + singular(unit)
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// singular is the word for one of many.
func singular(unit string) string {
	switch unit {
	case "classes":
		return "class"
	case "leaves":
		return "leaf"
	case "witnesses":
		return "witness"
	case "runs of segments":
		return "run of segments"
	}
	return strings.TrimSuffix(unit, "s")
}

func byteSize(n int64) string {
	const k = 1024
	if n < k {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/k, 0
	for f >= k && i < 3 {
		f, i = f/k, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGT"[i])
}

// short is a digest cut down for tables; commands take the whole one or any prefix that is unambiguous.
func short(digest string) string {
	s := strings.TrimPrefix(digest, "sha256:")
	return s[:min(16, len(s))]
}

func when(unixMillis int64) string {
	if unixMillis <= 0 {
		return "-"
	}
	return time.UnixMilli(unixMillis).UTC().Format("2006-01-02 15:04:05Z")
}

// money writes millionths of a currency unit.
func money(millionths int64, currency string) string {
	s := fmt.Sprintf("%d.%06d", millionths/1e6, millionths%1e6)
	s = strings.TrimRight(s, "0")
	if strings.HasSuffix(s, ".") {
		s += "00"
	}
	return s + " " + currency
}
