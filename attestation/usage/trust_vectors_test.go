// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const trustVectors = "../../testdata/vectors/trust"

// trustErrors are the ways in which docs/spec/trust.md says a file is refused. All are [usage.ErrTrust]; the text says
// which, or the error of the strict decoder does.
func trustErrors() map[string]func(error) bool {
	says := func(text string) func(error) bool {
		return func(err error) bool { return strings.Contains(err.Error(), text) }
	}
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	return map[string]func(error) bool{
		"too-large": is(envelope.ErrTooLarge), "malformed": is(envelope.ErrMalformed), "key": is(envelope.ErrKey),
		"version": says("version 2, this release reads 1"), "too-many": says("too many owners or references"),
		"trusted-root": says("trusted root"),
	}
}

// readTrust reads a trust file as an auditor does: the file, then the log in it.
func readTrust(b []byte) (*usage.Trust, error) {
	tr, err := usage.ParseTrust(b)
	if err != nil || string(tr.Log) == "null" || len(tr.Log) == 0 {
		return tr, err
	}
	_, err = usage.ParseTrustedRoot(tr.Log)
	return tr, err
}

// TestTrustVectors: the header pad says how many spaces follow the body, since a file of 8 MiB helps nobody.
func TestTrustVectors(t *testing.T) {
	if *update {
		writeTrustVectors(t)
	}
	seen := map[string]bool{}
	for name, v := range readVectors(t, trustVectors) {
		body := v.body
		if v.head["pad"] != "" {
			var n int
			if _, err := fmt.Sscan(v.head["pad"], &n); err != nil || n > 2*usage.MaxTrust {
				t.Fatalf("%s: pad %v", name, err)
			}
			body = append(body, bytes.Repeat([]byte(" "), n)...)
		}
		_, err := readTrust(body)
		expect := v.head["expect"]
		switch is, known := trustErrors()[expect]; {
		case expect == "ok" && err != nil:
			t.Errorf("%s: %v", name, err)
		case expect != "ok" && (!known || !errors.Is(err, usage.ErrTrust) || !is(err)):
			t.Errorf("%s: %v, want %s", name, err, expect)
		}
		seen[expect] = true
	}
	for expect := range trustErrors() {
		if !seen[expect] {
			t.Errorf("no vector expects %s", expect)
		}
	}
	if !seen["ok"] {
		t.Error("no vector of a valid trust file")
	}
}

func writeTrustVectors(t *testing.T) {
	if err := os.MkdirAll(trustVectors, 0o755); err != nil {
		t.Fatal(err)
	}
	r := usagetest.New(t, usagetest.Scenario{})
	good, err := usage.WriteTrust(&r.Trust)
	if err != nil {
		t.Fatal(err)
	}
	owner := r.Keys.Creator.Public().String()
	write := func(name, expect, comment string, body []byte, more ...string) {
		writeVector(t, trustVectors, name, append([]string{"expect: " + expect, "comment: " + comment}, more...), body)
	}
	replace := func(old, with string) []byte {
		b := bytes.Replace(good, []byte(old), []byte(with), 1)
		if bytes.Equal(b, good) {
			t.Fatalf("%q is not in the trust file", old)
		}
		return b
	}
	var spaced bytes.Buffer
	if err := json.Indent(&spaced, good, "", "  "); err != nil {
		t.Fatal(err)
	}
	write("valid", "ok", "a log, owners, references and the least assurance", good)
	write("valid-by-hand", "ok", "the same with spaces: it need not be canonical", spaced.Bytes())
	write("valid-empty", "ok", "well-formed, and trusts nothing", []byte(`{"version":1,"log":null,"owners":[],"references":[],"simulatedRoot":null,"minAssurance":""}`))
	write("too-large", "too-large", "more than 8 MiB with the spaces that pad says", good, fmt.Sprintf("pad: %d", usage.MaxTrust))
	write("nothing", "malformed", "no file is like this", []byte(`[]`))
	write("unknown-field", "malformed", "owner in place of owners", replace(`"owners"`, `"owner"`))
	write("duplicate-field", "malformed", "two logs, in two spellings", replace(`"owners"`, `"Log":null,"owners"`))
	write("trailing-data", "malformed", "something follows", append(bytes.Clone(good), '1'))
	write("malformed-key", "key", "an owner's key is not base58btc", replace(`"owners":["did:key:z`, `"owners":["did:key:q`))
	write("another-version", "version", "version 2", replace(`"version":1,`, `"version":2,`))
	write("too-many-owners", "too-many", "4097 owners",
		[]byte(`{"version":1,"owners":[`+strings.Repeat(`"`+owner+`",`, 4096)+`"`+owner+`"]}`))
	write("too-many-references", "too-many", "65 references", []byte(`{"version":1,"references":[`+
		strings.Repeat(`{"key":"`+owner+`","signed":{}},`, 64)+`{"key":"`+owner+`","signed":{}}]}`))
	for name, c := range map[string][3]string{
		"log-not-https":     {"the log is not https", `https://`, `http://`},
		"log-with-port":     {"an origin that is not a bare host name", `https://log.example.org`, `https://log.example.org:8443`},
		"log-another-hash":  {"another hash", `SHA2_256`, `SHA2_512`},
		"log-another-key":   {"another kind of key", `PKIX_ED25519`, `PKIX_ED25519_PH`},
		"log-another-media": {"another version of the trusted root", `version=0.1`, `version=0.2`},
		"log-without-start": {"no start of validity", `"start":"2`, `"start":"x`},
		"log-another-id":    {"the id is that of another origin", `https://log.example.org`, `https://log.example.com`},
	} {
		write(name, "trusted-root", c[0], replace(c[1], c[2]))
	}
	var root map[string]any
	if err := json.Unmarshal(r.Trust.Log, &root); err != nil {
		t.Fatal(err)
	}
	one := root["tlogs"].([]any)
	for name, logs := range map[string][]any{"no-log": {}, "two-logs": {one[0], one[0]}} {
		root["tlogs"] = logs
		other := r.Trust
		other.Log = canonical(t, root)
		b, err := usage.WriteTrust(&other)
		if err != nil {
			t.Fatal(err)
		}
		write(name, "trusted-root", fmt.Sprintf("%d logs in place of one", len(logs)), b)
	}
}
