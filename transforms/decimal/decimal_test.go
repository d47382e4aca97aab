// SPDX-License-Identifier: Apache-2.0

package decimal

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
)

var samples = []string{
	"0", "-0", "0.0e5", "1", "-1", "+7", "007", "1.50", "1.5", ".5", "5.", "-0.001", "1e3", "1000", "1E-3", "12345678901234567890", "9.99",
	"99999e-4", " 42\t", "-12.75", "0.1", "0.10", "1e18", "1e17", "123456789012345678.9", "-1e-300",
}

func rat(t testing.TB, s string) *big.Rat {
	t.Helper()
	s = strings.TrimPrefix(strings.TrimSpace(s), "+")
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q", s)
	}
	return r
}

func TestAgainstBig(t *testing.T) {
	for _, a := range samples {
		x, ok := Parse([]byte(a))
		if !ok {
			t.Fatalf("%q is no number", a)
		}
		for _, b := range samples {
			y, _ := Parse([]byte(b))
			if got, want := x.Cmp(&y), rat(t, a).Cmp(rat(t, b)); got != want {
				t.Errorf("%s against %s: %d, want %d", a, b, got, want)
			}
			if same := string(x.AppendKey(nil)) == string(y.AppendKey(nil)); same != (rat(t, a).Cmp(rat(t, b)) == 0) {
				t.Errorf("keys of %s and %s: %q, %q", a, b, x.AppendKey(nil), y.AppendKey(nil))
			}
		}
		for _, places := range []int{-3, 0, 1, 2, 6} {
			checkScaled(t, a, &x, places)
		}
		if p, ok := x.Places(); ok {
			if _, exact, fits := x.Scaled(p); fits && !exact {
				t.Errorf("%s needs more than %d places", a, p)
			}
		}
	}
}

func checkScaled(t *testing.T, text string, d *Decimal, places int) {
	t.Helper()
	got, exact, ok := d.Scaled(places)
	r := rat(t, text)
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(places, -places))), nil)
	if places >= 0 {
		r.Mul(r, new(big.Rat).SetInt(ten))
	} else {
		r.Quo(r, new(big.Rat).SetInt(ten))
	}
	want := new(big.Int).Div(r.Num(), r.Denom()) // Euclid's, which is the floor for a positive divisor
	if !ok {
		if want.IsInt64() && len(want.String()) < 18 {
			t.Errorf("%s by %d places does not fit", text, places)
		}
		return
	}
	if want.Cmp(big.NewInt(got)) != 0 || exact != r.IsInt() {
		t.Errorf("%s by %d places: %d, %v, want %s", text, places, got, exact, want)
	}
}

func TestNotNumbers(t *testing.T) {
	for _, s := range []string{"", " ", "-", ".", "e5", "1e", "1e+", "NaN", "inf", "Infinity", "0x10", "1,000", "1_000", "1 2", "--1", "1.2.3", "1e99999999999", "١"} {
		if _, ok := Parse([]byte(s)); ok {
			t.Errorf("%q is a number", s)
		}
	}
	var n Number
	for _, s := range []string{`"1"`, `true`, `{}`, `[1]`} {
		if json.Unmarshal([]byte(s), &n) == nil {
			t.Errorf("%s is a number", s)
		}
	}
}

func TestAppendFixed(t *testing.T) {
	for _, c := range []struct {
		n      int64
		places int
		want   string
	}{{0, 0, "0"}, {0, 2, "0.00"}, {5, 0, "5"}, {-5, 2, "-0.05"}, {12345, 2, "123.45"}, {-1 << 63, 0, "-9223372036854775808"}, {1, 18, "0.000000000000000001"}} {
		if got := string(AppendFixed(nil, c.n, c.places)); got != c.want {
			t.Errorf("%d, %d: %s, want %s", c.n, c.places, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := Parse(b)
		if !ok {
			return
		}
		if d.len() > 0 && (d.at(0) == '0' || d.at(d.len()-1) == '0') {
			t.Fatalf("%q keeps zeros at its ends", b)
		}
		if d.Cmp(&d) != 0 {
			t.Fatal("not itself")
		}
		again, ok := Parse([]byte(strings.Replace(string(d.AppendKey(nil)), "-.", "-0.", 1)))
		if ok && again.Cmp(&d) != 0 {
			t.Fatalf("%q has key %q", b, d.AppendKey(nil))
		}
	})
}
