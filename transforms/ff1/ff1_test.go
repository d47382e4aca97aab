// SPDX-License-Identifier: Apache-2.0

package ff1

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const (
	key128 = "2b7e151628aed2a6abf7158809cf4f3c"
	key192 = key128 + "ef4359d8d580aa4f"
	key256 = key192 + "7f036d6f04fc6a94"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestNIST has all samples that NIST gives for FF1.
func TestNIST(t *testing.T) {
	const tweak10, tweak36 = "39383736353433323130", "3737373770717273373737"
	for i, v := range []struct{ key, alphabet, tweak, plain, cipher string }{
		{key128, Digits, "", "0123456789", "2433477484"},
		{key128, Digits, tweak10, "0123456789", "6124200773"},
		{key128, LowerDigits, tweak36, "0123456789abcdefghi", "a9tv40mll9kdu509eum"},
		{key192, Digits, "", "0123456789", "2830668132"},
		{key192, Digits, tweak10, "0123456789", "2496655549"},
		{key192, LowerDigits, tweak36, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"},
		{key256, Digits, "", "0123456789", "6657667009"},
		{key256, Digits, tweak10, "0123456789", "1001623463"},
		{key256, LowerDigits, tweak36, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"},
	} {
		c, err := NewText(unhex(t, v.key), v.alphabet, "")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Encrypt(nil, []byte(v.plain), unhex(t, v.tweak)); err != nil || string(got) != v.cipher {
			t.Errorf("sample %d: %s, %v, want %s", i+1, got, err, v.cipher)
		}
		if got, err := c.Decrypt(nil, []byte(v.cipher), unhex(t, v.tweak)); err != nil || string(got) != v.plain {
			t.Errorf("sample %d: back to %s, %v", i+1, got, err)
		}
	}
}

func someNumerals(r *rand.Rand, radix, n int) []uint16 {
	x := make([]uint16, n)
	for i := range x {
		x[i] = uint16(r.IntN(radix))
	}
	return x
}

// TestShortIsLong holds the way for short strings to the one for any, which is the standard's text.
func TestShortIsLong(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{1}))
	short := 0
	for range 4000 {
		radix := []int{2, 3, 10, 16, 26, 36, 62, 255, 256, 1000, 65535, 65536}[r.IntN(12)]
		c, err := New(unhex(t, key256), radix)
		if err != nil {
			t.Fatal(err)
		}
		n := c.Least() + r.IntN(70)
		low, high, ok := c.powers(n)
		if !ok {
			continue
		}
		short++
		tweak := make([]byte, r.IntN(40))
		for i := range tweak {
			tweak[i] = byte(r.Uint32())
		}
		x := someNumerals(r, radix, n)
		for _, back := range []bool{false, true} {
			a, b := slices.Clone(x), slices.Clone(x)
			c.short(a[:n/2], a[n/2:], low, high, tweak, back)
			c.long(b[:n/2], b[n/2:], tweak, back)
			if !slices.Equal(a, b) {
				t.Fatalf("radix %d, %d numerals: the two ways differ", radix, n)
			}
		}
	}
	if short < 500 {
		t.Errorf("only %d were short", short)
	}
	c, _ := New(unhex(t, key256), 10)
	if _, _, ok := c.powers(56); !ok {
		t.Error("56 digits are not short")
	}
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{2}))
	for _, radix := range []int{2, 7, 10, 36, 256, 65536} {
		for _, size := range []int{16, 24, 32} {
			c, err := New(unhex(t, key256)[:size], radix)
			if err != nil {
				t.Fatal(err)
			}
			for n := c.Least(); n < c.Least()+150; n += 1 + n/9 {
				x := someNumerals(r, radix, n)
				y := slices.Clone(x)
				if err := c.Encrypt(y, []byte("tweak")); err != nil {
					t.Fatal(err)
				}
				if n > 30 && slices.Equal(x, y) {
					t.Error("nothing was encrypted")
				}
				other := slices.Clone(y)
				if err := errors.Join(c.Decrypt(y, []byte("tweak")), c.Decrypt(other, []byte("Tweak"))); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(x, y) {
					t.Errorf("radix %d, %d numerals: not the same again", radix, n)
				}
				if n > 30 && slices.Equal(x, other) {
					t.Error("the tweak does not matter")
				}
			}
		}
	}
}

// TestPermutation encrypts a whole domain, the least there is: each string comes out once.
func TestPermutation(t *testing.T) {
	c, err := New(unhex(t, key128), 1000)
	if err != nil {
		t.Fatal(err)
	}
	seen := make([]bool, MinDomain)
	for i := range MinDomain {
		x := []uint16{uint16(i / 1000), uint16(i % 1000)}
		if err := c.Encrypt(x, nil); err != nil {
			t.Fatal(err)
		}
		n := int(x[0])*1000 + int(x[1])
		if seen[n] {
			t.Fatal("two strings became one")
		}
		seen[n] = true
	}
}

