// SPDX-License-Identifier: Apache-2.0

package grant_test

import (
	"bytes"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job/statementtest"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

var update = flag.Bool("update", false, "write the vectors anew")

func sum(s string) envelope.Digest { return envelope.Sum([]byte(s)) }

// sample is a valid statement of one kind, and what in it may be zero.
type sample struct {
	name       string
	role       envelope.Role
	sign       func(*envelope.Signer) ([]byte, envelope.Digest, error)
	verify     func([]byte, envelope.PublicKey) error
	zero       func(*envelope.Signer) error // signs the zero value
	meaningful []string
}

// ignore drops the statement and keeps the verdict.
func ignore[P any](f func([]byte, envelope.PublicKey) (*envelope.Verified[P], error)) func([]byte, envelope.PublicKey) error {
	return func(b []byte, k envelope.PublicKey) error { _, err := f(b, k); return err }
}

func goodGrant(t testing.TB) *grant.Grant {
	previous, ticket := sum("previous"), sum("ticket")
	return &grant.Grant{
		Binding: sum("d"), Evidence: sum("e"), Job: sum("j"), Manifest: sum("m"),
		Buyer: statementtest.NewKey(t, envelope.RoleBuyer).Public(), Ticket: &ticket, Attempt: 1, Assurance: "tpm", Reference: "r",
		Policy: sum("p"), Sequence: 2, Previous: &previous, Ledger: grant.Head{Records: 7, Digest: &previous, Revision: 9}, Issued: 1_800_000_000_000,
		Obligations: grant.Obligations{
			Mode: grant.ModeRaw, Transforms: []envelope.Digest{}, Leaves: grant.Ranges{{First: 1, Count: 9}}, Epochs: 8,
			Outputs: []string{"metrics", "model"}, MaxOutput: 100, Logs: grant.LogsOff, Allowance: 4, Expires: 1_800_000_060_000,
		},
	}
}

func samples(t testing.TB) []sample {
	previous, manifest := sum("previous"), sum("m")
	broker := statementtest.NewKey(t, envelope.RoleBroker).Public()
	return []sample{
		{
			"challenge", envelope.RoleBroker,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				return grant.Sign(&grant.Challenge{Nonce: envelope.NewNonce(), Audience: broker, Manifest: manifest, Job: sum("j"), Issued: 1000, Expires: 121_000}, s)
			},
			ignore(grant.VerifyChallenge),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.Challenge), s); return err },
			nil,
		},
		{
			"ticket", envelope.RoleBroker,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				return grant.Sign(&grant.Ticket{Job: sum("j"), Binding: sum("d"), Attempt: 1, Issued: 1000, Expires: 2000}, s)
			},
			ignore(grant.VerifyTicket),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.Ticket), s); return err },
			nil,
		},
		{
			"grant", envelope.RoleBroker,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) { return grant.Sign(goodGrant(t), s) },
			ignore(grant.VerifyGrant),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.Grant), s); return err },
			[]string{
				"predicate.ticket",                     // null in the code's grant; who asked for a dataset refuses it
				"predicate.obligations.leaves.0.first", // from the first leaf
				"predicate.ledger.revision",
				"predicate.obligations.outputs",   // nothing may leave
				"predicate.obligations.maxOutput", // nothing may leave
			},
		},
		{
			"heartbeat", envelope.RoleEnclave,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				return grant.Sign(&grant.Heartbeat{Binding: sum("d"), Grant: sum("g"), Sequence: 3, Delivered: 5, Steps: 7}, s)
			},
			ignore(grant.VerifyHeartbeat),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.Heartbeat), s); return err },
			[]string{"predicate.delivered", "predicate.steps"}, // the broker compares with the heartbeat before
		},
		{
			"allowance", envelope.RoleBroker,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				return grant.Sign(&grant.Allowance{Binding: sum("d"), Grant: sum("g"), Sequence: 3, Leaves: 5, Steps: 7, Stop: grant.StopRevoked, Time: 9}, s)
			},
			ignore(grant.VerifyAllowance),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.Allowance), s); return err },
			[]string{"predicate.leaves", "predicate.steps", "predicate.stop"}, // no further leaf; go on
		},
		{
			"commit", envelope.RoleBroker,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				return grant.Sign(&grant.Commit{
					Binding: sum("d"), Grant: sum("g"), Job: sum("j"), Manifest: manifest, Usage: sum("u"), Outcome: "completed",
					Records: 5, Amount: 7, Currency: "EUR", Sequence: 2, Previous: &previous, Time: 9,
					Witnessed: &tlog.Proof{Index: 0, Size: 1, Hashes: []envelope.Digest{}, Checkpoint: "checkpoint"},
				}, s)
			},
			ignore(grant.VerifyCommit),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.Commit), s); return err },
			[]string{"predicate.records", "predicate.amount"}, // nothing is owed
		},
		{
			"denial", envelope.RoleBroker,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				return grant.Sign(&grant.Denial{
					Job: sum("j"), Manifest: manifest, Reasons: []grant.Reason{{Rule: "r", Message: "m", Satisfy: "s"}},
					Sequence: 2, Previous: &previous, Time: 9,
				}, s)
			},
			ignore(grant.VerifyDenial),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.Denial), s); return err },
			nil,
		},
		{
			"lease-lost", envelope.RoleBroker,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				return grant.Sign(&grant.LeaseLost{
					Binding: sum("d"), Grant: sum("g"), Job: sum("j"), Manifest: manifest, Attempt: 1, LastHeartbeat: 4,
					Reason: grant.LostSilent, Sequence: 2, Previous: &previous, Time: 9,
				}, s)
			},
			ignore(grant.VerifyLeaseLost),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.LeaseLost), s); return err },
			[]string{"predicate.lastHeartbeat"}, // none came
		},
		{
			"revocation", envelope.RoleOwner,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				return grant.Sign(&grant.Revocation{Manifest: &manifest, Reason: "consent withdrawn", Time: 9}, s)
			},
			ignore(grant.VerifyRevocation),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.Revocation), s); return err },
			nil,
		},
		{
			"permit", envelope.RoleOwner,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				code, buyer := sum("c"), statementtest.NewKey(t, envelope.RoleBuyer).Public()
				return grant.Sign(&grant.Permit{
					ID: envelope.Nonce{1}, Dataset: envelope.PackageID{2}, Code: &code, Buyer: &buyer, MinPrice: 5, Count: 3, NotAfter: 9,
				}, s)
			},
			ignore(grant.VerifyPermit),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.Permit), s); return err },
			[]string{"predicate.code", "predicate.buyer", "predicate.minPrice"}, // whatever the terms allow
		},
		{
			"hand-over", envelope.RoleOwner,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				head := sum("head")
				return grant.Sign(&grant.HandOver{
					Old: statementtest.NewKey(t, envelope.RoleBroker).Public(), New: statementtest.NewKey(t, envelope.RoleBroker).Public(),
					Head: grant.Head{Records: 4, Digest: &head, Revision: 7}, Reason: "yearly rotation", Time: 9,
				}, s)
			},
			ignore(grant.VerifyHandOver),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.HandOver), s); return err },
			[]string{"predicate.head.revision"},
		},
		{
			"notice", envelope.RoleOwner,
			func(s *envelope.Signer) ([]byte, envelope.Digest, error) {
				return grant.Sign(&grant.Notice{
					Revocation: sum("r"), Job: sum("j"), Manifest: manifest, Buyer: statementtest.NewKey(t, envelope.RoleBuyer).Public(),
					Usage: sum("u"), Result: sum("result"), Action: grant.NoticeDelete, Reason: "consent withdrawn", Time: 9,
				}, s)
			},
			ignore(grant.VerifyNotice),
			func(s *envelope.Signer) error { _, _, err := grant.Sign(new(grant.Notice), s); return err },
			nil,
		},
	}
}

