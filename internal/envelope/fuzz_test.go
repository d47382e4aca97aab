// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// FuzzVerify: whatever verifies carries a payload that was signed in the corpus, and re-encodes to its bytes.
func FuzzVerify(f *testing.F) {
	vectors := loadVectors(f)
	signed := map[envelope.Digest]bool{}
	for _, v := range vectors {
		f.Add(v.body)
		if v.header["expect"] == "ok" {
			id, err := envelope.ID(v.body)
			if err != nil {
				f.Fatal(err)
			}
			signed[id] = true
		}
	}
	if len(signed) == 0 {
		f.Fatal("no valid vector")
	}
	e := vectors[0].expect(f)
	for _, v := range vectors {
		if v.header["expect"] == "ok" {
			e = v.expect(f)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := envelope.Verify[sample](b, e)
		if err != nil {
			return
		}
		if !signed[v.ID] {
			t.Fatalf("a payload nobody signed verifies: %s", v.ID)
		}
		typ, payload, sig, err := envelope.Parts(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := envelope.Canonical(v.Statement)
		if err != nil || !bytes.Equal(again, payload) {
			t.Fatalf("the statement re-encodes to other bytes (%v)", err)
		}
		if _, err := envelope.Join(typ, payload, sig); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzDecode: what Decode accepts is its own canonical encoding; what Canonical makes, Decode accepts.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"count":1,"inner":null,"name":"a"}`, `{"count":0,"inner":{"count":1,"inner":null,"name":"\u2028"},"name":"<&>"}`, `{}`, `[1]`, `{"count":1e3}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v config
		strict := envelope.DecodeStrict(b, 1<<16, &v)
		if strict == nil && !json.Valid(b) {
			t.Fatal("accepted what is not JSON")
		}
		err := envelope.Decode(b, 1<<16, &config{})
		if err == nil && strict != nil {
			t.Fatal("Decode accepts what DecodeStrict refuses")
		}
		if strict != nil {
			return
		}
		c, cerr := envelope.Canonical(v)
		if cerr != nil {
			return
		}
		if (err == nil) != bytes.Equal(c, b) {
			t.Fatalf("Decode: %v, canonical form %s", err, c)
		}
		var again config
		if err := envelope.Decode(c, 1<<17, &again); err != nil {
			t.Fatalf("canonical form refused: %v", err)
		}
	})
}

// FuzzPublicKey: there is one text for each key.
func FuzzPublicKey(f *testing.F) {
	f.Add(didVector)
	f.Add("did:key:z1" + didVector[9:])
	f.Add("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := envelope.ParsePublicKey(s)
		if err != nil {
			if !k.IsZero() {
				t.Fatal("an error with a key")
			}
			return
		}
		if k.String() != s || k.ECDSA() == nil || !k.Equal(k) {
			t.Fatalf("%s re-encodes to %s", s, k)
		}
	})
}
