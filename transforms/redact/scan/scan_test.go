// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/transforms/redact/scan"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// found is what remains at a threshold, as "TYPE text".
func found(text string, least span.Score) []string {
	var got []string
	for _, f := range span.Resolve(scan.New(scan.Options{}).Scan(nil, []byte(text))) {
		if f.Score >= least {
			got = append(got, fmt.Sprintf("%s %s", f.Type, text[f.Start:f.End]))
		}
	}
	return got
}

// check runs cases of a text, in which [[ ]] marks what must be found with the type and nothing else must be.
func check(t *testing.T, typ span.Type, texts ...string) {
	t.Helper()
	for _, marked := range texts {
		var want []string
		text := ""
		for rest := marked; ; {
			before, after, ok := strings.Cut(rest, "[[")
			text += before
			if !ok {
				break
			}
			inner, tail, _ := strings.Cut(after, "]]")
			kind := typ
			if k, v, ok := strings.Cut(inner, "|"); ok {
				kind, inner = span.Type(k), v
			}
			want = append(want, string(kind)+" "+inner)
			text += inner
			rest = tail
		}
		if diff := cmp.Diff(want, found(text, span.Medium)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// TestMailboxThatLooksLikeAMessageID: a number before the at sign, or a word with one, is a mailbox as likely.
func TestMailboxThatLooksLikeAMessageID(t *testing.T) {
	check(t, span.Email,
		"<[[13812345678@163.com]]>", "Kevin <[[kevin+dated+1027961456.a1b2c3@example.ie]]>", "<[[12345678.@example.com]]>",
		"<20020822154512.GA12345@host.example.com>",
	)
}

func TestEmail(t *testing.T) {
	check(t, span.Email,
		"write to [[john.doe@example.com]].", "<[[a@b.co]]>", "[[o'neil+tag@mail.example.co.uk]], thanks", "mailto:[[x_y-z@example.org]]?subject=1",
		"'[[x@example.com]]'", "[[1234@example.com]]", "email=[[jürgen@müller.example]];", "“[[a.b@example.com]]”", "user@host and @alone and not@ and a @ b",
		"Reach [[x@example.com]].Please do", "[[a@example.com]],[[b@example.com]];[[c@example.com]]", "...[[a@example.com]]...", "[[\"john doe\"@example.com]]",
		"logo@2x.png", "[[x@sub.domain.museum]]", "[[x@example.internal]]", "git@ x", "[[first.last99@x1.example.com]]>",
		"Message-ID: <200208221545.g7MFjXZ12345@host.example.com>",
	)
}

func TestURL(t *testing.T) {
	check(t, span.URL,
		"see [[https://www.example.com/a/b?c=d&e=f#g]].", "([[http://example.org/x_(y)]])", "[RFC 1918]([[https://example.com/rfc1918]])", "<[[ftp://files.example.net/x]]>",
		"[[www.example.de]], or [[example.com/path/x.html]]!", "[[http://EXAMPLE.COM:8080]]", "“[[http://example.com/ä]]”", "[[http://a.example.com]],[[http://b.example.com]]",
		"see [[DOMAIN_NAME|example.com]].", "[[DOMAIN_NAME|mail.example.co.uk]] said", "README.md main.py node.js a.b e.g. i.e. end.It 3.14 foo.Bar()", "java.util.List com.example.foo", "std::cout http:/x ://y",
	)
}

func TestIP(t *testing.T) {
	check(t, span.IP,
		"at [[192.0.2.1]].", "[[203.0.113.9]]:8080", "[[10.0.0.0/8]] is", "[ [[198.51.100.7]] ]", "256.1.1.1", "1.2.3", "1.2.3.4.5", "version 1.2.3.4", "v1.2.3.4", "10.0.one.2",
		"[[2001:db8::1]]", "[[2001:db8:85a3:8d3:1319:8a2e:370:7348]] x", "[[fe80::1%eth0]]", "[[::ffff:192.0.2.1]]", "[[2001:db8::/32]]", "[ [[::1]] ]", "12:30:45", "std::abs a::b", "[[fe80::a:b1]].",
		"[[d80:e4b5:79da:6cf6:71f3:51f7:9161:c319]]",
	)
}

func TestMAC(t *testing.T) {
	check(t, span.MAC,
		"[[00:1b:44:11:3a:b7]]", "[[00-1B-44-11-3A-B7]],", "[[001b.4411.3ab7]]", "[[aa:bb:cc:dd:ee:ff]]", "[[00:11:22:33:44:55:66:77]]", "00:1b:44:11:3a", "00:1b:44:11:3a:b7:1", "mac [[00-11-22-33-44-55]]",
	)
}

func TestPhone(t *testing.T) {
	check(t, span.Phone,
		"[[+1 555 123 4567]]", "[[+1-555-123-4567]]", "[[+15551234567]]", "[[(555) 123-4567]]", "[[555-123-4567]]", "[[555.123.4567]] x", "[[1-800-555-0199]]", "[[001-748-088-2851x818]]", "[[(978)645-9740x11144]]", "[[555-123-4567 ext. 12]]",
		"London [[+44 20 7946 0958]]", "[[+44 (0)20 7946 0958]]", "[[020 7946 0958]]", "[[07700 900123]]", "[[+49 (0)30 123456]]", "[[+49 30 123456]]", "[[030/1234567]]", "[[089 72 63 41]]", "[[0049 30 1234567]]",
		"[[02 27 96 63 08]]", "[[02.27.96.63.08]]", "[[+33 1 23 45 67 89]]", "[[+34 912 345 678]]", "tel. [[912 345 678]]", "[[+39 06 1234 5678]]", "[[06-10446904]]", "[[+31 6 12345678]]",
		"[[+55 11 91234-5678]]", "[[(11) 91234-5678]]", "[[+52 55 1234 5678]]", "[[+91 98765 43210]]", "[[+86 138 0013 8000]]", "电话[[13800138000]]", "[[+81 3-1234-5678]]", "[[+36 30 123 4567]]", "[[+90 532 123 45 67]]", "[[8 800 555-35-35]]", "Tel. [[089/123456-0]]", "[[011-44-20-7946-0958]]", "mobile [[98765 43210]]", "[[03-1234-5678]]", "[[+82 10-1234-5678]]",
		"call [[785 8949]]", "Phone: [[9885 1152]]", "tlf. [[28 81 33 70]]", "fax [[2813882583]]", "Telefon: [[0301234567]]", "手机号 [[138-0013-8000]]", "тел. [[8 (495) 123-45-67]]", "Mobile:[[+61 412 345 678]]", "{\"phone\":\"[[(212) 555-0100]]\"}",
		"Part number: 555-123-4567-A", "ISBN 978-3-16-148410-0", "Order 2813882583", "Sequence 1234 5678 90 is not a card", "Numbers 111222333444 are identifiers", "123-45-6789", "94105-1234", "1,234,567,890", "10.000.000", "1 234 567 people", "1661123456", "in 1999-2003", "0x7f00ff00", "$5551234567", "2 000 000 2",
	)
}

func TestCard(t *testing.T) {
	check(t, span.CreditCard,
		"[[4111111111111111]]", "[[4111 1111 1111 1111]] x", "[[5500-0000-0000-0004]]", "[[340000000000009]]", "[[3400-000000-00009]]", "[[4111 1111 1111 1112]]", "[[4111111111111112]]", "card [[1234567890123456]]",
		"[[6011000990139424]]", "[[3530111333300000]]", "[[2223003122003222]]", "card [[30569309025904]]", "1234567890123456", "Inventory code 1234567890123456", "[[1234 5678 9012 3456]]", "411111111111111", "41111111111111111", "14111111111111111111",
	)
}

func TestBank(t *testing.T) {
	check(t, span.IBAN,
		"[[GB82WEST12345698765432]]", "[[GB82 WEST 1234 5698 7654 32]] x", "[[de89370400440532013000]]", "[[DE44 5001 0517 5407 3249 31]] ist", "[[NO9386011117947]]", "[[GB83WEST12345698765432]]", "[[MT84MALT011000012345MTLCAST001S]]", "at12 some more text of thirty five", "XX82WEST12345698765432", "GB82WEST123456987654321",
	)
	check(t, span.BIC, "BIC [[DEUTDEFF]]", "SWIFT: [[DEUTDEFF500]]", "[[BNPAFRPPXXX]]", "BUSINESS CENTRALE", "Swift code [[BOFAUS3N]].")
}

func TestCrypto(t *testing.T) {
	check(t, span.Crypto,
		"[[1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa]]", "[[3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy]]", "[[bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4]]", "[[bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0]]",
		"[[0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed]]", "[[0xde0b295669a9fd93d5f28d9ec85e40f4cb697bae]]", "wallet [[1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb]]", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
		"[[LM2WMpR1Rp6j3Sa59cMXMs1SPzj9eXpGc1]]", "[[DH5yaieqoZN36fDVciNyRueRGvGLR3mr7L]]", "[[rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh]]", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "0x5aAeb6053F3E94C9b9A09f33669435E7",
	)
}

func TestDate(t *testing.T) {
	check(t, span.Date,
		"on [[1993-01-04 14:56:41]]\n", "[[1989-03-15]]", "2024-01-01T10:30:00Z INFO started", "at [[2024-01-01T10:30:00+01:00]]", "DOB [[03/15/1989]], x", "[[3/5/2020]]", "[[3-5-2020]]", "[[15.03.1989]]", "[[2024/02/29]]", "[[31/12/99]]",
		"[[March 15, 1989]] was", "[[15 March 1989]]", "[[15th of March 2020]]", "[[Mar. 15th, 2020]]", "[[March 1989]]", "[[15-Mar-2020]]", "[[15mar2020]]", "[[May 5]]", "[[15. März 2020]]", "[[3 février 2021]]", "[[5 de mayo de 2019]]", "[[12 giugno 1990]]", "[[1º de março de 2020]]", "[[7 augustus 2001]]",
		"[[Mon, 26 Aug 2002 15:50:00 +0100 (BST)]]", "[[Mon Aug 26 15:50:00 2002]]", "[[Sunday, 26 August 2002]]", "[[2024-Mar-15]]", "[[3 Feb 85]]", "[[3 Mart 2021]]", "[[20210303T103000Z]]", "[[2024年3月15日]]", "[[1990년 5월 3일]]", "born in [[1987]]", "Geburtsdatum: [[19870203]]",
		"13/32/2020", "2026-99-99", "Release v2026.2.9", "you may 5 times", "yesterday at 12:30:45 UTC", "1/2", "in 1987", "version 2.3.4", "/2002/08/22/", "see you Monday", "March of 30 people", "555-12-3456", "set 10", "Set 10 of them",
	)
}

func TestAge(t *testing.T) {
	check(t, span.Age,
		"[[34 years old]]", "a [[34-year-old]] man", "aged [[34]],", "age: [[34]]", "Age=[[34]]", "\"age\": [[34]],", "[[34 ans]]", "âgée de [[34 ans]]", "[[34 Jahre alt]]", "[[34-jährig]]", "[[34yo]] male", "[[34 y/o]]", "[[34 y.o.]] x", "[[34 años]]", "[[34 años de edad]]", "[[34 anni]]", "[[34 jaar oud]]", "[[6 months old]]", "[[34歳]]", "im Alter von [[34 Jahren]]", "at the age of [[34]] he", "[[65 years of age]]", "turned [[40]]",
		"for 34 years", "34 people", "340 years old", "2,000 years old", "age 1999", "page 34",
	)
}

func TestGPS(t *testing.T) {
	check(t, span.GPS,
		"at [[48.8566, 2.3522]].", "[[40.7128° N, 74.0060° W]]", "([[-33.8688,151.2093]])", "[[48°51'24\"N 2°21'03\"E]]", "[[geo:48.2010,16.3695]]", "lat: [[48.8566, lon: 2.3522]]", "[[48° 51.4' N]]", "3.14, 2.72", "1.234", "25° C", "gps [[48.856,2.352]]", "200.1234, 2.1234",
	)
}

// TestAgainst: what words say to be something else scores low, and is found for those who ask for all.
func TestAgainst(t *testing.T) {
	for _, text := range []string{"ISBN 978-3-16-148410-0", "order number 555-123-4567", "invoice no. 2813882583", "version 1.2.3.4"} {
		if got := found(text, span.Medium); len(got) != 0 {
			t.Errorf("%q: %v", text, got)
		}
	}
	if got := found("version 1.2.3.4", 100); len(got) != 1 {
		t.Error(got)
	}
}

// TestNational: each run with a digit is shown once, but not those inside addresses.
func TestNational(t *testing.T) {
	var runs []string
	s := scan.New(scan.Options{National: func(dst []span.Finding, text []byte, start, end int) []span.Finding {
		runs = append(runs, string(text[start:end]))
		return append(dst, span.Finding{Type: "X", Start: start, End: end, Score: 1})
	}})
	text := "AB12 34-56 of 7 in http://x1.example.com/2 fe80::1 550e8400-e29b-41d4-a716-446655440000 4111 1111 1111 1111 of 12345 é9 v1.2.3.4 a9b"
	all := s.Scan(nil, []byte(text))
	want := []string{"AB12", "34", "56", "7", "4111", "1111", "1111", "1111", "12345", "9", "v1", "2", "3", "4", "a9b"}
	if diff := cmp.Diff(want, runs); diff != "" {
		t.Error(diff)
	}
	if len(all) < len(want) {
		t.Error(all)
	}
	runs = nil
	all = s.Scan(nil, []byte("j9.x8@example.com"))
	if len(all) != 1 || all[0].Type != span.Email {
		t.Error(all)
	}
}

// TestRecognisers: every rule of the list is reachable, and none is missing in it.
func TestRecognisers(t *testing.T) {
	known := map[string]span.Type{}
	for _, r := range scan.Recognisers() {
		if known[r.Rule] != "" || r.Finds == "" || r.Source == "" {
			t.Error(r)
		}
		known[r.Rule] = r.Type
	}
	seen := map[string]bool{}
	for _, text := range append([]string{"born 19870203, born in 1987, yesterday, Monday, 10:30 am", stellar, monero}, seeds...) {
		for _, f := range scan.New(scan.Options{}).Scan(nil, []byte(text)) {
			want, ok := known[f.Rule]
			if !ok || want != f.Type {
				t.Errorf("%q: rule %q with type %s is not in the list", text, f.Rule, f.Type)
			}
			seen[f.Rule] = true
		}
	}
	for rule := range known {
		if !seen[rule] {
			t.Errorf("%s: nothing reaches it", rule)
		}
	}
}

// stellar has a right checksum; monero has the form alone.
const stellar = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7"

var monero = "4" + strings.Repeat("9xYz", 23) + "Ab"

func TestScanAllocatesNothing(t *testing.T) {
	s, text := scan.New(scan.Options{}), prose(1<<16)
	buf := s.Scan(nil, text)
	if n := testing.AllocsPerRun(5, func() { buf = s.Scan(buf[:0], text) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
