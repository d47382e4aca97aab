// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

func seeds() []string {
	return []string{
		"Dear John Smith, mail jane@acme.com, call (212) 736-5000, SSN 219-09-9999, card 4111 1111 1111 1111.",
		"12 Oak Street, Springfield, IL 62704\nborn 12 May 1990, 34 years old",
		"https://acme.com/?u=jane%40acme.com&x=1 10.0.0.1 fe80::1%eth0 3c:22:fb:01:02:03",
		"DE89 3704 0044 0532 0130 00 bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
		"jane&#64;acme.com jane=40acme.com jane (at) acme (dot) com <US_SSN> \u00ad\u200b\ufeff \xff\xc3",
		"<EMAIL_ADDRESS:aaaaaaaaaaaaaaaaaaaaaaaaaa> 219=E2=80=9309=E2=80=939999 ４１１１",
		"on 03/04/2021, May 12th, 1990 10:30 pm, Sat, 12 May 1990 10:11:12 +0200, 12. März 2001",
		"\\u0041\\x41\\n (at) [dot] &nbsp; &#x110000; &#; =C3=A9 =\r\n %E2%82%AC",
	}
}

func splits(text []byte, at int) bool {
	if at >= len(text) || utf8.RuneStart(text[at]) {
		return false
	}
	for i := at - 1; i >= 0 && i >= at-utf8.UTFMax; i-- {
		if r, n := utf8.DecodeRune(text[i:]); r != utf8.RuneError && i+n > at {
			return true
		}
	}
	return false
}

func FuzzFind(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	d := detector(f, redact.Detect{
		Patterns: []redact.Pattern{{Name: "x", Type: "X", Regexp: `[a-z]\d+`}},
		Words:    []redact.Words{{Type: "W", Words: []string{"acme", "oak street", "é", "straße"}}},
		Allow:    []string{"john smith"},
	})
	f.Fuzz(func(t *testing.T, text []byte) {
		found := d.Find(nil, text)
		check(t, text, found)
		check(t, text, d.FindLabelled(nil, "a.phoneNumber", text))
		again := d.Find(nil, text)
		if len(again) != len(found) {
			t.Fatalf("%q: %v, and then %v", text, found, again)
		}
		for i := range found {
			if found[i] != again[i] {
				t.Fatalf("%q: %v, and then %v", text, found[i], again[i])
			}
		}
	})
}

// FuzzRedact: what is outside of findings is as it was, the same keys give the same text, and what was replaced is not found again.
func FuzzRedact(f *testing.F) {
	for i, s := range seeds() {
		f.Add([]byte(s), byte(i))
	}
	ops := []string{
		`{"op":"replace"}`, `{"op":"redact"}`, `{"op":"hash"}`, `{"op":"encrypt"}`, `{"op":"mask","last":2}`, `{"op":"surrogate"}`,
		`{"op":"shift"}`, `{"op":"bucket"}`, `{"op":"replace","text":"7"}`, `{"op":"replace","text":"@"}`,
	}
	types := []string{"structured"}
	d := detector(f, redact.Detect{Types: types})
	var steps []transforms.Step
	for _, o := range ops {
		s, err := redact.New([]byte(`{"detect":["structured"],"operators":{"default":`+o+`}}`), transforms.Schema{}, &transforms.Env{Keys: keys("k")})
		if err != nil {
			f.Fatal(err)
		}
		steps = append(steps, s)
	}
	f.Fuzz(func(t *testing.T, text []byte, n byte) {
		o := ops[int(n)%len(ops)]
		apply := func() ([]byte, bool) {
			return onFile(t, steps[int(n)%len(ops)], text)
		}
		out, ok := apply()
		if !ok {
			return // quarantined
		}
		if again, _ := apply(); !bytes.Equal(out, again) {
			t.Fatalf("%q became %q, and then %q", text, out, again)
		}
		found := d.Find(nil, text)
		if o == ops[0] {
			checkReplaced(t, text, out, found)
		}
		if strings.Contains(o, "surrogate") || strings.Contains(o, "mask") || strings.Contains(o, "shift") || strings.Contains(o, "bucket") {
			return // they write what may be found
		}
		for _, g := range d.Find(nil, out) {
			for _, f := range found {
				if f.Type == g.Type && !written(out[g.Start:g.End], o) {
					t.Fatalf("%s: %q became %q, in which %q is found", o, text, out, out[g.Start:g.End])
				}
			}
		}
		if o == ops[3] {
			back, _, unread, err := reveal(keys("k"), out)
			if err != nil || unread == 0 && !bytes.Contains(text, []byte("<")) && !bytes.Equal(back, text) {
				t.Fatalf("%q became %q and then %q: %v", text, out, back, err)
			}
		}
	})
}

// written reports whether a finding's only letters and digits may be those that the operator's text wrote.
func written(found []byte, o string) bool {
	return strings.Contains(o, `"text":"7"`) && strings.Trim(string(found), "7.:-+/()[] ") == ""
}

// checkReplaced holds a text in which findings became tokens to what it was made of: what stands between tokens is a part of the text that
// no finding has, in order.
func checkReplaced(t *testing.T, text, out []byte, found []span.Finding) {
	t.Helper()
	var want []byte
	at := 0
	for _, f := range found {
		want = append(append(append(append(want, text[at:f.Start]...), '<'), f.Type...), '>')
		at = f.End
	}
	want = append(want, text[at:]...)
	if bytes.Equal(out, want) {
		return
	}
	i, j := 0, 0 // further tokens may stand for parts of want
	for i < len(out) {
		if j < len(want) && out[i] == want[j] {
			i, j = i+1, j+1
			continue
		}
		end := bytes.IndexByte(out[i:], '>')
		if out[i] != '<' || end < 0 {
			t.Fatalf("%q became %q, want %q but for tokens", text, out, want)
		}
		i += end + 1
		next := len(want)
		if i < len(out) {
			stop := bytes.IndexByte(out[i:], '<')
			if stop < 0 {
				stop = len(out) - i
			}
			if next = bytes.Index(want[j:], out[i:i+stop]); next < 0 {
				t.Fatalf("%q became %q, want %q but for tokens", text, out, want)
			}
			next += j
		}
		j = next
	}
}

func FuzzReveal(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Add([]byte("<A:" + strings.Repeat("a", 71) + ">"))
	f.Fuzz(func(t *testing.T, text []byte) {
		out, n, _, err := reveal(keys("k"), text)
		if err != nil || n == 0 && !bytes.Equal(out, text) {
			t.Fatalf("%q became %q: %v", text, out, err)
		}
	})
}

func FuzzConfig(f *testing.F) {
	for _, s := range []string{`{}`, `{"detect":["all","-URL"]}`, `{"operators":{"default":{"op":"mask","last":3}}}`, `{"words":[{"type":"A","words":["b"]}]}`, `{"fields":["a.*"],"minScore":0.5}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := redact.New(b, transforms.Schema{}, &transforms.Env{Keys: keys("k")}); err == nil && (s == nil || !json.Valid(b)) {
			t.Fatalf("%q was taken", b)
		}
	})
}
