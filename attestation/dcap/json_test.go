// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestDistinct(t *testing.T) {
	for text, want := range map[string]bool{
		`{}`: true, `[]`: true, `"a"`: true, `{"a":1,"b":2}`: true, `{"a":{"a":1},"b":[{"a":1},{"a":2}]}`: true,
		`{"a":"a","b":"a"}`: true, `{"a" : 1 , "b":["a","a"]}`: true, `{"a":"\"","b":"}"}`: true, `{"a":"\\"}`: true,
		`{"a":1,"a":1}`: false, `{"a":1,"A":1}`: false, `{"x":[{"a":1,"a":2}]}`: false, `{"\u0061":1}`: false,
		`{"a":{},"b":{},"a":{}}`: false, "{\"tcbStatus\":1,\"tcb\u017ftatu\u017f\":1}": false, "{\"k\":1,\"\u212a\":1}": false, "{\"\u017f\":1,\"S\":1}": false, `{"a":[1,2,{"b":[]}],"a" :1}`: false,
		strings.Repeat("[", 16) + strings.Repeat("]", 16): true, strings.Repeat("[", 17) + strings.Repeat("]", 17): false,
	} {
		if !json.Valid([]byte(text)) {
			t.Fatalf("%s is not JSON", text)
		}
		if got := distinct([]byte(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestComponents(t *testing.T) {
	for text, want := range map[string]components{
		`[]`: {}, `[{"svn":0},{"svn":255}]`: {0, 255}, `[ { "category" : "svn" , "svn" : 7 } ]`: {7}, `[{}]`: {-1},
		`[{"svn":1,"x":{"svn":9},"y":[{"svn":9}]}]`: {1}, `[{"x":{"svn":9}}]`: {-1}, `[{"SVN":9}]`: {-1},
	} {
		var got components
		if err := json.Unmarshal([]byte(text), &got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{`null`, `{}`, `1`, `"svn"`, `[{"svn":256}]`, `[{"svn":-1}]`, `[{"svn":1.0}]`, `[{"svn":1e0}]`, `[{"svn":"1"}]`, `[{"svn":null}]`, `[{"svn":[1]}]`} {
		var got components
		if err := json.Unmarshal([]byte(text), &got); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// FuzzDecode: what encoding/json reads, and finds members of, the walkers here read too.
func FuzzDecode(f *testing.F) {
	seeds := []string{`{"tcbLevels":[{"tcb":{"sgxtcbcomponents":[{"svn":1}]}}]}`, `{"a":"\\\"","b":[]}`, `[[]]`, `"`, `{"id":"SGX","ID":"TDX"}`}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var x tcbInfo
		if err := decode(b, &x); err != nil {
			return
		}
		for i := range x.Levels {
			if len(x.Levels[i].TCB.SGX) > len(b) {
				t.Fatal("more components than bytes")
			}
		}
	})
}