func TestDomains(t *testing.T) {
	for radix, least := range map[int]int{2: 20, 3: 13, 10: 6, 16: 5, 26: 5, 36: 4, 62: 4, 999: 3, 1000: 2, 65536: 2} {
		c, err := New(unhex(t, key128), radix)
		if err != nil || c.Least() != least {
			t.Errorf("radix %d needs %d numerals, want %d", radix, c.Least(), least)
			continue
		}
		if err := c.Encrypt(make([]uint16, least-1), nil); !errors.Is(err, ErrDomain) {
			t.Errorf("radix %d: %d numerals: %v", radix, least-1, err)
		}
		if err := c.Encrypt(make([]uint16, MaxNumerals+1), nil); !errors.Is(err, ErrDomain) {
			t.Error("too many numerals were taken")
		}
	}
	c, _ := New(unhex(t, key128), 10)
	if err := c.Encrypt([]uint16{1, 2, 3, 4, 5, 10}, nil); !errors.Is(err, ErrNumeral) {
		t.Errorf("numeral 10 of radix 10: %v", err)
	}
	if err := c.Encrypt(make([]uint16, 6), make([]byte, MaxTweak+1)); !errors.Is(err, ErrTweak) {
		t.Errorf("a long tweak: %v", err)
	}
	for _, radix := range []int{-1, 0, 1, MaxRadix + 1} {
		if _, err := New(unhex(t, key128), radix); !errors.Is(err, ErrKey) {
			t.Errorf("radix %d: %v", radix, err)
		}
	}
	for _, n := range []int{0, 15, 17, 33} {
		if _, err := New(make([]byte, n), 10); !errors.Is(err, ErrKey) {
			t.Errorf("key of %d bytes: %v", n, err)
		}
	}
}

func TestFormattedText(t *testing.T) {
	c, err := NewText(unhex(t, key256), Digits, "- ()+.")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"+1 (555) 010-9999", "000000", "4111-1111-1111-1111", strings.Repeat("7", 3000)} {
		got, err := c.Encrypt([]byte("x"), []byte(text), nil)
		if err != nil || len(got) != len(text)+1 {
			t.Fatalf("%q: %q, %v", text, got, err)
		}
		for i := range text {
			if digit := text[i] >= '0' && text[i] <= '9'; !digit && got[i+1] != text[i] || digit != (got[i+1] >= '0' && got[i+1] <= '9') {
				t.Errorf("%q became %q", text, got)
				break
			}
		}
		if back, err := c.Decrypt(nil, got[1:], nil); err != nil || string(back) != text {
			t.Errorf("%q came back as %q, %v", text, back, err)
		}
	}
	for text, want := range map[string]error{
		"12-345": ErrDomain, "": ErrDomain, "123456 Smith": ErrNumeral, "١٢٣٤٥٦٧": ErrNumeral, "123456\n": ErrNumeral,
		strings.Repeat("7", MaxNumerals+1): ErrDomain,
	} {
		if got, err := c.Encrypt(nil, []byte(text), nil); !errors.Is(err, want) || len(got) > 0 {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
	}
	for _, bad := range [][2]string{{"0", ""}, {"00", ""}, {Digits, "5"}, {"01é", ""}, {Digits, "\n"}, {"0 1", ""}} {
		if _, err := NewText(unhex(t, key256), bad[0], bad[1]); !errors.Is(err, ErrKey) {
			t.Errorf("alphabet %q, separators %q: %v", bad[0], bad[1], err)
		}
	}
}

func TestMod(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{3}))
	wide := func(n u128) *big.Int {
		b := make([]byte, 16)
		n.put(b)
		return new(big.Int).SetBytes(b)
	}
	for range 200_000 {
		n := u128{r.Uint64(), r.Uint64()}.rsh(uint(r.IntN(128)))
		m := u128{r.Uint64(), r.Uint64()}.rsh(uint(r.IntN(128)))
		if m == (u128{}) {
			continue
		}
		want := new(big.Int).Mod(wide(n), wide(m))
		if got := n.mod(m); wide(got).Cmp(want) != 0 {
			t.Fatalf("%v mod %v is %v", n, m, got)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "123456", "12-34 56", "0000000000000000000000000000000000000000000000000000000000000000000", "é123456"} {
		f.Add([]byte(s), []byte("t"))
	}
	c, err := NewText(unhex(f, key128), Digits, " -")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, tweak []byte) {
		got, err := c.Encrypt(nil, text, tweak)
		if err != nil {
			if len(got) > 0 {
				t.Fatal("text beside an error")
			}
			return
		}
		if back, err := c.Decrypt(nil, got, tweak); err != nil || !bytes.Equal(back, text) {
			t.Fatalf("%q came back as %q, %v", text, back, err)
		}
	})
}

func BenchmarkEncrypt(b *testing.B) {
	for name, text := range map[string]string{"card": "4111-1111-1111-1111", "56 digits": strings.Repeat("12345678", 7), "100 digits": strings.Repeat("0123456789", 10)} {
		c, err := NewText(unhex(b, key256), Digits, "-")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				if dst, err = c.Encrypt(dst[:0], []byte(text), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
