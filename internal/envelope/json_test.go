// SPDX-License-Identifier: Apache-2.0

package envelope_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestCanonicalExample is the example of RFC 8785, section 3.2.2 and 3.2.3.
func TestCanonicalExample(t *testing.T) {
	in := `{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],` +
		`"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`
	want := `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],` +
		"\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
	got, err := envelope.Canonical(json.RawMessage(in))
	if err != nil || string(got) != want {
		t.Errorf("%s, %v\nwant %s", got, err, want)
	}
	order := `{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`
	got, err = envelope.Canonical(json.RawMessage(order))
	if want := "{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}"; err != nil || string(got) != want {
		t.Errorf("%q, %v\nwant %q", got, err, want)
	}
}

func TestCanonicalExact(t *testing.T) {
	for _, ok := range []any{int64(1<<53 - 1), -int64(1<<53 - 1), 0, 1.5, "9007199254740993", `a"9007199254740993\`, map[string]any{"9007199254740993": 1}} {
		if _, err := envelope.Canonical(ok); err != nil {
			t.Errorf("%v: %v", ok, err)
		}
	}
	for _, bad := range []any{int64(1 << 53), -int64(1 << 53), uint64(1<<64 - 1), []int64{1, 1 << 60}, json.RawMessage("123456789012345678901234567890")} {
		if _, err := envelope.Canonical(bad); !errors.Is(err, envelope.ErrMalformed) {
			t.Errorf("%v: %v, want ErrMalformed", bad, err)
		}
	}
}

type config struct {
	Name  string          `json:"name"`
	Count int64           `json:"count"`
	Inner *config         `json:"inner"`
	Raw   json.RawMessage `json:"raw,omitempty"`
}

func TestDecodeStrict(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"plain":               {`{"name":"a","count":1}`, nil},
		"spaces and order":    {"{ \"count\" : 1,\n\"name\" : \"a\" }\n", nil},
		"empty":               {``, envelope.ErrMalformed},
		"cut":                 {`{"name":"a"`, envelope.ErrMalformed},
		"unknown":             {`{"nam":"a"}`, envelope.ErrMalformed},
		"unknown inside":      {`{"inner":{"nam":"a"}}`, envelope.ErrMalformed},
		"trailing value":      {`{"name":"a"}{"name":"b"}`, envelope.ErrMalformed},
		"trailing text":       {`{"name":"a"}x`, envelope.ErrMalformed},
		"duplicate":           {`{"name":"a","name":"a"}`, envelope.ErrMalformed},
		"duplicate by case":   {`{"name":"a","NAME":"b"}`, envelope.ErrMalformed},
		"duplicate by escape": {`{"name":"a","n\u0061me":"b"}`, envelope.ErrMalformed},
		"duplicate by fold":   {`{"count":1,"count":2}`, envelope.ErrMalformed},
		"duplicate inside":    {`{"inner":{"name":"a","name":"b"}}`, envelope.ErrMalformed},
		"duplicate in raw":    {`{"raw":[{"x":1,"x":2}]}`, envelope.ErrMalformed},
		"duplicate in array":  {`{"raw":[[{"y":{"z":1,"z":1}}]]}`, envelope.ErrMalformed},
		"same name elsewhere": {`{"raw":[{"x":1},{"x":2},"x","x"]}`, nil},
		"not UTF-8":           {"{\"name\":\"\xff\"}", envelope.ErrMalformed},
		"wrong type":          {`{"count":"1"}`, envelope.ErrMalformed},
		"fraction":            {`{"count":1.5}`, envelope.ErrMalformed},
		"too deep":            {`{"raw":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, envelope.ErrMalformed},
		"deep":                {`{"raw":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`, nil},
		"too large":           {`{"name":"` + strings.Repeat("a", 1000) + `"}`, envelope.ErrTooLarge},
	} {
		var v config
		if err := envelope.DecodeStrict([]byte(c.in), 1000, &v); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for _, limit := range []int{0, -1} {
		if err := envelope.DecodeStrict([]byte(`{}`), limit, &config{}); !errors.Is(err, envelope.ErrTooLarge) {
			t.Errorf("limit %d: %v, want ErrTooLarge", limit, err)
		}
	}
}

// TestDuplicateByFold: encoding/json takes "ſ" (long s) for "s", so the two are one name.
func TestDuplicateByFold(t *testing.T) {
	type access struct {
		Users string `json:"users"`
	}
	for _, in := range []string{`{"users":"a","uſers":"b"}`, `{"Uſerſ":"a","users":"b"}`} {
		if err := envelope.DecodeStrict([]byte(in), 100, &access{}); !errors.Is(err, envelope.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", in, err)
		}
	}
}

func TestDecode(t *testing.T) {
	if err := envelope.Decode([]byte(`{"count":1,"inner":null,"name":"a"}`), 100, &config{}); err != nil {
		t.Errorf("canonical: %v", err)
	}
	for name, in := range map[string]string{
		"absent field":  `{"count":1,"name":"a"}`,
		"other order":   `{"name":"a","count":1,"inner":null}`,
		"space":         `{"count":1, "inner":null,"name":"a"}`,
		"other case":    `{"Count":1,"inner":null,"name":"a"}`,
		"escape":        `{"count":1,"inner":null,"name":"\u0061"}`,
		"number form":   `{"count":1e0,"inner":null,"name":"a"}`,
		"big number":    `{"count":9007199254740993,"inner":null,"name":"a"}`,
		"negative zero": `{"count":-0,"inner":null,"name":"a"}`,
		"null for zero": `{"count":null,"inner":null,"name":"a"}`,
		"line end":      `{"count":1,"inner":null,"name":"a"}` + "\n",
		"surrogate":     `{"count":1,"inner":null,"name":"\ud800"}`,
	} {
		if err := envelope.Decode([]byte(in), 100, &config{}); !errors.Is(err, envelope.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}
