// SPDX-License-Identifier: Apache-2.0

package door_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// fat reaches brokers that answer with as much as they may; "heedless" with more, whatever they may.
type fat struct {
	scripted
	held  atomic.Int64
	asked atomic.Int64
}

func (f *fat) Relay(_ context.Context, address string, _ []byte, most int) ([]byte, error) {
	f.asked.Add(1)
	if address == "heedless" {
		most++
	}
	f.held.Add(int64(most))
	return make([]byte, most), nil
}

// posts are n challenges that differ.
func posts(n int) (out []door.Post) {
	for i := range n {
		out = append(out, door.Post{Address: "http://same", Message: fmt.Appendf(nil, `{"challenge":%d}`, i)})
	}
	return out
}

// TestAttackFatAnswers: brokers that all answer with the most that they may make the host hold little for one question, and take no
// room from each other.
func TestAttackFatAnswers(t *testing.T) {
	h := &fat{}
	all := posts(1 + job.MaxDatasets)
	all[3].Address = "heedless"
	answers, err := open(t, h).RelayAll(t.Context(), all)
	if err != nil || len(answers) != len(all) {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for i, b := range answers {
		if want := grant.MaxSmallMessage; i == 3 && len(b) != 0 || i != 3 && len(b) != want {
			t.Errorf("answer %d has %d bytes", i, len(b))
		}
	}
	if most := int64(len(all)*grant.MaxSmallMessage + 1); h.held.Load() > most {
		t.Errorf("the host holds %d bytes, want at most %d", h.held.Load(), most)
	}
}

// TestRelayAllRefuses: nothing goes out of a question that should not be relayed together.
func TestRelayAllRefuses(t *testing.T) {
	of := func(message string) []door.Post {
		return append(posts(2), door.Post{Address: "http://same", Message: []byte(message)})
	}
	for name, c := range map[string]struct {
		posts []door.Post
		why   string
	}{
		"too many":    {posts(2 + job.MaxDatasets), "at most 17 together"},
		"twice":       {slices.Concat(posts(3), posts(1)), "message 3 is there twice"},
		"a release":   {of(`{"release":{}}`), "message 2 may be large"},
		"a plan":      {of(`{"plan":{}}`), "message 2 may be large"},
		"a commit":    {of(`{"commit":""}`), "message 2 may be large"},
		"fat":         {[]door.Post{{Address: "b", Message: bytes.Repeat([]byte("x"), grant.MaxSmallMessage+1)}}, "message 0 may be large"},
		"a fat frame": {[]door.Post{{Address: "b", Message: make([]byte, 4<<20)}}, "large"},
	} {
		h := &fat{}
		if _, err := open(t, h).RelayAll(t.Context(), c.posts); !errors.Is(err, door.ErrRefused) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", name, err)
		}
		if n := h.asked.Load(); n != 0 {
			t.Errorf("%s: %d messages went out", name, n)
		}
	}
	same := append(posts(1), door.Post{Address: "http://other", Message: posts(1)[0].Message})
	if _, err := open(t, &fat{}).RelayAll(t.Context(), same); err != nil {
		t.Errorf("the same to two brokers: %v", err)
	}
}
