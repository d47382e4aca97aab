// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

func newLog(t testing.TB, entries int) *usagetest.Log {
	t.Helper()
	l, err := usagetest.NewLog(entries)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestLeafHash is RFC 6962's, by its own words: SHA-256(0x00 ‖ entry). The value for "" is well known.
func TestLeafHash(t *testing.T) {
	if got, want := tlog.LeafHash(nil).Hex(), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"; got != want {
		t.Errorf("got %s", got)
	}
	if got := tlog.LeafHash([]byte("x")); got != envelope.Sum([]byte("\x00x")) {
		t.Errorf("got %s", got)
	}
}

func TestInclusionInTreesOfEverySize(t *testing.T) {
	l := newLog(t, 0)
	for size := range 33 {
		l.Append(fmt.Appendf(nil, "body %d", size))
		for i := range size + 1 {
			p, err := l.Proof(int64(i))
			if err != nil {
				t.Fatal(err)
			}
			body := fmt.Appendf(nil, "body %d", i)
			cp, err := l.VerifyInclusion(body, p)
			if err != nil || cp.Size != int64(size+1) || cp.Origin != l.Origin() {
				t.Fatalf("entry %d of %d: %v", i, size+1, err)
			}
			if _, err := l.VerifyInclusion(append(body, '!'), p); !errors.Is(err, tlog.ErrInclusion) {
				t.Errorf("another body as entry %d of %d: %v", i, size+1, err)
			}
		}
	}
}

