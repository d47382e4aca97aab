// SPDX-License-Identifier: Apache-2.0

package transforms_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
)

type ref struct {
	Field    string `json:"field"`
	Optional bool   `json:"optional"`
}

type sampleConfig struct {
	Quasi []ref `json:"quasi"`
	List  []struct {
		ref
		Width json.Number `json:"width"`
		Top   *int        `json:"top"`
	} `json:"list"`
	Words map[string][]string `json:"words"`
	By    *ref                `json:"by"`
	Any   json.RawMessage     `json:"any"`
	Share float64             `json:"share"`
	Bound decimal.Number      `json:"bound"`
}

// TestConfigErrorsInWords: who writes a configuration reads what JSON must stand where, and nothing of this program.
func TestConfigErrorsInWords(t *testing.T) {
	for config, want := range map[string]string{
		`{"quasi":["zip"]}`:                        `quasi: want a list of objects {"field": …, "optional": …}, and a text stands in it`,
		`{"quasi":"zip"}`:                          `quasi: want a list of objects {"field": …, "optional": …}, got a text`,
		`{"quasi":[{"field":7}]}`:                  `quasi.field: want a text, got a number`,
		`{"list":[{"field":[]}]}`:                  `list.field: want a text, got a list`,
		`{"list":[{"optional":"yes"}]}`:            `list.optional: want true or false, got a text`,
		`{"list":[{"width":true}]}`:                `list.width: want a number, got true or false`,
		`{"list":[{"top":1.5}]}`:                   `list.top: want a whole number, got a number`,
		`{"words":{"a":"b"}}`:                      `words: want an object of lists of texts, and a text stands in it`,
		`{"by":"id"}`:                              `by: want an object {"field": …, "optional": …}, got a text`,
		`{"share":"half"}`:                         `share: want a number, got a text`,
		`[]`:                                       `the whole: want an object {"quasi": …, "list": …, "words": …, "by": …, …}, got a list`,
		"{\n  \"share\": 1,\n}":                    `line 3, column 1: not JSON: `,
		`{"share":`:                                `it ends too early`,
		`{"shares":1}`:                             `there is no member "shares"; there are quasi, list, words, by, any, share, bound`,
		`{"list":[{"field":"a"},{"wdth":1}]}`:      `list: there is no member "wdth"; there are field, optional, width, top`,
		`{"any":{"x":1},"by":{"feild":"a"}}`:       `by: there is no member "feild"; there are field, optional`,
		`{"share":1,"Share":2}`:                    `duplicate name "Share"`,
		`{"bound":"much"}`:                         `bound: decimal: not a number`,
		`{"list":[{"width":"wide"}]}`:              `list.width: want a number`,
		`{"share":1} {}`:                           `data after the value`,
		`{"words":{"b":["x"]},"zz":1,"quasi":[]}`:  `there is no member "zz"`,
		`{"quasi":[{"field":"a","field":"b"}]}`:    `field`,
		`{"list":[{"field":"a","top":"a","w":1}]}`: `list.top: want a whole number, got a text`,
	} {
		var c sampleConfig
		err := transforms.DecodeConfig(json.RawMessage(config), &c)
		if !errors.Is(err, transforms.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got %v\nwant %s", config, err, want)
		}
		for _, word := range []string{"Go ", "unmarshal", "struct", "json:"} {
			if err != nil && strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v speaks of %q", config, err, word)
			}
		}
	}
	var c sampleConfig
	if err := transforms.DecodeConfig(json.RawMessage(`{"quasi":[{"field":"zip"}],"list":[{"field":"a","width":2}],"any":[1]}`), &c); err != nil || c.Quasi[0].Field != "zip" {
		t.Error(c, err)
	}
}

func FuzzDecodeConfig(f *testing.F) {
	for _, seed := range []string{`{"quasi":["zip"]}`, `{"list":[{"wdth":1}]}`, `{"words":{"a":[{}]}}`, "{\n,", `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c sampleConfig
		if err := transforms.DecodeConfig(b, &c); err != nil && !errors.Is(err, transforms.ErrConfig) {
			t.Error(err)
		}
	})
}
