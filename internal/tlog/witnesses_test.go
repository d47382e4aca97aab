// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

func cosigner(t testing.TB, name string) *tlog.Cosigner {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tlog.NewCosigner(name, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func cosign(t testing.TB, c *tlog.Cosigner, text string, at int64) string {
	t.Helper()
	line, err := c.Cosign(text, at)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func policy(t testing.TB, threshold int, of ...*tlog.Cosigner) *tlog.Witnesses {
	t.Helper()
	var keys []string
	for _, c := range of {
		keys = append(keys, c.String())
	}
	w, err := tlog.NewWitnesses(threshold, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func checkpoint(t testing.TB, l *usagetest.Log) string {
	t.Helper()
	text, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestCosignatureIsC2SP: the implementation of transparency-dev verifies what we sign, and we verify what it signs.
func TestCosignatureIsC2SP(t *testing.T) {
	l := newLog(t, 3)
	text := checkpoint(t, l)
	c := cosigner(t, "witness.example.org/w1")
	v, err := fnote.NewVerifierForCosignatureV1(c.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(text+cosign(t, c, text, 1_700_000_000)), note.VerifierList(v))
	if err != nil || len(n.Sigs) != 1 {
		t.Fatalf("%+v, %v", n, err)
	}
	if at, err := fnote.CoSigV1Timestamp(n.Sigs[0]); err != nil || at.Unix() != 1_700_000_000 {
		t.Errorf("time %v, %v", at, err)
	}
	skey, _, err := note.GenerateKey(rand.Reader, "other.example.org")
	if err != nil {
		t.Fatal(err)
	}
	s, err := fnote.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := base64.StdEncoding.DecodeString(skey[strings.LastIndex(skey[:len("PRIVATE+KEY+other.example.org+12345678+")], "+")+1:])
	if err != nil {
		t.Fatal(err)
	}
	w, err := tlog.NewWitnessFromKey("other.example.org", ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	p, err := tlog.NewWitnesses(1, w.String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := note.Sign(&note.Note{Text: n.Text, Sigs: nil}, s)
	if err != nil {
		t.Fatal(err)
	}
	line := string(b[strings.Index(string(b), "— "):])
	if _, sigs, err := p.Cosigned(l.Log, text+line); err != nil || len(sigs) != 1 {
		t.Errorf("%v, %v", sigs, err)
	}
}

func TestCosigned(t *testing.T) {
	l := newLog(t, 3)
	text := checkpoint(t, l)
	a, b, c, stranger := cosigner(t, "a.example.org"), cosigner(t, "b.example.org"), cosigner(t, "c.example.org"), cosigner(t, "s.example.org")
	p := policy(t, 2, a, b, c)
	if got := p.Keys(); p.Threshold() != 2 || !slices.Equal(got, []string{a.String(), b.String(), c.String()}) {
		t.Errorf("threshold %d of %q", p.Threshold(), got)
	}
	full := text + cosign(t, c, text, 30) + cosign(t, stranger, text, 1) + cosign(t, a, text, 10)
	cp, sigs, err := p.Cosigned(l.Log, full)
	if err != nil || cp.Size != 3 {
		t.Fatalf("%+v, %v", cp, err)
	}
	if want := []tlog.Cosignature{{Name: "a.example.org", Time: 10}, {Name: "c.example.org", Time: 30}}; !slices.Equal(sigs, want) {
		t.Errorf("got %v, want %v", sigs, want)
	}
	if cp, err := l.ParseCheckpoint(full); err != nil || cp.Size != 3 {
		t.Errorf("the log's own word: %+v, %v", cp, err)
	}
	elsewhere := checkpoint(t, newLog(t, 3))
	grown := newLog(t, 4)
	later := checkpoint(t, grown)
	samename := cosigner(t, "a.example.org")
	for name, c := range map[string]struct {
		text string
		err  error
	}{
		"nobody":                       {text, tlog.ErrUnwitnessed},
		"one of two":                   {text + cosign(t, a, text, 10), tlog.ErrUnwitnessed},
		"one and a stranger":           {text + cosign(t, a, text, 10) + cosign(t, stranger, text, 10), tlog.ErrUnwitnessed},
		"one twice":                    {text + cosign(t, a, text, 10) + cosign(t, a, text, 11), tlog.ErrCheckpoint},
		"a member's name, another key": {text + cosign(t, a, text, 10) + cosign(t, samename, text, 11), tlog.ErrUnwitnessed},
		"one for another tree":         {text + cosign(t, a, text, 10) + cosign(t, b, later, 10), tlog.ErrCheckpoint},
		"another time":                 {text + cosign(t, a, text, 10) + retime(t, cosign(t, b, text, 10), 11), tlog.ErrCheckpoint},
		"no time":                      {text + cosign(t, a, text, 10) + retime(t, cosign(t, b, text, 10), 0), tlog.ErrCheckpoint},
		"a time after all":             {text + cosign(t, a, text, 10) + retime(t, cosign(t, b, text, 10), 1<<63), tlog.ErrCheckpoint},
		"witnesses, but no log":        {text[:strings.Index(text, "— ")] + cosign(t, a, text, 10) + cosign(t, b, text, 10), tlog.ErrCheckpoint},
		"witnesses before the log":     {text[:strings.Index(text, "— ")] + cosign(t, a, text, 10) + cosign(t, b, text, 10) + text[strings.Index(text, "— "):], tlog.ErrCheckpoint},
		"another log":                  {elsewhere + cosign(t, a, elsewhere, 10) + cosign(t, b, elsewhere, 10), tlog.ErrCheckpoint},
		"lines without end":            {text + strings.Repeat(cosign(t, stranger, text, 10), 40), tlog.ErrCheckpoint},
		"a line of words":              {text + "— hear me\n" + cosign(t, a, text, 10) + cosign(t, b, text, 10), tlog.ErrCheckpoint},
		"a signature that is no cosignature": {
			text + strings.Replace(text[strings.Index(text, "— "):], usagetest.Origin, "w.example.org", 1) + cosign(t, a, text, 10) + cosign(t, b, text, 10), tlog.ErrCheckpoint,
		},
		"spare bits": {spill(t, text+cosign(t, a, text, 10)+cosign(t, b, text, 10)), tlog.ErrCheckpoint},
	} {
		if _, _, err := p.Cosigned(l.Log, c.text); !errors.Is(err, c.err) || !errors.Is(err, tlog.ErrLog) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, none := range map[string]*tlog.Witnesses{"nil": nil, "zero": {}} {
		if _, _, err := none.Cosigned(l.Log, full); !errors.Is(err, tlog.ErrUnwitnessed) || none.Threshold() != 0 || none.Keys() != nil {
			t.Errorf("%s policy: %v", name, err)
		}
	}
}

// retime puts another time into a cosignature, without its key.
func retime(t *testing.T, line string, at uint64) string {
	t.Helper()
	i := strings.LastIndex(line, " ") + 1
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line[i:]))
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint64(b[4:], at)
	return line[:i] + base64.StdEncoding.EncodeToString(b) + "\n"
}

func TestLogIsNotItsOwnWitness(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := tlog.NewCosigner("w.example.org", key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tlog.NewLogFromKey("log.example.org", pub)
	if err != nil {
		t.Fatal(err)
	}
	skey := fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", l.Origin(), binary.BigEndian.Uint32(idOf(l)), base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...)))
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	b, err := note.Sign(&note.Note{Text: "log.example.org\n1\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"}, s)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := policy(t, 1, signer).Cosigned(l, string(b)+cosign(t, signer, string(b), 1)); !errors.Is(err, tlog.ErrKey) {
		t.Error(err)
	}
}

func idOf(l *tlog.Log) []byte { id := l.ID(); return id[:4] }

func TestWitnessedInclusion(t *testing.T) {
	l, body := newLog(t, 6), []byte("body")
	p, err := l.Proof(l.Append(body))
	if err != nil {
		t.Fatal(err)
	}
	a := cosigner(t, "a.example.org")
	w := policy(t, 1, a)
	if _, _, err := w.VerifyInclusion(l.Log, body, p); !errors.Is(err, tlog.ErrUnwitnessed) {
		t.Errorf("without a cosignature: %v", err)
	}
	p.Checkpoint += cosign(t, a, p.Checkpoint, 5)
	cp, sigs, err := w.VerifyInclusion(l.Log, body, p)
	if err != nil || cp.Size != 7 || len(sigs) != 1 || sigs[0].Time != 5 {
		t.Errorf("%+v, %v, %v", cp, sigs, err)
	}
	if _, _, err := w.VerifyInclusion(l.Log, []byte("other"), p); !errors.Is(err, tlog.ErrInclusion) {
		t.Errorf("another entry: %v", err)
	}
	if _, err := l.VerifyInclusion(body, p); err != nil {
		t.Errorf("for who trusts no witness: %v", err)
	}
}

func TestWitnessKeys(t *testing.T) {
	a, b := cosigner(t, "a.example.org"), cosigner(t, "b.example.org")
	again, err := tlog.NewWitness(a.String())
	if err != nil || again.String() != a.String() || again.Name() != "a.example.org" {
		t.Fatalf("%v, %v", again, err)
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	samekey, err := tlog.NewCosigner("c.example.org", key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := tlog.NewCosigner("d.example.org", key)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := note.NewEd25519VerifierKey("a.example.org", pub)
	if err != nil {
		t.Fatal(err)
	}
	many := make([]string, tlog.MaxWitnesses+1)
	for i := range many {
		many[i] = cosigner(t, fmt.Sprintf("w%d.example.org", i)).String()
	}
	for name, c := range map[string]struct {
		threshold int
		keys      []string
	}{
		"nobody":             {0, nil},
		"nobody, but one":    {1, nil},
		"threshold zero":     {0, []string{a.String()}},
		"negative threshold": {-1, []string{a.String()}},
		"too high":           {2, []string{a.String()}},
		"one twice":          {1, []string{a.String(), a.String()}},
		"one name":           {1, []string{a.String(), cosigner(t, "a.example.org").String()}},
		"one key":            {1, []string{samekey.String(), other.String()}},
		"a log's key":        {1, []string{plain}},
		"cut":                {1, []string{a.String()[:len(a.String())-4]}},
		"another hash":       {1, []string{strings.Replace(a.String(), "a.example", "e.example", 1)}},
		"empty":              {1, []string{""}},
		"words":              {1, []string{"a b+00000000+AAAA"}},
		"too many":           {1, many},
	} {
		if _, err := tlog.NewWitnesses(c.threshold, c.keys...); !errors.Is(err, tlog.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tlog.NewWitnesses(2, a.String(), b.String()); err != nil {
		t.Error(err)
	}
	for name, n := range map[string]string{"empty": "", "a plus": "a+b", "a space": "a b", "long": strings.Repeat("a", 256), "a control": "a\x01"} {
		if _, err := tlog.NewWitnessFromKey(n, pub); !errors.Is(err, tlog.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, at := range map[string]int64{"zero": 0, "negative": -1} {
		if _, err := a.Cosign(checkpoint(t, newLog(t, 1)), at); !errors.Is(err, tlog.ErrCheckpoint) {
			t.Errorf("time %s: %v", name, err)
		}
	}
	if got := (tlog.Witness{}).String(); got != "" {
		t.Errorf("the zero witness is %q", got)
	}
}

func TestConsistency(t *testing.T) {
	l := newLog(t, 0)
	var heads []tlog.Checkpoint
	for i := range 20 {
		l.Append(fmt.Appendf(nil, "%d", i))
		cp, err := l.ParseCheckpoint(checkpoint(t, l))
		if err != nil {
			t.Fatal(err)
		}
		heads = append(heads, cp)
		for _, older := range heads {
			p := l.Consistency(older.Size)
			if err := tlog.VerifyConsistency(older, cp, p); err != nil {
				t.Fatalf("%d to %d: %v", older.Size, cp.Size, err)
			}
			forked := older
			forked.Root[0] ^= 1
			if err := tlog.VerifyConsistency(forked, cp, p); !errors.Is(err, tlog.ErrInconsistent) {
				t.Fatalf("a fork at %d: %v", older.Size, err)
			}
			if err := tlog.VerifyConsistency(older, cp, append(p, envelope.Digest{})); !errors.Is(err, tlog.ErrInconsistent) {
				t.Fatalf("a longer proof at %d: %v", older.Size, err)
			}
		}
	}
	a, b := heads[3], heads[9]
	other := a
	other.Origin = "other.example.org"
	for name, err := range map[string]error{
		"backwards":        tlog.VerifyConsistency(b, a, nil),
		"nothing at first": tlog.VerifyConsistency(tlog.Checkpoint{Origin: a.Origin}, b, nil),
		"of another log":   tlog.VerifyConsistency(other, b, l.Consistency(4)),
		"the zero values":  tlog.VerifyConsistency(tlog.Checkpoint{}, tlog.Checkpoint{}, nil),
		"no proof":         tlog.VerifyConsistency(a, b, nil),
		"an endless proof": tlog.VerifyConsistency(a, b, make([]envelope.Digest, 64)),
	} {
		if !errors.Is(err, tlog.ErrInconsistent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzCosigned: whatever the text, what counts is what the members signed, of the log's own checkpoint.
func FuzzCosigned(f *testing.F) {
	l := newLog(f, 3)
	text := checkpoint(f, l)
	a, b := cosigner(f, "a.example.org"), cosigner(f, "b.example.org")
	p := policy(f, 2, a, b)
	good := text + cosign(f, a, text, 7) + cosign(f, b, text, 9)
	for _, s := range []string{good, text, good + cosign(f, cosigner(f, "c.example.org"), text, 1), text + cosign(f, a, text, 7), ""} {
		f.Add(s)
	}
	want, err := l.ParseCheckpoint(text)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cp, sigs, err := p.Cosigned(l.Log, s)
		if err != nil {
			return
		}
		if cp != want || !slices.Equal(sigs, []tlog.Cosignature{{Name: "a.example.org", Time: 7}, {Name: "b.example.org", Time: 9}}) {
			t.Errorf("%+v, %v", cp, sigs)
		}
	})
}

// TestAttackPoisonedLine: whoever carries a checkpoint adds a line in the name of a witness that the first reader does not
// know. It must not spoil the checkpoint for a later reader who does, and the first keeps none of it.
func TestAttackPoisonedLine(t *testing.T) {
	l := newLog(t, 10)
	w1, w2, w3 := cosigner(t, "w1.example.org"), cosigner(t, "w2.example.org"), cosigner(t, "w3.example.org")
	text := checkpoint(t, l)
	good := text + cosign(t, w1, text, 1000)
	poisoned := good + retime(t, cosign(t, w2, text, 1000), 1001) + cosign(t, w3, text, 1000)
	all := policy(t, 1, w1, w2)
	if _, sigs, err := all.Cosigned(l.Log, poisoned); err != nil || len(sigs) != 1 || sigs[0].Name != w1.Name() {
		t.Errorf("one of two, and the other's line is false: %v, %v", sigs, err)
	}
	if _, _, err := policy(t, 2, w1, w2).Cosigned(l.Log, poisoned); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("two of two, and one is false: %v", err)
	}
	for name, p := range map[string]*tlog.Witnesses{"w1": policy(t, 1, w1), "w1 or w2": all} {
		if got, err := p.Trim(l.Log, poisoned, 1000, 1000); err != nil || got != good {
			t.Errorf("%s keeps\n%s, %v; want\n%s", name, got, err, good)
		}
	}
	if got, err := policy(t, 1, w2).Trim(l.Log, poisoned, 1000, 1000); err == nil || got != "" {
		t.Errorf("kept %q of a checkpoint that is not cosigned: %v", got, err)
	}
}

// TestWrongClock: of a witness whose clock is wrong nothing is kept, and it does not count.
func TestWrongClock(t *testing.T) {
	l := newLog(t, 10)
	w1, w2, w3 := cosigner(t, "w1.example.org"), cosigner(t, "w2.example.org"), cosigner(t, "w3.example.org")
	text := checkpoint(t, l)
	good := text + cosign(t, w1, text, 1000) + cosign(t, w3, text, 1100)
	for _, wrong := range []int64{999, 1101} {
		mixed := good + cosign(t, w2, text, wrong)
		if got, err := policy(t, 2, w1, w2, w3).Trim(l.Log, mixed, 1000, 1100); err != nil || got != good {
			t.Errorf("kept\n%s, %v; want\n%s", got, err, good)
		}
		if got, err := policy(t, 3, w1, w2, w3).Trim(l.Log, mixed, 1000, 1100); !errors.Is(err, tlog.ErrUnwitnessed) || !strings.Contains(err.Error(), "w2.example.org says that it is 1970-01-01T00:") || got != "" {
			t.Errorf("kept %q, %v", got, err)
		}
	}
}

// TestMinorityThreshold: two honest witnesses sign one fork each. A policy that both views satisfy says so of itself.
func TestMinorityThreshold(t *testing.T) {
	l := newLog(t, 10)
	a, b := cosigner(t, "a.example.org"), cosigner(t, "b.example.org")
	fork := l.Fork(10)
	l.Append([]byte("a"))
	fork.Append([]byte("b"))
	one, other := checkpoint(t, l), checkpoint(t, fork)
	one, other = one+cosign(t, a, one, 10), other+cosign(t, b, other, 10)
	for threshold, split := range map[int]bool{1: true, tlog.Majority(2): false} {
		p := policy(t, threshold, a, b)
		_, _, err1 := p.Cosigned(l.Log, one)
		_, _, err2 := p.Cosigned(l.Log, other)
		if both := err1 == nil && err2 == nil; both != split || p.Split() != split {
			t.Errorf("threshold %d: both views satisfy it: %v; it says %v", threshold, both, p.Split())
		}
	}
	for n, want := range map[int]int{0: 1, 1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 16: 9} {
		if got := tlog.Majority(n); got != want {
			t.Errorf("majority of %d: %d", n, got)
		}
	}
}
