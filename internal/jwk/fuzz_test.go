// SPDX-License-Identifier: Apache-2.0

package jwk_test

import (
	"encoding/json"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/jwk"
)

// FuzzParse: an accepted key re-encodes to a document that is accepted as the same key, with one thumbprint, and never
// came with a private member.
func FuzzParse(f *testing.F) {
	for _, b := range [][]byte{[]byte(rfc7638), ec(nil), ec(set("d", "AA")), ec(set("x5c", []string{"MII="})), ec(set("alg", "none"))} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := jwk.Parse(b)
		if err != nil {
			return
		}
		if len(k.Thumbprint()) != 43 {
			t.Fatalf("no thumbprint: %+v", k)
		}
		again, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := jwk.Parse(again); err != nil || back != k {
			t.Fatalf("%s: %+v %v", again, back, err)
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, there := m[name]; there {
				t.Fatalf("accepted with member %q", name)
			}
		}
	})
}
