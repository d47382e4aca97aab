// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact"
)

// TestBadConfig: what is wrong is refused, and the error says what would be right.
func TestBadConfig(t *testing.T) {
	for _, c := range []struct{ config, hint string }{
		{`{"feilds":["a"]}`, "did you mean fields?"},
		{`{"Fields":["a"]}`, "did you mean fields?"},
		{`{"fields":[]}`, "leave it out"},
		{`{"fields":["a*"]}`, `"headers.*"`},
		{`{"fields":["*.a"]}`, `"headers.*"`},
		{`{"fields":[""]}`, `"headers.*"`},
		{`{"fields":"a"}`, "fields"},
		{`{"detect":[]}`, `["all"]`},
		{`{"detect":["EMAIL"]}`, "did you mean EMAIL_ADDRESS?"},
		{`{"detect":["PHONE_NUMER"]}`, "did you mean PHONE_NUMBER?"},
		{`{"detect":["Contact"]}`, "did you mean contact?"},
		{`{"detect":["-URL"]}`, `["all", "-URL"]`},
		{`{"detect":["URL","-URL"]}`, "nothing would be found"},
		{`{"minScore":0}`, "more than 0"},
		{`{"minScore":1.1}`, "at most 1"},
		{`{"minScore":"0.5"}`, "minScore"},
		{`{"thresholds":{"URLS":0.5}}`, "did you mean URL?"},
		{`{"thresholds":{"URL":-1}}`, "more than 0"},
		{`{"operators":{"default":{"op":"hashh"}}}`, "did you mean hash?"},
		{`{"operators":{"default":{}}}`, `there is no ""`},
		{`{"operators":{"EMAIL":{"op":"hash"}}}`, "did you mean EMAIL_ADDRESS?"},
		{`{"detect":["URL"],"operators":{"EMAIL_ADDRESS":{"op":"hash"}}}`, "no type that the step finds"},
		{`{"operators":{"default":{"op":"hash","days":3}}}`, `hash has no "days"`},
		{`{"operators":{"default":{"op":"hash","scope":"grants"}}}`, "did you mean grant?"},
		{`{"operators":{"default":{"op":"encrypt","scope":"grant"}}}`, "creator"},
		{`{"operators":{"default":{"op":"mask","char":"ab"}}}`, "one character"},
		{`{"operators":{"default":{"op":"mask","char":"7"}}}`, "no digit"},
		{`{"operators":{"default":{"op":"mask","last":-1}}}`, "0 to"},
		{`{"operators":{"default":{"op":"shift","days":-1}}}`, "days"},
		{`{"operators":{"default":{"op":"shift","days":99999}}}`, "days"},
		{`{"operators":{"default":{"op":"shift","days":6}}}`, "want 7"},
		{`{"operators":{"default":{"op":"shift","order":"ymd"}}}`, "mdy or dmy"},
		{`{"operators":{"default":{"op":"bucket","width":1}}}`, "width"},
		{`{"operators":{"default":{"op":"bucket","date":"day"}}}`, "month or year"},
		{`{"operators":{"default":{"op":"replace","text":"` + strings.Repeat("x", 300) + `"}}}`, "at most"},
		{`{"patterns":[{"name":"a","type":"A","regexp":"(?=x)"}]}`, "RE2"},
		{`{"patterns":[{"name":"a","type":"A","regexp":"x*"}]}`, "everywhere"},
		{`{"patterns":[{"name":"a","type":"a b","regexp":"x"}]}`, "capitals"},
		{`{"patterns":[{"name":"","type":"A","regexp":"x"}]}`, "name"},
		{`{"patterns":[{"name":"a","type":"A","regexp":"` + strings.Repeat("x", 1025) + `"}]}`, "1025 bytes"},
		{`{"patterns":[{"name":"a","type":"A","regexp":"x","score":2}]}`, "at most 1"},
		{`{"words":[{"type":"A","words":[]}]}`, "empty list"},
		{`{"words":[{"type":"A","words":[" "]}]}`, "a word of 0 bytes"},
		{`{"allow":[""]}`, "a text of 0 bytes"},
		{`{"keys":true,"keys":true}`, "duplicate"},
		{`[]`, "invalid configuration"},
		{`null`, "nothing"},
	} {
		_, err := redact.New([]byte(c.config), transforms.Schema{}, &transforms.Env{Keys: keys("k")})
		if c.config == "null" { // an empty configuration: everything is found
			continue
		}
		if !errors.Is(err, transforms.ErrConfig) || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: %v, want %q in it", c.config, err, c.hint)
		}
	}
	if _, err := redact.New([]byte(`{"operators":{"default":{"op":"hash"}}}`), transforms.Schema{}, &transforms.Env{}); !errors.Is(err, transforms.ErrEnv) {
		t.Errorf("hash without keys: %v", err)
	}
	for _, c := range []struct{ config, hint string }{
		{`{}`, "act"},
		{`{"act":"reports"}`, "did you mean report?"},
		{`{"act":"fail","operators":{}}`, `"operators"`},
	} {
		if _, err := redact.NewScan([]byte(c.config), transforms.Schema{}, nil); !errors.Is(err, transforms.ErrConfig) || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("scan %s: %v, want %q in it", c.config, err, c.hint)
		}
	}
}