func TestBadProofs(t *testing.T) {
	l, body := newLog(t, 6), []byte("body")
	good, err := l.Proof(l.Append(body))
	if err != nil {
		t.Fatal(err)
	}
	l.Append([]byte("later"))
	later, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	foreign := newLog(t, 7)
	other, err := foreign.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bend func(p *tlog.Proof)
		err  error
	}{
		"another index":          {func(p *tlog.Proof) { p.Index-- }, tlog.ErrInclusion},
		"a negative index":       {func(p *tlog.Proof) { p.Index = -1 }, tlog.ErrInclusion},
		"an index beyond":        {func(p *tlog.Proof) { p.Index = p.Size }, tlog.ErrInclusion},
		"another size":           {func(p *tlog.Proof) { p.Size++ }, tlog.ErrInclusion},
		"a negative size":        {func(p *tlog.Proof) { p.Size = -7 }, tlog.ErrInclusion},
		"a path cut short":       {func(p *tlog.Proof) { p.Hashes = p.Hashes[1:] }, tlog.ErrInclusion},
		"a path with more":       {func(p *tlog.Proof) { p.Hashes = append(p.Hashes, envelope.Digest{1}) }, tlog.ErrInclusion},
		"an endless path":        {func(p *tlog.Proof) { p.Hashes = make([]envelope.Digest, 1000) }, tlog.ErrInclusion},
		"a hash altered":         {func(p *tlog.Proof) { p.Hashes = append([]envelope.Digest{{1}}, p.Hashes[1:]...) }, tlog.ErrInclusion},
		"a later tree":           {func(p *tlog.Proof) { p.Checkpoint, p.Size = later, 8 }, tlog.ErrInclusion},
		"a checkpoint elsewhere": {func(p *tlog.Proof) { p.Checkpoint = other }, tlog.ErrCheckpoint},
		"no checkpoint":          {func(p *tlog.Proof) { p.Checkpoint = "" }, tlog.ErrCheckpoint},
	} {
		p := good
		c.bend(&p)
		if _, err := l.VerifyInclusion(body, p); !errors.Is(err, c.err) || !errors.Is(err, tlog.ErrLog) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{"no body": nil, "a huge body": make([]byte, tlog.MaxBody+1)} {
		if _, err := l.VerifyInclusion(b, good); !errors.Is(err, tlog.ErrInclusion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var none *tlog.Log
	if _, err := none.VerifyInclusion(body, good); !errors.Is(err, tlog.ErrKey) {
		t.Errorf("without a key: %v", err)
	}
	if _, err := new(tlog.Log).VerifyInclusion(body, good); !errors.Is(err, tlog.ErrKey) {
		t.Errorf("with the zero key: %v", err)
	}
}

func TestBadCheckpoints(t *testing.T) {
	l := newLog(t, 3)
	good, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if cp, err := l.ParseCheckpoint(good); err != nil || cp.Size != 3 {
		t.Fatalf("%+v, %v", cp, err)
	}
	root := base64.StdEncoding.EncodeToString(make([]byte, 32))
	sign := func(text string) string {
		s, err := l.SignNote(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	signature := good[strings.LastIndex(good, "— "):]
	for name, text := range map[string]string{
		"empty":                  "",
		"no signature":           good[:strings.Index(good, "\n\n")+2],
		"huge":                   good + strings.Repeat(" ", tlog.MaxCheckpoint),
		"the signature twice":    good + signature,
		"another signature":      good + strings.Replace(signature, usagetest.Origin, "witness.example.org", 1),
		"white space":            good + "\n",
		"signed by another log":  mustNote(t, "log.example.org\n3\n"+root+"\n"),
		"of another origin":      sign("log.example.com\n3\n" + root + "\n"),
		"an empty tree":          sign("log.example.org\n0\n" + root + "\n"),
		"a negative tree":        sign("log.example.org\n-3\n" + root + "\n"),
		"a leading zero":         sign("log.example.org\n03\n" + root + "\n"),
		"a plus":                 sign("log.example.org\n+3\n" + root + "\n"),
		"a tree too large":       sign("log.example.org\n9223372036854775807\n" + root + "\n"),
		"no root":                sign("log.example.org\n3\n"),
		"a short root":           sign("log.example.org\n3\n" + root[:40] + "\n"),
		"a root not in base64":   sign("log.example.org\n3\n!" + root[1:] + "\n"),
		"a root not canonical":   sign("log.example.org\n3\n" + root[:42] + "B=\n"),
		"an extension line":      sign("log.example.org\n3\n" + root + "\nextra\n"),
		"an altered size":        strings.Replace(good, "\n3\n", "\n4\n", 1),
		"signature bits spilled": spill(t, good),
	} {
		if _, err := l.ParseCheckpoint(text); !errors.Is(err, tlog.ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// spill sets a bit of the last base64 character of the signature that decoding ignores.
func spill(t *testing.T, text string) string {
	t.Helper()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	i := len(strings.TrimRight(text, "=\n")) - 1
	out := text[:i] + string(alphabet[strings.IndexByte(alphabet, text[i])|1]) + text[i+1:]
	if out == text {
		t.Fatal("no spare bit")
	}
	return out
}

func mustNote(t *testing.T, text string) string {
	t.Helper()
	s, err := newLog(t, 0).SignNote(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLogKeys(t *testing.T) {
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := note.NewEd25519VerifierKey("log.example.org", pub)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tlog.NewLog(vkey)
	if err != nil || !l.Key().Equal(pub) || l.Origin() != "log.example.org" {
		t.Fatalf("%+v, %v", l, err)
	}
	if id := l.ID().Hex()[:8]; id != strings.Split(vkey, "+")[1] {
		t.Errorf("log id starts with %s, the note key hash is in %s", id, vkey)
	}
	for name, origin := range map[string]string{
		"a path": "log.example.org/a", "a port": "log.example.org:80", "upper case": "Log.example.org", "none": "", "a space": "log example", "long": strings.Repeat("a", 256),
	} {
		if _, err := tlog.NewLogFromKey(origin, pub); !errors.Is(err, tlog.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tlog.NewLogFromKey("log.example.org", pub[:31]); !errors.Is(err, tlog.ErrKey) {
		t.Errorf("a short key: %v", err)
	}
	for _, bad := range []string{"", "x", "log.example.org", vkey[:len(vkey)-4], strings.Replace(vkey, "log.", "lag.", 1)} {
		if _, err := tlog.NewLog(bad); !errors.Is(err, tlog.ErrKey) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestLogKeysWithPlus: the base64 of a key may hold a plus, which also separates a verifier key's fields.
func TestLogKeysWithPlus(t *testing.T) {
	met := 0
	for range 200 {
		l := newLog(t, 0)
		if strings.Contains(base64.StdEncoding.EncodeToString(append([]byte{1}, l.Key()...)), "+") {
			met++
		}
	}
	if met == 0 {
		t.Fatal("no key with a plus in 200")
	}
}

func TestBody(t *testing.T) {
	k, err := usagetest.NewKey(envelope.RoleEnclave)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := k.SignRaw(map[string]any{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	body, err := tlog.Body(signed, k.Public())
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := tlog.Body(signed, k.Public()); string(again) != string(body) {
		t.Error("one statement has two entries")
	}
	typ, payload, sig, err := envelope.Parts(signed)
	if err != nil {
		t.Fatal(err)
	}
	h := envelope.Sum(envelope.PAE(typ, payload))
	b64 := base64.StdEncoding.EncodeToString
	want := `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"` + b64(h[:]) +
		`"},"signature":{"content":"` + b64(sig) + `","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"` + b64(k.Public().SPKI()) + `"}}}}}}`
	if string(body) != want || !json.Valid(body) {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if err := tlog.VerifyBody(body, signed, k.Public()); err != nil {
		t.Error(err)
	}
	stranger, err := usagetest.NewKey(envelope.RoleEnclave)
	if err != nil {
		t.Fatal(err)
	}
	resigned, err := k.SignRaw(map[string]any{"a": 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another key":       tlog.VerifyBody(body, signed, stranger.Public()),
		"another signature": tlog.VerifyBody(body, resigned, k.Public()),
		"a byte more":       tlog.VerifyBody(append(body, ' '), signed, k.Public()),
		"nothing":           tlog.VerifyBody(nil, signed, k.Public()),
		"no key":            tlog.VerifyBody(body, signed, envelope.PublicKey{}),
		"no envelope":       tlog.VerifyBody(body, nil, k.Public()),
	} {
		if !errors.Is(err, tlog.ErrBody) {
			t.Errorf("%s: %v", name, err)
		}
	}
	long, err := envelope.Join(envelope.PayloadType, payload, make([]byte, tlog.MaxBody))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tlog.Body(long, k.Public()); !errors.Is(err, tlog.ErrBody) {
		t.Errorf("a signature without end: %v", err)
	}
}

// FuzzParseCheckpoint: what parses under a key is exactly what that key signed.
func FuzzParseCheckpoint(f *testing.F) {
	l := newLog(f, 3)
	good, err := l.Checkpoint()
	if err != nil {
		f.Fatal(err)
	}
	seeds := []string{good, "", good + "\n", good[:len(good)-1], strings.Replace(good, "3", "4", 1)}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if cp, err := l.ParseCheckpoint(text); err == nil && text != good {
			t.Errorf("%s accepted %s", hex.EncodeToString([]byte(text)), cp.Root)
		}
	})
}
