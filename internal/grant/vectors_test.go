// SPDX-License-Identifier: Apache-2.0

package grant_test

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job/statementtest"
)

// ruleSpoilers break one rule of each kind's own page; grants have [vectorSpoilers].
func ruleSpoilers() map[string]struct {
	comment string
	change  func(predicate map[string]any)
} {
	set := func(name string, v any) func(map[string]any) { return func(p map[string]any) { p[name] = v } }
	return map[string]struct {
		comment string
		change  func(predicate map[string]any)
	}{
		"challenge":  {"the nonce lives longer than two minutes", set("expires", 1000+grant.MaxNonceLife.Milliseconds()+1)},
		"ticket":     {"no attempt", set("attempt", 0)},
		"heartbeat":  {"sequences begin at 1", set("sequence", 0)},
		"allowance":  {"a reason to stop that nobody knows", set("stop", "tired")},
		"commit":     {"a failed run is billed", set("outcome", "failed")},
		"denial":     {"no reason", set("reasons", []any{})},
		"lease-lost": {"a reason that nobody knows", set("reason", "tired")},
		"revocation": {"two things at once", set("job", sum("j"))},
		"permit":     {"for no job at all", set("count", 0)},
		"hand-over":  {"without a reason", set("reason", "")},
		"notice":     {"an action nobody knows", set("action", "panic")},
	}
}

func writeStatementVectors(t *testing.T) {
	predicate := func(m map[string]any) map[string]any { return m["predicate"].(map[string]any) }
	for _, s := range samples(t) {
		rule, ok := ruleSpoilers()[s.name]
		if !ok {
			continue
		}
		k := statementtest.NewKey(t, s.role)
		signed, _, err := s.sign(k.Signer)
		if err != nil {
			t.Fatal(err)
		}
		put := func(name, comment string, change func(map[string]any)) {
			expect, _, _ := strings.Cut(name, "-")
			statementtest.Write(t, "grant", statementtest.Vector{
				Name:   name + "-" + s.name,
				Header: map[string]string{"expect": expect, "comment": comment, "kind": s.name, "key": k.Public().String()},
				Body:   k.Change(t, signed, change),
			})
		}
		put("invalid-rule", rule.comment, func(m map[string]any) { rule.change(predicate(m)) })
		put("invalid-subject", "subject is something else", func(m map[string]any) {
			m["subject"] = []envelope.Subject{envelope.NewSubject("job", sum("other"))}
		})
		put("malformed-unknown", "a field nobody knows", func(m map[string]any) { predicate(m)["x"] = 1 })
		put("malformed-no-subject", "about nothing", func(m map[string]any) { m["subject"] = []any{} })
		put("type-job", "another statement", func(m map[string]any) { m["predicateType"] = envelope.JobType })
	}
}

// TestEveryKindHasVectors: a valid one and one for each error of each kind. [TestVectors] reads them.
func TestEveryKindHasVectors(t *testing.T) {
	if *update {
		writeStatementVectors(t)
	}
	have := map[string]bool{}
	for _, v := range statementtest.Load(t, "grant") {
		have[v.Header["kind"]+" "+v.Header["expect"]] = true
	}
	for _, s := range samples(t) {
		for _, expect := range []string{"valid", "malformed", "invalid", "type", "signature"} {
			if !have[s.name+" "+expect] {
				t.Errorf("no vector of kind %s expects %s", s.name, expect)
			}
		}
	}
}
