// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestWordsComeWhileTheGuestRuns(t *testing.T) {
	sp, d := filesSpec(t)
	var words bytes.Buffer
	sp.Words, sp.Logs = &words, false
	o := outcome(t, sp, d)
	wantReason(t, o, ReasonNone)
	if !strings.Contains(words.String(), "all as it should be") || len(o.Logs) != 0 {
		t.Errorf("words %q, logs %q", words.String(), o.Logs)
	}
}

func TestWordsNobodyAskedFor(t *testing.T) {
	var b bytes.Buffer
	if err := errors.Join(writeKind(&b, kindWords, []byte("secret")), (&artefact{}).write(&b)); err != nil {
		t.Fatal(err)
	}
	s := &Spec{Fuel: 10, OutputBytes: 1}
	if _, err := readArtefact(bytes.NewReader(b.Bytes()), s, true); !errors.Is(err, ErrProtocol) {
		t.Errorf("err = %v, want ErrProtocol", err)
	}
}

func TestWordsAreBounded(t *testing.T) {
	var b bytes.Buffer
	if err := writeKind(&b, kindWords, make([]byte, maxWords+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := readWords(&b, io.Discard); !errors.Is(err, ErrProtocol) {
		t.Errorf("err = %v, want ErrProtocol", err)
	}
}
