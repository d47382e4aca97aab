// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/gowebpki/jcs"
)

// FuzzFast: the fast functions never say anything else than the slow ones.
func FuzzFast(f *testing.F) {
	seeds := []string{
		`{}`, `[]`, `""`, `0`, `-1`, `1.5`, `1e3`, `12345678901234567`, `9007199254740991`, `9007199254740992`, `18446744073709551617`, `00`, `01`, `{"b":1,"a":{"d":[1,2,{"x":null}],"c":"y"}}`,
		`{"c":{"b":{"z":1,"y":{}},"a":2},"b":[{"d":1,"c":2}],"a":{"a":0}}`, `{"b":1,"a":2,"b":3}`, `truefalse`, `nullx`, `["\\"]`,
		`{"a":1,"A":2}`, `{"a":1,"a":2}`, `{"a":"\u003c"}`, `{"a b":1,"a":2,"a!":3}`, `{"a":[{"a":1},{"a":2}]}`, `{"k":1,"\u212a":2}`,
		`{"a":"{\"a\":1,\"a\":2}"}`, `{"a":true,"b":false,"c":"é"}`, `{"a":1}{"a":2}`, `{"a" "a":1}`, `[1,]`, `{"":"","":""}`,
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
		envHead + "AA==" + envType + "AA==" + envTail, envHead + "AB==" + envType + "AA==" + envTail, envHead + "" + envType + "AA==" + envTail,
		envHead + "AA\n==" + envType + "AA==" + envTail, envHead + "AA==" + envType + `AA=="},{"sig":"AA==` + envTail,
		envHead + "AA==" + strings.Replace(envType, "in-toto", "in-tato", 1) + "AA==" + envTail,
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if json.Valid(b) {
			if distinctNames(b) {
				if err := refuseDuplicates(b); err != nil {
					t.Errorf("%q: distinct, but %v", b, err)
				}
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, b); err != nil {
				t.Fatal(err)
			}
			c := compact.Bytes()
			if got, ok := sorted(c); ok {
				if err := refuseInexact(c); err != nil {
					t.Errorf("%q is written, but %v", c, err)
				}
				if want, err := jcs.Transform(c); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%q: %q, want %q, %v", c, got, want, err)
				}
			}
		} else if got, ok := sorted(b); ok {
			t.Errorf("%q is not JSON, but sorts to %q", b, got)
		}
		if got, ok := parseFast(b); ok {
			var want dsse
			if err := Decode(b, MaxEnvelope, &want); err != nil || !reflect.DeepEqual(*got, want) {
				t.Errorf("%q: %+v, want %+v, %v", b, got, want, err)
			}
			if !bytes.Equal(joinFast(got.Payload, got.Signatures[0].Sig), b) {
				t.Errorf("%q is written otherwise", b)
			}
		}
	})
}

// TestFastIsUsed: the common forms take the fast way.
func TestFastIsUsed(t *testing.T) {
	for _, s := range []string{`{"b":1,"a":{"d":[1,2,{"x":null}],"c":"y","e":0,"f":[]}}`, `[true,false,{}]`, `[9007199254740991]`} {
		if !distinctNames([]byte(s)) {
			t.Errorf("%s: names", s)
		}
		if _, ok := sorted([]byte(s)); !ok {
			t.Errorf("%s: not sorted", s)
		}
	}
	if _, ok := parseFast(joinFast([]byte("payload"), []byte("sig"))); !ok {
		t.Error("an envelope of ours")
	}
}
