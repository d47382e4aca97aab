// SPDX-License-Identifier: Apache-2.0

package tx_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// lent is what callees ask for in these tests.
type lent struct{ draws []string }

func (*lent) Token(kind uint32, text []byte) ([]byte, bool, error) {
	return append([]byte("token of "), text...), kind == 0, nil
}

func (l *lent) Laplace(record uint32, sensitivity, epsilon int64) (int64, error) {
	l.draws = append(l.draws, fmt.Sprint(record, sensitivity, epsilon))
	return -3, nil
}

// TestConversation: both ends, with everything that a module may ask for.
func TestConversation(t *testing.T) {
	down, toCallee := io.Pipe()
	fromCallee, up := io.Pipe()
	var words bytes.Buffer
	l := &lent{}
	caller := tx.NewCaller(toCallee, bufio.NewReader(fromCallee), tx.Lent{Token: true, Epsilon: 10, Services: l, Words: &words})
	ended := make(chan error, 1)
	go func() {
		c := tx.NewCallee(down, up)
		ended <- func() error {
			for {
				batch, flush, err := c.Next()
				if err != nil {
					return err
				}
				token, ok, err := c.Token(0, batch)
				if err != nil || !ok {
					return fmt.Errorf("token %v, %w", ok, err)
				}
				if _, ok, err := c.Token(1, batch); err != nil || ok {
					return fmt.Errorf("token of another kind %v, %w", ok, err)
				}
				if n, err := c.Laplace(0, 2, 10); !flush && (err != nil || n != -3) {
					return fmt.Errorf("noise %d, %w", n, err)
				}
				if _, err := c.Write([]byte("words ")); err != nil {
					return err
				}
				if err := c.Done(tx.Result{Fuel: 7, Findings: tx.Counts(map[string]int64{"B": 2, "A": 1})}, token); err != nil {
					return err
				}
			}
		}()
	}()
	for range 2 { // each batch may spend anew
		r, out, err := caller.Batch([]byte("frames"), 1)
		if err != nil || string(out) != "token of frames" || r.Fuel != 7 || fmt.Sprint(r.Findings) != "[{A 1} {B 2}]" {
			t.Fatalf("%+v, %q, %v", r, out, err)
		}
	}
	if words.String() != "words words " || strings.Join(l.draws, ";") != "0 2 10;0 2 10" {
		t.Errorf("%q, drew %q", words.String(), l.draws)
	}
	if _, _, err := caller.Flush(); !errors.Is(err, tx.ErrProtocol) { // there is no record to draw for
		t.Error(err)
	}
	toCallee.Close()
	fromCallee.Close()
	<-ended
}

func message(kind byte, payload string) string {
	return string(kind) + string(binary.BigEndian.AppendUint32(nil, uint32(len(payload)))) + payload
}

