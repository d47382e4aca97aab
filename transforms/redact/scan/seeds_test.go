// SPDX-License-Identifier: Apache-2.0

package scan_test

// seeds are texts of every form that is found, and what it begins with, for fuzzing.
var seeds = []string{
	"mail john.o'neil+tag@mail.example.co.uk, \"j d\"@example.com <20020822.1234567@host.example> x@[192.0.2.1] a@b@c@d.org",
	"see https://user:pw@www.example.com:8080/a(b)c/?q=x@example.com#f). www.example.de/x geo:48.2,16.3;u=3 ftp://[2001:db8::1]/",
	"example.com foo.bar.py node.js end.It was e.g. this",
	"192.0.2.1/24 10.0.0.1:80 1.2.3.4.5 v1.2.3.4 fe80::1%eth0 ::ffff:192.0.2.1 2001:db8::/32 1:2:3:4:5:6:7:8 ::1 :: std::a",
	"00:1b:44:11:3a:b7 00-1B-44-11-3A-B7 001b.4411.3ab7 aa:bb:cc:dd:ee:ff",
	"+1 (555) 123-4567 ext. 89 +44 (0)20 7946 0958 0049 30 123456 (030) 1234567 02 27 96 63 08 phone 785 8949",
	"4111 1111 1111 1111 5500-0000-0000-0004 340000000000009 3400-000000-00009 1234567890123456",
	"GB82 WEST 1234 5698 7654 32 de89370400440532013000 IBAN NO9386011117947",
	"BIC DEUTDEFF500 SWIFT: DEUTDEFF BUSINESS CENTRALE",
	"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
	"1993-01-04 14:56:41 03/15/1989 15.03.1989 Mon, 26 Aug 2002 15:50:00 +0100 (BST) Mon Aug 26 15:50:00 2002",
	"March 15, 1989 15th of March 2020 15. März 2020 le 3 février 2021 5 de mayo de 2019 2024年3月15日 2024-Mar-15 10:30 p.m. Sunday",
	"34 years old, 34-year-old, aged 34, age: 34, 34 ans, 34 Jahre alt, 34-jährig, 34yo, 34 y/o, 34 años de edad, 34歳",
	"48.8566, 2.3522 40.7128° N, 74.0060° W 48°51'24\"N 2°21'03\"E lat: 1.2345, lon: -3.4567",
	"550e8400-e29b-41d4-a716-446655440000 0x7f00ff00 \xff\xfe +\xc3( \xe2\x80",
}
