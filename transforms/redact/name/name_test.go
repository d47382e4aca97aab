// SPDX-License-Identifier: Apache-2.0

package name_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/name"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// found writes the findings of a text as "TYPE text".
func found(text string) []string {
	var out []string
	for _, f := range name.Default().Tag(nil, []byte(text)) {
		if f.Score >= span.Medium {
			out = append(out, fmt.Sprintf("%s %s", f.Type, text[f.Start:f.End]))
		}
	}
	return out
}

func TestSentences(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		// Persons.
		{"Yesterday Margaret Thornbury called about the invoice.", []string{"PERSON Margaret Thornbury"}},
		{"Dr. Amara Nwosu will see you at noon.", []string{"PERSON Amara Nwosu"}},
		{"I spoke with Jan van der Meer and Sofia Lindqvist.", []string{"PERSON Jan van der Meer", "PERSON Sofia Lindqvist"}},
		{"Best regards,\nKatarzyna Wiśniewska", []string{"PERSON Katarzyna Wiśniewska"}},
		{"This is Emily's umbrella.", []string{"PERSON Emily"}},
		{"my name is jonathan pearce and i need help", []string{"PERSON jonathan pearce"}},
		{"Sean O'Callaghan signed the form.", []string{"PERSON Sean O'Callaghan"}},
		{"Sehr geehrter Herr Baumgartner,\n\nvielen Dank für Ihre Nachricht.", []string{"PERSON Baumgartner"}},
		// Places.
		{"We flew from Lisbon to Toronto in March.", []string{"LOCATION Lisbon", "LOCATION Toronto"}},
		{"She grew up in New Zealand.", []string{"LOCATION New Zealand"}},
		{"The German car was cheaper than the Italian one.", nil},
		// Organisations.
		{"He works for Deutsche Bank as an analyst.", []string{"ORGANIZATION Deutsche Bank"}},
		{"The contract was signed by Harlow & Finch LLP.", []string{"ORGANIZATION Harlow & Finch LLP"}},
		// Addresses.
		{"Please send it to 742 Maple Avenue, Springfield, IL 62704.", []string{"ADDRESS 742 Maple Avenue, Springfield, IL 62704"}},
		{"Unsere Anschrift: Lindenstraße 14, 10969 Berlin", []string{"ADDRESS Lindenstraße 14, 10969 Berlin"}},
		{"Ship to:\n18 Harbour Street\nApt. 4\nBoston, MA 02110\n", []string{"ADDRESS 18 Harbour Street\nApt. 4\nBoston, MA 02110"}},
		// Nobody.
		{"The meeting is on Monday, and the report is due in April.", nil},
		{"Click Start, then choose Settings and press OK.", nil},
		{"func main() { fmt.Println(strings.ToUpper(name)) }", nil},
		{"", nil},
	} {
		if got := found(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q:\n got %q\nwant %q", c.text, got, c.want)
		}
	}
}

// TestAgain: a first name that the tagger alone would not be sure of is found where the whole name stands elsewhere.
func TestAgain(t *testing.T) {
	const text = "Thandeka Vilakhazi wrote on Monday.\n\nThandeka Vilakhazi is in the office.\n\nWhat about that, Vilakhazi?"
	got := strings.Join(found(text), "|")
	if strings.Count(got, "Vilakhazi") != 3 {
		t.Errorf("%s", got)
	}
}

// TestSame: the same text gives the same findings, whatever was tagged before.
func TestSame(t *testing.T) {
	fresh := func() *name.Tagger {
		model, err := modelFile()
		if err != nil {
			t.Fatal(err)
		}
		tagger, err := name.New(model)
		if err != nil {
			t.Fatal(err)
		}
		return tagger
	}
	want := fresh().Tag(nil, []byte(letter))
	if len(want) == 0 {
		t.Fatal("nothing found")
	}
	tagger := fresh()
	for _, before := range []string{"", "Ann Lee\n", strings.Repeat("Bob Stone lives in Rome. ", 900), "\xff\xfe\x80"} {
		tagger.Tag(nil, []byte(before))
		if got := tagger.Tag(nil, []byte(letter)); !slices.Equal(got, want) {
			t.Errorf("after %d bytes: %v, want %v", len(before), got, want)
		}
	}
}

