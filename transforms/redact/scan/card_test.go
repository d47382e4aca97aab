// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/scan"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// TestSeparatorsOfCards: whatever stands between its groups, a card is one.
func TestSeparatorsOfCards(t *testing.T) {
	s := scan.New(scan.Options{})
	for _, number := range []string{"4111.1111.1111.1111", "4111/1111/1111/1111", "4111-1111-1111-1111", "4111 - 1111 - 1111 - 1111"} {
		text, ok := "card "+number+" and", false
		for _, f := range s.Scan(nil, []byte(text)) {
			ok = ok || f.Type == span.CreditCard && text[f.Start:f.End] == number && f.Score >= span.Medium
		}
		if !ok {
			t.Errorf("%q is not found", text)
		}
	}
}

// TestVersionsOfFiles: RCS and CVS write versions of four numbers behind the name of a file.
func TestVersionsOfFiles(t *testing.T) {
	s := scan.New(scan.Options{})
	for text, want := range map[string]bool{"$Id: main.c,v 1.91.2.2 2002/08/26 jm Exp $": false, "host 8.8.4.4 answers": true} {
		got := false
		for _, f := range s.Scan(nil, []byte(text)) {
			got = got || f.Type == span.IP && f.Score >= span.Medium
		}
		if got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
