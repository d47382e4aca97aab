// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"bytes"
	"crypto/sha256"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

const (
	minCoin = 25
	maxCoin = 128
)

// coin handles a long run of letters and digits: the address of a cryptocurrency.
func (c *cursor) coin(s, e int) bool {
	t := c.text[s:e]
	if len(t) < minCoin || len(t) > maxCoin || c.peek(s-1) == '_' {
		return false
	}
	f := span.Finding{Type: span.Crypto, Start: s, End: e}
	switch {
	case t[0] == '0' && t[1]|0x20 == 'x':
		f.Score, f.Why, f.Rule = ethereum(t)
	case bech32Prefix(t) > 0:
		f.Score, f.Why, f.Rule = bech32(t, bech32Prefix(t))
	case t[0] == '4' || t[0] == '8':
		f.Score, f.Why, f.Rule = monero(t)
	case len(t) <= 36:
		f.Score, f.Why, f.Rule = base58(t)
	case len(t) == 56 && t[0] == 'G':
		f.Score, f.Why, f.Rule = stellar(t)
	}
	if f.Score == 0 {
		return false
	}
	if c.weigh(f, min(f.Score+350, span.Certain), topicCoin, topicOther) < span.Medium {
		return false
	}
	c.busy = e
	return true
}

// alphabet58 is of Bitcoin's base58; alphabetXRP of the XRP ledger's.
const (
	alphabet58  = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	alphabetXRP = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
)

// base58 checks an address in base58 with a checksum of SHA-256 twice: Bitcoin and those that took its form.
func base58(t []byte) (span.Score, span.Why, string) {
	var version bool
	alphabet := alphabet58
	switch t[0] {
	case '1', '3', 'L', 'M', 'D', 'A', '9', 'X', '7', 'T', 'm', 'n', '2':
	case 't':
		version = true // two bytes
	case 'r':
		alphabet = alphabetXRP
	default:
		return 0, 0, ""
	}
	var out [28]byte
	n := 25
	if version {
		n = 26
	}
	digit, upper, low := false, false, false
	for _, b := range t {
		v := bytes.IndexByte([]byte(alphabet), b)
		if v < 0 {
			return 0, 0, ""
		}
		digit, upper, low = digit || isDigit(b), upper || isUpper(b), low || b >= 'a'
		for i := n - 1; i >= 0; i-- {
			v += int(out[i]) * 58
			out[i] = byte(v)
			v >>= 8
		}
		if v != 0 {
			return 0, 0, ""
		}
	}
	first := sha256.Sum256(out[:n-4])
	second := sha256.Sum256(first[:])
	if bytes.Equal(second[:4], out[n-4:n]) && knownVersion(out[0], out[1], version) {
		return span.Certain, span.ByChecksum, "crypto-base58"
	}
	if digit && upper && low && (t[0] == '1' || t[0] == '3') && len(t) >= 26 && len(t) <= 35 {
		return 400, span.NoChecksum, "crypto-base58"
	}
	return 0, 0, ""
}

// knownVersion says whether an address begins as those of a currency: Bitcoin, its test network, Litecoin, Dogecoin, Dash, Tron; with
// two bytes Zcash. Ripple's begin as Bitcoin's.
func knownVersion(a, b byte, two bool) bool {
	if two {
		return a == 0x1C && (b == 0xB8 || b == 0xBD)
	}
	switch a {
	case 0x00, 0x05, 0x6F, 0xC4, 0x30, 0x32, 0x1E, 0x16, 0x4C, 0x10, 0x41:
		return true
	}
	return false
}

// bech32Prefix is the length of the human-readable part if it is a known one, otherwise 0 (BIP 173).
func bech32Prefix(t []byte) int {
	for _, p := range [...]string{"bc1", "tb1", "ltc1", "addr1", "cosmos1", "bcrt1"} {
		if len(t) > len(p) && (string(t[:len(p)]) == p || p == "bc1" && string(t[:3]) == "BC1") {
			return len(p) - 1
		}
	}
	return 0
}

const alphabet32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32 checks an address of BIP 173 or BIP 350.
func bech32(t []byte, prefix int) (span.Score, span.Why, string) {
	const rule = "crypto-bech32"
	sum := uint32(1)
	step := func(v byte) {
		top := sum >> 25
		sum = sum&0x1FFFFFF<<5 ^ uint32(v)
		for i, g := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			sum ^= g & -(top >> i & 1)
		}
	}
	for _, b := range t[:prefix] {
		step(lower(b) >> 5)
	}
	step(0)
	for _, b := range t[:prefix] {
		step(lower(b) & 31)
	}
	small, large := false, false
	for _, b := range t[prefix+1:] {
		v := bytes.IndexByte([]byte(alphabet32), lower(b))
		if v < 0 {
			return 0, 0, ""
		}
		small, large = small || b >= 'a', large || isUpper(b)
		step(byte(v))
	}
	switch {
	case small && large:
		return 0, 0, ""
	case sum == 1 || sum == 0x2bc830a3:
		return span.Certain, span.ByChecksum, rule
	case len(t) >= 38:
		return 700, span.NoChecksum, rule
	}
	return 350, span.NoChecksum, rule
}

// ethereum checks an address of Ethereum; capitals in it are a checksum (EIP-55).
func ethereum(t []byte) (span.Score, span.Why, string) {
	const rule = "crypto-ethereum"
	if len(t) != 42 {
		return 0, 0, ""
	}
	var plain [40]byte
	small, large := false, false
	for i, b := range t[2:] {
		if !isHex(b) {
			return 0, 0, ""
		}
		small, large = small || b >= 'a', large || isUpper(b)
		plain[i] = lower(b)
	}
	if !small || !large {
		return 900, 0, rule
	}
	sum := keccak256(plain[:])
	for i, b := range t[2:] {
		nibble := sum[i/2] >> (4 &^ (i << 2)) & 15
		if isAlpha(b) && isUpper(b) != (nibble >= 8) {
			return 800, span.NoChecksum, rule
		}
	}
	return span.Certain, span.ByChecksum, rule
}

// monero knows addresses by their form: 95 or 106 characters of base58.
func monero(t []byte) (span.Score, span.Why, string) {
	if len(t) != 95 && len(t) != 106 {
		return 0, 0, ""
	}
	for _, b := range t {
		if bytes.IndexByte([]byte(alphabet58), b) < 0 {
			return 0, 0, ""
		}
	}
	return 900, 0, "crypto-monero"
}

// stellar checks an account of Stellar: base32 with a checksum of sixteen bits.
func stellar(t []byte) (span.Score, span.Why, string) {
	var out [35]byte
	acc, bits, n := uint32(0), 0, 0
	for _, b := range t {
		v := uint32(b - 'A')
		if b >= '2' && b <= '7' {
			v = uint32(b-'2') + 26
		} else if !isUpper(b) {
			return 0, 0, ""
		}
		acc = acc<<5 | v
		if bits += 5; bits >= 8 {
			bits -= 8
			out[n] = byte(acc >> bits)
			n++
		}
	}
	crc := uint16(0)
	for _, b := range out[:33] {
		crc ^= uint16(b) << 8
		for range 8 {
			crc = crc<<1 ^ 0x1021&-(crc>>15)
		}
	}
	if crc == uint16(out[33])|uint16(out[34])<<8 {
		return span.Certain, span.ByChecksum, "crypto-stellar"
	}
	return 500, span.NoChecksum, "crypto-stellar"
}
