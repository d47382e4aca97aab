// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// surrogate writes something of the same kind that the key chooses: the same for the same text, wherever it stands. It is not a name to
// join by: two texts may have one surrogate. What has no generator of its own keeps its form, with other letters and digits.
type surrogate struct {
	prf   *prf
	dates shift
}

func (surrogate) name() string { return OpSurrogate }
func (surrogate) token() bool  { return false }

// draws is how often it is tried again where a surrogate is the text itself.
const draws = 8

func (s surrogate) apply(dst []byte, m *match) ([]byte, bool) {
	if m.kind == span.Date {
		return s.dates.apply(dst, m)
	}
	from := len(dst)
	for n := range byte(draws) {
		r := &draw{s.prf.sum(m.kind, m.text, n), 0}
		out, ok := s.make(dst[:from], m, r)
		if !ok {
			return dst[:from], false
		}
		if dst = out; !bytes.EqualFold(dst[from:], m.text) {
			return dst, true
		}
	}
	return dst[:from], false
}

func (s surrogate) make(dst []byte, m *match, r *draw) ([]byte, bool) {
	switch m.kind {
	case span.Person:
		return s.person(dst, m.text, r), true
	case span.Location:
		return s.place(dst, m.text), true
	case span.Organisation:
		return s.organisation(dst, m.text, r), true
	case span.Address:
		return s.address(dst, m.text), true
	case span.Email:
		return mailbox(dst, r), true
	case span.URL:
		return address(dst, m.text, r), true
	case span.Domain:
		return host(dst, r), true
	case span.IP:
		return network(dst, m.text, r)
	case span.MAC:
		return hardware(dst, m.text, r), true
	case span.Phone:
		return phone(dst, m.text, r), true
	case span.CreditCard:
		return card(dst, m.text, r), true
	case span.IBAN:
		return account(dst, m.text, r)
	case span.Age:
		return age(dst, m.text, r)
	case span.GPS:
		return coordinates(dst, m.text, r), true
	case span.Crypto:
		return wallet(dst, m.text, r), true
	case socialSecurity:
		return s.social(dst, m.text, r), true
	}
	return s.shape(dst, m.text, r), true
}

// draw is a stream of numbers out of one value of a keyed function: HMAC's output, and then a counter through a mixer that has no way
// back to it. The output decides everything that must not be guessed; the rest is only decoration.
type draw struct {
	seed [32]byte
	n    uint64
}

func (r *draw) next() uint64 {
	at := r.n % 4
	x := binary.LittleEndian.Uint64(r.seed[8*at:]) + (r.n/4)*0x9e3779b97f4a7c15
	r.n++
	if r.n <= 4 {
		return x
	}
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// pick is a number below n.
func (r *draw) pick(n int) int {
	high, _ := bits.Mul64(r.next(), uint64(n))
	return int(high)
}

func (r *draw) digit() byte { return byte('0' + r.pick(10)) }

func (r *draw) nonZero() byte { return byte('1' + r.pick(9)) }

// letters appends lower-case letters and digits of base32.
func (r *draw) letters(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, alphabet[r.pick(len(alphabet))])
	}
	return dst
}

// shape keeps the form: a digit becomes a digit, a letter a letter of its case and script, all else stays.
func (s surrogate) shape(dst, text []byte, r *draw) []byte {
	for _, c := range string(text) {
		dst = appendLike(dst, c, r)
	}
	return dst
}

// socialSecurity is the type of package national whose numbers have a range that nobody is given.
const socialSecurity span.Type = "US_SSN"

// social gives a number of area 666, which is never issued.
func (s surrogate) social(dst, text []byte, r *draw) []byte {
	from := len(dst)
	dst = s.shape(dst, text, r)
	n := 0
	for i := from; i < len(dst) && n < 3; i++ {
		if dst[i] >= '0' && dst[i] <= '9' {
			dst[i] = '6'
			n++
		}
	}
	return dst
}