func TestStatements(t *testing.T) {
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			k := statementtest.NewKey(t, s.role)
			signed, id, err := s.sign(k.Signer)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := envelope.ID(signed); err != nil || got != id {
				t.Errorf("ID %v, %v", got, err)
			}
			verify := func(b []byte) error { return s.verify(b, k.Public()) }
			statementtest.EveryField(t, k, signed, s.meaningful, verify)
			statementtest.EveryByte(t, signed, verify)
			if err := s.verify(signed, statementtest.NewKey(t, s.role).Public()); !errors.Is(err, envelope.ErrSignature) {
				t.Errorf("another signer's: %v", err)
			}
			if err := s.verify(signed, envelope.PublicKey{}); !errors.Is(err, envelope.ErrRole) {
				t.Errorf("no key: %v", err)
			}
			if err := s.zero(k.Signer); !errors.Is(err, grant.ErrInvalid) {
				t.Errorf("signed the zero value: %v", err)
			}
			if _, _, err := s.sign(statementtest.NewKey(t, envelope.RoleReference).Signer); !errors.Is(err, envelope.ErrRole) {
				t.Errorf("signed in another role: %v", err)
			}
		})
	}
}

// TestNoStatementPassesAsAnother verifies each kind as each other kind, by a key of the right role.
func TestNoStatementPassesAsAnother(t *testing.T) {
	all := samples(t)
	for _, a := range all {
		k := statementtest.NewKey(t, a.role)
		signed, _, err := a.sign(k.Signer)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			if err := b.verify(signed, k.Public()); (err == nil) != (a.name == b.name) {
				t.Errorf("%s as %s: %v", a.name, b.name, err)
			}
		}
	}
}

