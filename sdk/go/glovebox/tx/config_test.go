// SPDX-License-Identifier: Apache-2.0

package tx

import "testing"

func TestConfigText(t *testing.T) {
	c := Config{JSON: []byte(`{"list":[{"word":"no"}],"n":1,"word":"y\\es\u0001\"ü\n","wordy":"no"}`)}
	for name, want := range map[string]string{"word": "y\\es\x01\"ü\n", "n": "fallback", "list": "fallback", "wor": "fallback", "wordy": "no"} {
		if got := c.Text(name, "fallback"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for n := range len(c.JSON) { // cut short, it says what it can
		(&Config{JSON: c.JSON[:n]}).Text("word", "")
	}
}