func mailbox(dst []byte, r *draw) []byte {
	dst = append(append(dst, strings.ToLower(given(r))...), '.')
	dst = append(dst, strings.ToLower(given(r))...)
	for range 4 {
		dst = append(dst, r.digit())
	}
	return append(append(dst, "@example."...), top(r)...)
}

// top is a top-level domain under which "example" is reserved (RFC 2606).
func top(r *draw) string { return [...]string{"com", "net", "org"}[r.pick(3)] }

func host(dst []byte, r *draw) []byte {
	dst = append(r.letters(append(dst, "host-"...), 8), ".example."...)
	return append(dst, top(r)...)
}

// address keeps a URL's scheme, and whether it has a path.
func address(dst, text []byte, r *draw) []byte {
	rest := text
	if i := bytes.Index(text, []byte("://")); i > 0 && i < 16 {
		dst, rest = append(dst, text[:i+3]...), text[i+3:]
	}
	dst = host(dst, r)
	if bytes.IndexByte(rest, '/') >= 0 {
		dst = r.letters(append(dst, '/'), 10)
	}
	return dst
}

// network gives an address of the ranges for documentation (RFC 5737, RFC 3849), with the prefix length or port that there was.
func network(dst, text []byte, r *draw) ([]byte, bool) {
	host, rest := text, []byte(nil)
	if i := bytes.IndexAny(text, "/%"); i >= 0 {
		host, rest = text[:i], text[i:]
		if rest[0] == '%' {
			rest = nil
		}
	}
	if bytes.Count(host, []byte(":")) >= 2 {
		dst = append(dst, "2001:db8"...)
		for range 6 {
			dst = append(dst, ':')
			dst = appendHex(dst, r.pick(1<<16))
		}
		return append(dst, rest...), true
	}
	if i := bytes.IndexByte(host, ':'); i >= 0 {
		rest = host[i:]
	}
	dst = append(dst, [...]string{"192.0.2.", "198.51.100.", "203.0.113."}[r.pick(3)]...)
	return append(appendInt(dst, 1+r.pick(254)), rest...), true
}

// hardware gives a locally administered address in the same form.
func hardware(dst, text []byte, r *draw) []byte {
	n := 0
	for _, c := range text {
		if hexDigit(c) < 0 {
			dst = append(dst, c)
			continue
		}
		d := r.pick(16)
		if n == 1 {
			d = d&^3 | 2 // locally administered, one device
		}
		h := "0123456789abcdef"[d]
		if c >= 'A' && c <= 'F' || h > '9' && bytes.ContainsAny(text, "ABCDEF") {
			h = "0123456789ABCDEF"[d]
		}
		dst = append(dst, h)
		n++
	}
	return dst
}

// phone keeps the form and a country's code. A number of North America becomes one of the range for fiction, 555-0100 to 555-0199.
func phone(dst, text []byte, r *draw) []byte {
	digits := 0
	for _, c := range text {
		if c >= '0' && c <= '9' {
			digits++
		}
	}
	plus := len(text) > 0 && text[0] == '+'
	skip := 0
	switch first := bytes.IndexAny(text, "0123456789"); {
	case first < 0:
		return append(dst, text[:0]...)
	case plus && (text[first] == '1' || text[first] == '7'), !plus && text[first] == '1' && digits == 11:
		skip = 1
	case plus:
		skip = 2
	}
	american := digits-skip == 10 && (!plus || text[1] == '1') && (skip == 1 || text[bytes.IndexAny(text, "0123456789")] >= '2')
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			dst = append(dst, c)
			continue
		}
		switch at := n - skip; {
		case at < 0:
			dst = append(dst, c)
		case american && at == 0:
			dst = append(dst, byte('2'+r.pick(8)))
		case american && at >= 3 && at < 8:
			dst = append(dst, "55501"[at-3])
		case at == 0 && c == '0':
			dst = append(dst, '0')
		case at <= 1:
			dst = append(dst, r.nonZero())
		default:
			dst = append(dst, r.digit())
		}
		n++
	}
	return dst
}