func TestGrantOutOfRange(t *testing.T) {
	for name, change := range map[string]func(*grant.Grant){
		"first with previous":  func(g *grant.Grant) { g.Sequence = 1 },
		"second without":       func(g *grant.Grant) { g.Previous = nil },
		"expires before issue": func(g *grant.Grant) { g.Obligations.Expires = g.Issued },
		"expires too late":     func(g *grant.Grant) { g.Obligations.Expires = g.Issued + grant.MaxLease.Milliseconds() + 1 },
		"another mode":         func(g *grant.Grant) { g.Obligations.Mode = "aggregate-only" },
		"transforms":           func(g *grant.Grant) { g.Obligations.Transforms = []envelope.Digest{g.Job} },
		"privacy":              func(g *grant.Grant) { g.Obligations.Privacy = 1 },
		"negative leaf":        func(g *grant.Grant) { g.Obligations.Leaves[0].First = -1 },
		"range overflows":      func(g *grant.Grant) { g.Obligations.Leaves[0].First = 1<<63 - 1 },
		"too many epochs":      func(g *grant.Grant) { g.Obligations.Epochs = 1 << 30 },
		"outputs unsorted":     func(g *grant.Grant) { g.Obligations.Outputs = []string{"model", "metrics"} },
		"outputs twice":        func(g *grant.Grant) { g.Obligations.Outputs = []string{"model", "model"} },
		"unknown output":       func(g *grant.Grant) { g.Obligations.Outputs = []string{"records"} },
		"much output":          func(g *grant.Grant) { g.Obligations.MaxOutput = 1 << 60 },
		"other logs":           func(g *grant.Grant) { g.Obligations.Logs = "on" },
		"huge allowance":       func(g *grant.Grant) { g.Obligations.Allowance = 1 << 60 },
	} {
		g := goodGrant(t)
		change(g)
		if err := g.Validate(); !errors.Is(err, grant.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := new(grant.Obligations).Validate(); !errors.Is(err, grant.ErrInvalid) {
		t.Errorf("zero obligations: %v", err)
	}
}

func TestRange(t *testing.T) {
	r := grant.Range{First: 3, Count: 2}
	for i, want := range map[int64]bool{2: false, 3: true, 4: true, 5: false, -1: false, 1<<63 - 1: false} {
		if r.Contains(i) != want {
			t.Errorf("leaf %d: %v", i, !want)
		}
	}
	if (grant.Range{}).Contains(0) {
		t.Error("the zero range contains a leaf")
	}
}

func TestStatementRules(t *testing.T) {
	m, j := sum("m"), sum("j")
	two := &grant.Revocation{Manifest: &m, Job: &j, Reason: "r", Time: 1}
	long := &grant.Revocation{Manifest: &m, Reason: strings.Repeat("x", grant.MaxReasonText+1), Time: 1}
	billed := &grant.Commit{
		Binding: m, Grant: m, Job: m, Manifest: m, Usage: m, Outcome: "failed", Amount: 1, Currency: "EUR", Sequence: 1, Time: 1,
	}
	unproven := &grant.Commit{
		Binding: m, Grant: m, Job: m, Manifest: m, Usage: m, Outcome: "failed", Currency: "EUR", Sequence: 1, Time: 1,
		Witnessed: &tlog.Proof{Index: 1, Size: 1, Hashes: []envelope.Digest{}, Checkpoint: "checkpoint"},
	}
	stop := &grant.Allowance{Binding: m, Grant: m, Sequence: 1, Stop: "tired", Time: 1}
	nonce := &grant.Challenge{
		Nonce: envelope.NewNonce(), Audience: statementtest.NewKey(t, envelope.RoleBroker).Public(), Manifest: m, Job: j, Issued: 1,
		Expires: grant.MaxNonceLife.Milliseconds() + 2,
	}
	for name, err := range map[string]error{
		"revocation of two things": two.Validate(), "long reason": long.Validate(), "failed run billed": billed.Validate(),
		"grant beyond its tree": unproven.Validate(),
		"unknown stop":          stop.Validate(), "nonce lives too long": nonce.Validate(),
	} {
		if !errors.Is(err, grant.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMessagesAndReplies(t *testing.T) {
	encode := func(v any) []byte {
		b, err := envelope.Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	d := sum("m")
	for name, c := range map[string]struct {
		b  []byte
		ok bool
	}{
		"challenge":            {encode(grant.Message{Challenge: &grant.ChallengeRequest{Manifest: d, Job: d}}), true},
		"commit":               {encode(grant.Message{Commit: []byte("x")}), true},
		"commit of a package":  {encode(grant.Message{Commit: []byte("x"), Package: &d}), true},
		"package alone":        {encode(grant.Message{Package: &d}), false},
		"package of heartbeat": {encode(grant.Message{Heartbeat: []byte("x"), Package: &d}), false},
		"none":                 {encode(grant.Message{}), false},
		"two":                  {encode(grant.Message{Heartbeat: []byte("x"), Commit: []byte("x")}), false},
		"unknown":              {[]byte(`{"x":1}`), false},
		"not canonical":        {[]byte(`{ "commit":"eA=="}`), false},
		"zero digest":          {[]byte(`{"challenge":{"job":"sha256:` + strings.Repeat("0", 64) + `","manifest":"` + d.String() + `"}}`), false},
		"too large":            {bytes.Repeat([]byte(" "), grant.MaxMessage+1), false},
	} {
		if _, err := grant.ParseMessage(c.b); (err == nil) != c.ok {
			t.Errorf("message %s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		b  []byte
		ok bool
	}{
		"error": {encode(grant.Reply{Error: &grant.Error{Code: grant.CodeDenied}}), true},
		"none":  {encode(grant.Reply{}), false},
		"two":   {encode(grant.Reply{Commit: []byte("x"), Allowance: []byte("x")}), false},
		"junk":  {[]byte("junk"), false},
	} {
		if _, err := grant.ParseReply(c.b); (err == nil) != c.ok {
			t.Errorf("reply %s: %v", name, err)
		}
	}
}

// vectorSpoilers are the ways a grant is refused; every other kind has its valid vector and the generated tests above.
func vectorSpoilers() map[string]struct {
	comment string
	change  func(map[string]any)
} {
	p := func(m map[string]any) map[string]any { return m["predicate"].(map[string]any) }
	o := func(m map[string]any) map[string]any { return p(m)["obligations"].(map[string]any) }
	return map[string]struct {
		comment string
		change  func(map[string]any)
	}{
		"malformed-unknown":   {"an obligation the enclave does not know", func(m map[string]any) { o(m)["network"] = "none" }},
		"malformed-missing":   {"no expiry", func(m map[string]any) { delete(o(m), "expires") }},
		"invalid-expiry":      {"expires before it was issued", func(m map[string]any) { o(m)["expires"] = 1 }},
		"invalid-leaves":      {"no leaf", func(m map[string]any) { o(m)["leaves"] = []any{map[string]any{"first": 0, "count": 0}} }},
		"invalid-mode":        {"a mode this release does not enforce", func(m map[string]any) { o(m)["mode"] = "aggregate-only" }},
		"invalid-chain":       {"the second record without the first", func(m map[string]any) { p(m)["previous"] = nil }},
		"invalid-subject":     {"subject is another manifest", func(m map[string]any) { m["subject"].([]any)[1] = m["subject"].([]any)[0] }},
		"invalid-output":      {"an output class nobody knows", func(m map[string]any) { o(m)["outputs"] = []string{"records"} }},
		"type-commit":         {"another statement", func(m map[string]any) { m["predicateType"] = envelope.CommitType }},
		"malformed-no-ticket": {"the ticket left out instead of null", func(m map[string]any) { delete(p(m), "ticket") }},
	}
}

func writeVectors(t *testing.T) {
	put := func(name, expect, kind, comment string, key envelope.PublicKey, body []byte) {
		statementtest.Write(t, "grant", statementtest.Vector{
			Name: name, Header: map[string]string{"expect": expect, "comment": comment, "kind": kind, "key": key.String()}, Body: body,
		})
	}
	for _, s := range samples(t) {
		k := statementtest.NewKey(t, s.role)
		signed, _, err := s.sign(k.Signer)
		if err != nil {
			t.Fatal(err)
		}
		put("valid-"+s.name, "valid", s.name, "a complete "+s.name, k.Public(), signed)
		put("signature-"+s.name, "signature", s.name, "signed by another", statementtest.NewKey(t, s.role).Public(), signed)
		if s.name != "grant" {
			continue
		}
		for name, v := range vectorSpoilers() {
			expect, _, _ := strings.Cut(name, "-")
			put(name, expect, s.name, v.comment, k.Public(), k.Change(t, signed, v.change))
		}
	}
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	kinds := map[string]func([]byte, envelope.PublicKey) error{}
	for _, s := range samples(t) {
		kinds[s.name] = s.verify
	}
	errs := map[string]error{
		"malformed": envelope.ErrMalformed, "invalid": grant.ErrInvalid, "type": envelope.ErrType, "signature": envelope.ErrSignature,
	}
	for _, v := range statementtest.Load(t, "grant") {
		key, err := envelope.ParsePublicKey(v.Header["key"])
		if err != nil || kinds[v.Header["kind"]] == nil {
			t.Fatalf("%s: kind %q, %v", v.Name, v.Header["kind"], err)
		}
		err = kinds[v.Header["kind"]](v.Body, key)
		if want := v.Header["expect"]; want == "valid" && err != nil || want != "valid" && (errs[want] == nil || !errors.Is(err, errs[want])) {
			t.Errorf("%s: %v, want %s", v.Name, err, want)
		}
	}
}

// FuzzVerify: whatever verifies as one kind encodes to the signed bytes, verifies as no other kind, and not with a bit
// flipped.
func FuzzVerify(f *testing.F) {
	keys := map[string]envelope.PublicKey{}
	for _, v := range statementtest.Load(f, "grant") {
		k, err := envelope.ParsePublicKey(v.Header["key"])
		if err != nil {
			f.Fatal(err)
		}
		keys[k.String()] = k
		f.Add(v.Body, v.Header["key"], uint16(0))
	}
	all := samples(f)
	f.Fuzz(func(t *testing.T, b []byte, did string, at uint16) {
		key, err := envelope.ParsePublicKey(did)
		if err != nil {
			return
		}
		accepted := 0
		for _, s := range all {
			if s.verify(b, key) != nil {
				continue
			}
			accepted++
			c := slices.Clone(b)
			c[int(at)%len(c)] ^= 1
			if s.verify(c, key) == nil {
				t.Fatalf("%s verifies with a bit flipped", s.name)
			}
		}
		if accepted > 1 {
			t.Fatal("one statement verifies as two kinds")
		}
	})
}

// FuzzParse: a message or reply that parses encodes to the same bytes.
func FuzzParse(f *testing.F) {
	d := sum("m")
	for _, m := range []any{
		grant.Message{Challenge: &grant.ChallengeRequest{Manifest: d, Job: d}},
		grant.Message{Commit: []byte("x"), Package: &d},
		grant.Reply{Error: &grant.Error{Code: grant.CodeInvalid}},
		grant.Reply{Release: &grant.ReleaseReply{Grant: []byte("g")}},
	} {
		b, err := envelope.Canonical(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := grant.ParseMessage(b); err == nil {
			if c, err := envelope.Canonical(m); err != nil || !bytes.Equal(b, c) {
				t.Fatalf("message encodes to other bytes: %v", err)
			}
		}
		if r, err := grant.ParseReply(b); err == nil {
			if c, err := envelope.Canonical(r); err != nil || !bytes.Equal(b, c) {
				t.Fatalf("reply encodes to other bytes: %v", err)
			}
		}
	})
}

// TestRanges: what is granted is found by its leaves, and ranges that could be said with fewer are refused.
func TestRanges(t *testing.T) {
	rs := grant.Ranges{{First: 2, Count: 3}, {First: 7, Count: 1}}
	for i, want := range []bool{false, false, true, true, true, false, false, true, false} {
		if rs.Contains(int64(i)) != want {
			t.Errorf("leaf %d: %v", i, !want)
		}
	}
	for r, want := range map[grant.Range]bool{
		{First: 2, Count: 3}: true, {First: 3, Count: 2}: true, {First: 3, Count: 3}: false, {First: 2, Count: 6}: false,
		{First: 2, Count: 0}: false, {First: 7, Count: 1 << 62}: false, {First: 1 << 62, Count: 1}: false,
	} {
		if rs.Covers(r) != want {
			t.Errorf("%+v covered: %v", r, !want)
		}
	}
	if rs.Count() != 4 || rs.End() != 8 || (grant.Ranges{}).End() != 0 {
		t.Errorf("%d leaves up to %d", rs.Count(), rs.End())
	}
	for name, bad := range map[string]grant.Ranges{
		"none": {}, "empty": {{First: 0, Count: 0}}, "out of order": {{First: 5, Count: 1}, {First: 0, Count: 1}},
		"overlapping": {{First: 0, Count: 3}, {First: 2, Count: 3}}, "adjacent": {{First: 0, Count: 2}, {First: 2, Count: 1}},
		"too many": make(grant.Ranges, grant.MaxRanges+1),
	} {
		o := grant.Obligations{Mode: grant.ModeRaw, Leaves: bad, Epochs: 1, Logs: grant.LogsOff, Allowance: 1, Expires: 1}
		if err := o.Validate(); !errors.Is(err, grant.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