func TestAppends(t *testing.T) {
	first := span.Finding{Type: span.Email, Start: 5, End: 9}
	got := name.Default().Tag([]span.Finding{first}, []byte("Call Harriet Boone in Chicago."))
	if len(got) < 3 || got[0] != first {
		t.Errorf("%v", got)
	}
}

// check fails the test where a finding is out of range, in the middle of a rune, out of order or of an unknown type.
func check(t *testing.T, text []byte, all []span.Finding) {
	t.Helper()
	last := -1
	for _, f := range all {
		switch {
		case f.Start < 0 || f.End > len(text) || f.Start >= f.End || f.Start < last:
			t.Fatalf("%+v of %d bytes, after %d", f, len(text), last)
		case f.Score < 0 || f.Score > 1000:
			t.Fatalf("score %d", f.Score)
		case utf8.Valid(text) && (!utf8.RuneStart(text[f.Start]) || f.End < len(text) && !utf8.RuneStart(text[f.End])):
			t.Fatalf("%+v splits a rune", f)
		case f.Type != span.Person && f.Type != span.Location && f.Type != span.Organisation && f.Type != span.Address:
			t.Fatalf("type %q", f.Type)
		}
		last = f.End
	}
}

// hostile are texts that a careless tagger is slow on, or breaks at.
var hostile = []string{
	"A", "a ", "A ", "Ann ", "New ", "San San ", "1 ", "1", "\n", "\n \n", "@", "a@", "a.", "//", "a/", ".", "'", "a'", "o'o'o'", "é", "\u0301",
	"e\u0301", "李", "\xff", "\xf0\x9f", "\x00", "_", "-", "St. ", "United States of ", "12 Main St, ", ">>> ", "Mr. ", "\r\n", "\u2028", "İ", "ǅ",
}

func TestHostile(t *testing.T) {
	tagger := name.Default()
	for _, s := range hostile {
		text := []byte(strings.Repeat(s, 20_000/len(s)))
		check(t, text, tagger.Tag(nil, text))
	}
}

func FuzzTag(f *testing.F) {
	seeds := append(slices.Clone(hostile), letter)
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, s := range seeds {
		f.Add([]byte(s))
		f.Add([]byte(strings.Repeat(s, 40)))
	}
	tagger := name.Default()
	f.Fuzz(func(t *testing.T, text []byte) {
		got := tagger.Tag(nil, text)
		check(t, text, got)
		if !slices.Equal(got, tagger.Tag(nil, text)) {
			t.Fatal("another answer at the second call")
		}
	})
}

// FuzzNew: a broken model is refused or works; it never panics.
func FuzzNew(f *testing.F) {
	model, err := modelFile()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(0, byte(1))
	f.Add(17, byte(0xFF))
	f.Add(len(model)-1, byte(1))
	f.Fuzz(func(t *testing.T, at int, flip byte) {
		broken := bytes.Clone(model)
		if at < 0 || at > len(broken) {
			return
		}
		if at < len(broken) {
			broken[at] ^= flip
		}
		if flip == 0 {
			broken = broken[:at]
		}
		tagger, err := name.New(broken)
		if err != nil {
			if !errors.Is(err, name.ErrModel) {
				t.Fatalf("%v does not wrap ErrModel", err)
			}
			return
		}
		text := []byte(letter)
		check(t, text, tagger.Tag(nil, text))
	})
}

// TestDigest: the model is the one that SOURCES.md records.
func TestDigest(t *testing.T) {
	sources, err := os.ReadFile(filepath.Join("train", "SOURCES.md"))
	if err != nil {
		t.Fatal(err)
	}
	digest := name.Default().Digest()
	if !bytes.Contains(sources, []byte(hex.EncodeToString(digest[:]))) {
		t.Errorf("SOURCES.md does not record model %x", digest)
	}
}

// TestWASM: the package builds for the guests that ship.
func TestWASM(t *testing.T) {
	if testing.Short() {
		t.Skip("builds for another platform")
	}
	cmd := exec.Command("go", "build", "-o", os.DevNull, ".")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