func done(t testing.TB, r tx.Result, answer string) string {
	t.Helper()
	var b bytes.Buffer
	if err := tx.NewCallee(nil, &b).Done(r, []byte(answer)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestHostileCallee: a callee that sends what no honest one sends is believed nothing.
func TestHostileCallee(t *testing.T) {
	noise := func(record uint32, sensitivity, epsilon int64) string {
		b := binary.BigEndian.AppendUint32(nil, record)
		b = binary.BigEndian.AppendUint64(b, uint64(sensitivity))
		return message('N', string(binary.BigEndian.AppendUint64(b, uint64(epsilon))))
	}
	many := tx.Result{Fuel: 1}
	for n := range 257 {
		many.Findings = append(many.Findings, tx.Count{Type: fmt.Sprintf("T%03d", n), Count: 1})
	}
	all := tx.Lent{Token: true, Epsilon: 10, Services: &lent{}}
	for what, c := range map[string]struct {
		lent tx.Lent
		said string
		want error
	}{
		"nothing":                    {all, "", io.EOF},
		"half a message":             {all, "D\x00\x00", io.ErrUnexpectedEOF},
		"another kind":               {all, message('x', ""), tx.ErrProtocol},
		"its caller's kind":          {all, message('b', ""), tx.ErrProtocol},
		"a huge result":              {all, "D\xff\xff\xff\xff", tx.ErrProtocol},
		"a result that is none":      {all, message('D', "{}"), tx.ErrProtocol},
		"not canonical":              {all, message('D', `{"reason":"", "detail":"","fuel":1,"findings":[]}`), tx.ErrProtocol},
		"less than no fuel":          {all, done(t, tx.Result{Fuel: -1}, ""), tx.ErrProtocol},
		"no answer":                  {all, done(t, tx.Result{Fuel: 1, Reason: "x"}, ""), nil},
		"another answer":             {all, strings.Replace(done(t, tx.Result{Fuel: 1}, "a"), "M\x00", "T\x00", 1), tx.ErrProtocol},
		"an answer too long":         {all, done(t, tx.Result{Fuel: 1}, strings.Repeat("a", int(tx.AnswerLimit(1))+1)), tx.ErrProtocol},
		"a finding in words":         {all, done(t, tx.Result{Fuel: 1, Findings: []tx.Count{{Type: "a name", Count: 1}}}, ""), tx.ErrProtocol},
		"a finding of no type":       {all, done(t, tx.Result{Fuel: 1, Findings: []tx.Count{{Count: 1}}}, ""), tx.ErrProtocol},
		"less than no findings":      {all, done(t, tx.Result{Fuel: 1, Findings: []tx.Count{{Type: "A", Count: -1}}}, ""), tx.ErrProtocol},
		"findings twice":             {all, done(t, tx.Result{Fuel: 1, Findings: []tx.Count{{Type: "A", Count: 1}, {Type: "A", Count: 1}}}, ""), tx.ErrProtocol},
		"too many types":             {all, done(t, many, ""), tx.ErrProtocol},
		"a token not lent":           {tx.Lent{}, message('T', "\x00\x00\x00\x00x"), tx.ErrProtocol},
		"a token of nobody":          {tx.Lent{Token: true}, message('T', "\x00\x00\x00\x00x"), tx.ErrProtocol},
		"a token of no kind":         {all, message('T', "\x00\x00\x00"), tx.ErrProtocol},
		"a token of too much":        {all, message('T', strings.Repeat("x", 4<<10+5)), tx.ErrProtocol},
		"noise not lent":             {tx.Lent{Token: true, Services: &lent{}}, noise(0, 1, 1), tx.ErrProtocol},
		"noise for no record":        {all, noise(1, 1, 1), tx.ErrProtocol},
		"noise for nothing":          {all, noise(0, 0, 1), tx.ErrProtocol},
		"noise for less":             {all, noise(0, 1, -1), tx.ErrProtocol},
		"noise for too much":         {all, noise(0, 1, 11), tx.ErrAsked},
		"noise for too much at last": {all, noise(0, 1, 6) + noise(0, 1, 5), tx.ErrAsked},
		"noise in part":              {all, message('N', "\x00"), tx.ErrProtocol},
		"words to nobody":            {all, message('W', "words"), tx.ErrProtocol},
		"too many words":             {tx.Lent{Words: io.Discard}, "W\x00\x02\x00\x00", tx.ErrProtocol},
	} {
		t.Run(what, func(t *testing.T) {
			caller := tx.NewCaller(io.Discard, bufio.NewReader(strings.NewReader(c.said)), c.lent)
			if _, _, err := caller.Batch([]byte{0}, 1); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	twice := done(t, tx.Result{Fuel: 1}, "a")
	caller := tx.NewCaller(io.Discard, bufio.NewReader(strings.NewReader(twice+twice)), all)
	if _, _, err := caller.Batch([]byte{0}, 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := caller.Batch([]byte{0}, 1); !errors.Is(err, tx.ErrProtocol) {
		t.Errorf("an answer before its batch: %v", err)
	}
}

// FuzzCaller: whatever a callee sends, the caller gives bounded answers and never spends more than lent.
func FuzzCaller(f *testing.F) {
	for _, s := range []string{
		"", done(f, tx.Result{Fuel: 1}, "answer"), done(f, tx.Result{Fuel: 1, Reason: "trap"}, ""), message('T', "\x00\x00\x00\x00x"),
		message('N', "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05") + done(f, tx.Result{Fuel: 1}, ""), message('W', "x"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		l := &lent{}
		c := tx.NewCaller(io.Discard, bufio.NewReader(bytes.NewReader(said)), tx.Lent{Token: true, Epsilon: 10, Services: l, Words: io.Discard})
		r, out, err := c.Batch([]byte{0}, 2)
		if err == nil && r.Reason == "" && int64(len(out)) > tx.AnswerLimit(1) {
			t.Fatalf("%d bytes", len(out))
		}
		spent := map[string]int64{}
		for _, d := range l.draws {
			var record string
			var s, e int64
			if _, err := fmt.Sscan(d, &record, &s, &e); err != nil || s < 1 || e < 1 {
				t.Fatal(d, err)
			}
			if spent[record] += e; spent[record] > 10 || record > "1" {
				t.Fatalf("%q", l.draws)
			}
		}
	})
}

// keys are keys for tests.
type keys byte

func (k keys) Dataset(label string) [32]byte {
	return envelope.Hash("dataset", []byte{byte(k)}, []byte(label))
}

func (k keys) Grant(label string) [32]byte {
	return envelope.Hash("grant", []byte{byte(k)}, []byte(label))
}

// TestLend: tokens stay the same within a grant and a step, and nowhere else; noise is there where a step has some to spend.
func TestLend(t *testing.T) {
	token := func(k keys, config string, kind uint32, text string) string {
		s := step("tx/1", "map")
		s.Config = []byte(config)
		l, err := tx.Lend(s, k, nil)
		if err != nil || !l.Token || l.Epsilon != 0 {
			t.Fatalf("%+v, %v", l, err)
		}
		b, ok, err := l.Services.Token(kind, []byte(text))
		if err != nil || ok != (len(b) > 0) {
			t.Fatalf("%q, %v, %v", b, ok, err)
		}
		return string(b)
	}
	for kind, text := range map[uint32]string{tx.TokenHMAC: "ann@example.org", tx.TokenDigits: "5550100"} {
		first := token(1, "{}", kind, text)
		if want := map[uint32]int{0: 32, 1: 7}[kind]; len(first) != want || token(1, "{}", kind, text) != first {
			t.Errorf("kind %d: %q of %d bytes, want %d", kind, first, len(first), want)
		}
		for what, other := range map[string]string{
			"grant": token(2, "{}", kind, text), "step": token(1, `{"a":1}`, kind, text), "text": token(1, "{}", kind, text[:len(text)-1]+"2"),
		} {
			if other == first {
				t.Errorf("kind %d: the same token for another %s", kind, what)
			}
		}
	}
	for _, text := range []string{"", "12345", "12345x"} {
		if got := token(1, "{}", tx.TokenDigits, text); got != "" {
			t.Errorf("digits %q for %q", got, text)
		}
	}
	if got := token(1, "{}", 2, "text"); got != "" {
		t.Errorf("a token of kind 2: %q", got)
	}
	s := step("tx/1", "map")
	s.Epsilon = 500_000
	if _, err := tx.Lend(s, nil, nil); !errors.Is(err, transforms.ErrEnv) {
		t.Errorf("noise from nowhere: %v", err)
	}
	l, err := tx.Lend(s, nil, rand.NewChaCha8([32]byte{}))
	if err != nil || l.Token || l.Epsilon != 500_000 {
		t.Fatalf("%+v, %v", l, err)
	}
	seen := map[int64]bool{}
	for range 100 {
		n, err := l.Services.Laplace(0, 1, 500_000)
		if err != nil || n < -100 || n > 100 {
			t.Fatal(n, err)
		}
		seen[n] = true
	}
	if len(seen) < 5 {
		t.Errorf("noise of %d values", len(seen))
	}
	for _, c := range [][2]int64{{0, 1}, {1, 0}, {-1, 1}, {1 << 50, 1}, {1 << 42, 1}} {
		if _, err := l.Services.Laplace(0, c[0], c[1]); !errors.Is(err, tx.ErrAsked) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if _, _, err := l.Services.Token(0, nil); !errors.Is(err, transforms.ErrEnv) {
		t.Errorf("a token without keys: %v", err)
	}
}

func TestConfig(t *testing.T) {
	s := step("tx/1", "filter")
	s.Config = []byte(`{"b":1}`)
	b, err := tx.NewConfig(s, transforms.Schema{Format: "csv", Columns: []string{"x", "y"}})
	if want := `{"columns":["x","y"],"config":{"b":1},"format":"csv","shape":"filter"}`; err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	if err := tx.Pinned(s, []byte("module")); err != nil {
		t.Error(err)
	}
	for _, m := range []string{"", "Module"} {
		if err := tx.Pinned(s, []byte(m)); !errors.Is(err, transforms.ErrUnknown) {
			t.Errorf("%q: %v", m, err)
		}
	}
}
