// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms"
)

// TestWipe: what fields were set to, and by whom, is forgotten with the pipeline.
func TestWipe(t *testing.T) {
	out, whose := []byte("jane@example.com"), []byte("patient 7")
	s := &Redact{out: out[:0], whose: map[string][]byte{"by": whose}}
	var w transforms.Wiper = s
	w.Wipe()
	if zero := make([]byte, 32); !bytes.HasPrefix(zero, out) || !bytes.HasPrefix(zero, whose) || s.out != nil || s.whose != nil {
		t.Errorf("%q %q stay", out, whose)
	}
}
