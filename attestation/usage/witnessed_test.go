// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// witnessed is a run whose log two trusted witnesses cosign.
func witnessed(s usagetest.Scenario) usagetest.Scenario {
	s.Witnesses = 2
	return s
}

// onProof changes the proof of one grant or commit of a witnessed run.
func onProof(at string, f func(r *usagetest.Run, p *tlog.Proof) *tlog.Proof) usagetest.Scenario {
	return witnessed(usagetest.Scenario{Proof: func(r *usagetest.Run, part string, p *tlog.Proof) *tlog.Proof {
		if part == at {
			return f(r, p)
		}
		return p
	}})
}

// cut takes the last signature off a checkpoint.
func cut(text string) string { return text[:strings.LastIndex(text, "— ")] }

// again proves the last entry of a log anew, as it is cosigned now.
func again(r *usagetest.Run, l *usagetest.Log) *tlog.Proof {
	p, err := l.Proof(int64(l.Size() - 1))
	r.Check(err)
	return &p
}

func witnessCases() map[string]bad {
	stranger := func(r *usagetest.Run) *tlog.Cosigner {
		w, err := usagetest.NewWitness("stranger.example.net")
		r.Check(err)
		return w
	}
	return map[string]bad{
		"a commit that waited for nobody": {rule: "commit.witnessed", part: "commit[1]", scenario: witnessed(onCommit(func(c *grant.Commit) { c.Witnessed = nil }))},
		"the proof of another grant": {rule: "commit.witnessed", part: "commit[1]", scenario: onProof("grant[1]", func(r *usagetest.Run, _ *tlog.Proof) *tlog.Proof {
			return r.Logged(r.Log, r.Entry(0, r.Parts.Grants[0]))
		})},
		"a grant in another log": {rule: "commit.witnessed", part: "commit[1]", scenario: onProof("grant[1]", func(r *usagetest.Run, _ *tlog.Proof) *tlog.Proof {
			foreign, err := usagetest.NewLog(3)
			r.Check(err)
			foreign.Witnesses, foreign.Time = r.Log.Witnesses, r.Log.Time
			return r.Logged(foreign, r.Entry(1, r.Parts.Grants[1]))
		})},
		"one witness twice": {rule: "commit.witnessed", part: "commit[1]", scenario: onProof("grant[1]", func(_ *usagetest.Run, p *tlog.Proof) *tlog.Proof {
			one := cut(p.Checkpoint)
			p.Checkpoint = one + one[strings.LastIndex(one, "— "):]
			return p
		})},
		"a grant in a fork that no witness signed": {rule: "log.witnesses", part: "commit[1]", scenario: onProof("grant[1]", func(r *usagetest.Run, _ *tlog.Proof) *tlog.Proof {
			fork := r.Log.Fork(3)
			fork.Witnesses = nil
			return r.Logged(fork, r.Entry(1, r.Parts.Grants[1]))
		})},
		"a checkpoint that too few cosigned": {rule: "log.witnesses", part: "commit[1]", scenario: onProof("grant[1]", func(_ *usagetest.Run, p *tlog.Proof) *tlog.Proof {
			p.Checkpoint = cut(p.Checkpoint)
			return p
		})},
		"a checkpoint that a stranger cosigned": {rule: "log.witnesses", part: "proof[1]", scenario: onProof("commit[1]", func(r *usagetest.Run, _ *tlog.Proof) *tlog.Proof {
			l := r.Log.Fork(r.Log.Size())
			l.Witnesses = []*tlog.Cosigner{r.Log.Witnesses[0], stranger(r)}
			return again(r, l)
		})},
		"usage that too few cosigned": {rule: "log.witnesses", part: "proof", scenario: witnessed(usagetest.Scenario{}), proof: func(_ *usagetest.Run, p map[string]any) {
			c := p["inclusionProof"].(map[string]any)["checkpoint"].(map[string]any)
			c["envelope"] = cut(c["envelope"].(string))
		}},
		"two views that the witnesses both signed": {rule: "log.fork", part: "proof[1]", scenario: onProof("commit[1]", func(r *usagetest.Run, _ *tlog.Proof) *tlog.Proof {
			fork := r.Log.Fork(2) // as large as the tree that the usage statement will be in
			for fork.Size() < r.Log.Size() {
				fork.Append([]byte("another history"))
			}
			return r.Logged(fork, r.Entry(1, r.Parts.Commits[1]))
		})},
		"a grant cosigned before it was issued": {rule: "log.time", part: "commit[1]", scenario: onProof("grant[1]", func(r *usagetest.Run, _ *tlog.Proof) *tlog.Proof {
			l := r.Log.Fork(r.Log.Size())
			l.Time = usagetest.Now/1000 - 3600
			return again(r, l)
		})},
		"a grant cosigned long after its commit": {rule: "log.time", part: "commit[1]", scenario: onProof("grant[1]", func(r *usagetest.Run, _ *tlog.Proof) *tlog.Proof {
			l := r.Log.Fork(r.Log.Size())
			l.Time = usagetest.Now/1000 + 3600
			return again(r, l)
		})},
		"a public grant by nobody": {
			rule: "grant.signature", part: "grant[1]", scenario: witnessed(usagetest.Scenario{}),
			after: resign(func(p *usage.Parts) *[]byte { return &p.Grants[1] }, func(k usagetest.Keys) usagetest.Key { return k.Nobody }),
		},
		"a commit that is not proven to be public": {rule: "log.commit", part: "proof[1]", scenario: onProof("commit[1]", func(*usagetest.Run, *tlog.Proof) *tlog.Proof { return nil })},
		"the proof of another commit": {rule: "log.commit", part: "proof[1]", scenario: onProof("commit[1]", func(r *usagetest.Run, _ *tlog.Proof) *tlog.Proof {
			return r.Logged(r.Log, r.Entry(0, r.Parts.Commits[0]))
		})},
		"witnesses of whom none must sign": {rule: "trust.witnesses", part: "trust", scenario: witnessed(onTrust(func(t *usage.Trust) { t.Witnesses.Threshold = 0 }))},
		"one witness trusted twice":        {rule: "trust.witnesses", part: "trust", scenario: witnessed(onTrust(func(t *usage.Trust) { t.Witnesses.Keys[1] = t.Witnesses.Keys[0] }))},
	}
}

// Attacks on what is public, by name.
func TestCommitBeforeTheReleaseWasPublic(t *testing.T) { attack(t, "a commit that waited for nobody") }
func TestProofOfAnotherGrant(t *testing.T)             { attack(t, "the proof of another grant") }
func TestGrantInAnotherLog(t *testing.T)               { attack(t, "a grant in another log") }
func TestGrantInAFork(t *testing.T)                    { attack(t, "a grant in a fork that no witness signed") }

func TestTooFewCosignatures(t *testing.T) { attack(t, "a checkpoint that too few cosigned") }
func TestOneWitnessTwice(t *testing.T)    { attack(t, "one witness twice") }
func TestUnknownWitness(t *testing.T)     { attack(t, "a checkpoint that a stranger cosigned") }

func TestStaleCosignature(t *testing.T) { attack(t, "a grant cosigned before it was issued") }

func TestPublicGrantByNobody(t *testing.T) { attack(t, "a public grant by nobody") }

func TestTwoViewsInOneBundle(t *testing.T) { attack(t, "two views that the witnesses both signed") }

// TestPoisonedCommit: the host puts a broken line of a witness whom the broker does not know under the checkpoint that the commit
// embeds. An auditor who asks for one of two witnesses takes the word of the other.
func TestPoisonedCommit(t *testing.T) {
	r := usagetest.New(t, onProof("grant[1]", func(r *usagetest.Run, p *tlog.Proof) *tlog.Proof {
		at := strings.LastIndex(p.Checkpoint, "— ")
		name, b64, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(p.Checkpoint[at:], "— "), "\n"), " ")
		b, err := base64.StdEncoding.DecodeString(b64)
		r.Check(err)
		b[len(b)-1] ^= 1
		p.Checkpoint = p.Checkpoint[:at] + "— " + name + " " + base64.StdEncoding.EncodeToString(b) + "\n"
		return p
	}))
	if v := r.Verify(); v.OK() || v.Witnessed {
		t.Error("both asked for: a broken cosignature counts")
	}
	r.Trust.Witnesses.Threshold = 1
	if v := r.Verify(); !v.OK() || !v.Witnessed {
		t.Errorf("one of two asked for: %v", v.Findings)
	}
}

// TestWitnessed: what a verdict says of witnesses, where they are trusted and where they are not.
func TestWitnessed(t *testing.T) {
	facts := func(v *usage.Verdict) (out []string) {
		for _, f := range v.Facts {
			out = append(out, f.Rule)
		}
		return out
	}
	r := usagetest.New(t, usagetest.Scenario{Witnesses: 2})
	v := r.Verify()
	if !v.OK() || !v.Witnessed || !has(facts(v), "witnessed") || has(facts(v), "unwitnessed") {
		t.Errorf("cosigned by both: %v, witnessed %v, facts %v", v.Findings, v.Witnessed, facts(v))
	}
	r.Trust.Witnesses.Threshold = 1
	if v := r.Verify(); !v.OK() || !v.Witnessed {
		t.Errorf("one of two asked for: %v", v.Findings)
	}
	log := r.Trust.Log
	r.Trust.Log = nil
	if v := r.Verify(); v.OK() || v.Witnessed || has(facts(v), "witnessed") {
		t.Errorf("no log trusted: %v, facts %v", v.Findings, facts(v))
	}
	r.Trust.Log, r.Trust.Witnesses = log, nil
	if v := r.Verify(); !v.OK() || v.Witnessed || !has(facts(v), "unwitnessed") {
		t.Errorf("no witness trusted: %v, witnessed %v", v.Findings, v.Witnessed)
	}
	plain := usagetest.New(t, usagetest.Scenario{})
	if v := plain.Verify(); !v.OK() || v.Witnessed || !has(facts(v), "unwitnessed") {
		t.Errorf("a log without witnesses: %v, witnessed %v", v.Findings, v.Witnessed)
	}
	plain.Trust.Witnesses = usagetest.New(t, usagetest.Scenario{Witnesses: 2}).Trust.Witnesses
	if v := plain.Verify(); v.OK() || v.Witnessed {
		t.Error("a log without witnesses passes where two are asked for")
	}
}

// TestProofsAreCheckedWithoutWitnesses: who trusts no witness still gets no wrong proof past her.
func TestProofsAreCheckedWithoutWitnesses(t *testing.T) {
	for _, name := range []string{"the proof of another grant", "a grant in another log", "the proof of another commit", "one witness twice"} {
		c := witnessCases()[name]
		r := usagetest.New(t, c.scenario)
		r.Trust.Witnesses = nil
		wantRule(t, r.Verify().Findings, c.rule)
	}
}

func has(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}

// TestClocksApart: the clocks of a broker and of a witness may be five minutes apart, and not a second more.
func TestClocksApart(t *testing.T) {
	const skew = 5 * 60
	r := usagetest.New(t, witnessed(usagetest.Scenario{}))
	for _, c := range []struct {
		part  string
		at    int64 // of the cosignature, in seconds after the run
		found string
	}{
		{"grant[1]", 1 - skew, ""}, // issued a second after the run
		{"grant[1]", -skew, "the release was cosigned 301 s before it was signed"},
		{"grant[1]", 2 + skew, ""}, // relied on after two
		{"grant[1]", 3 + skew, "the release was cosigned 301 s after it was relied on"},
		{"commit[1]", 2 - skew, ""},
		{"commit[1]", 1 - skew, "the commit was cosigned 301 s before it was signed"},
		{"commit[1]", 24 * 3600, ""}, // nothing rests on when it became public
	} {
		s := onProof(c.part, func(r *usagetest.Run, _ *tlog.Proof) *tlog.Proof {
			l := r.Log.Fork(r.Log.Size())
			l.Time = usagetest.Now/1000 + c.at
			return again(r, l)
		})
		s.Grant = onGrant(1, func(g *grant.Grant) { g.Issued = usagetest.Now + 1000 }).Grant
		v := r.Again(t, s).Verify()
		switch {
		case c.found == "" && !v.OK():
			t.Errorf("%s at %d s: %v", c.part, c.at, v.Findings)
		case c.found != "" && (len(v.Findings) != 1 || v.Findings[0].Rule != "log.time" || v.Findings[0].Message != c.found):
			t.Errorf("%s at %d s: %v, want %q", c.part, c.at, v.Findings, c.found)
		}
	}
}

// TestSplitViews: a verdict says that witnesses are too many to be on one side only if they are.
func TestSplitViews(t *testing.T) {
	r := usagetest.New(t, witnessed(usagetest.Scenario{}))
	for threshold, want := range map[int]bool{1: true, 2: false} {
		r.Trust.Witnesses.Threshold = threshold
		v := r.Verify()
		i := slices.IndexFunc(v.Facts, func(f usage.Fact) bool { return f.Rule == "witnessed" })
		if i < 0 || strings.Contains(v.Facts[i].Message, "two histories") != want {
			t.Errorf("%d of 2: %v", threshold, v.Facts)
		}
	}
}

// TestProofsInBundles: a bundle's proofs are read as strictly as its other parts, and one is never of nothing.
func TestProofsInBundles(t *testing.T) {
	r := usagetest.New(t, witnessed(usagetest.Scenario{}))
	bend := func(f func(m, proof map[string]any)) []byte {
		m := bundleJSON(t, r)
		f(m, m["proofs"].([]any)[1].(map[string]any))
		return canonical(t, m)
	}
	for name, c := range map[string]struct {
		b   []byte
		err error
	}{
		"as it was":           {bend(func(_, _ map[string]any) {}), nil},
		"of no commit":        {bend(func(m, _ map[string]any) { m["commits"].([]any)[1] = nil }), usage.ErrBundle},
		"an unknown field":    {bend(func(_, p map[string]any) { p["extra"] = 1 }), envelope.ErrMalformed},
		"a name re-cased":     {bend(func(_, p map[string]any) { p["Index"] = p["index"]; delete(p, "index") }), envelope.ErrNotCanonical},
		"an index outside":    {bend(func(_, p map[string]any) { p["index"] = p["size"] }), tlog.ErrInclusion},
		"no list of hashes":   {bend(func(_, p map[string]any) { p["hashes"] = nil }), tlog.ErrInclusion},
		"an empty checkpoint": {bend(func(_, p map[string]any) { p["checkpoint"] = "" }), tlog.ErrInclusion},
	} {
		_, err := usage.ParseBundle(c.b)
		p, ok := errors.AsType[*usage.PartError](err)
		if c.err == nil && err != nil || c.err != nil && (!ok || p.Part != "proof[1]" || !errors.Is(err, c.err)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFewerProofsThanCommits: a host that has proven only some commits to be public makes a bundle all the same, and no more
// proofs than there are commits.
func TestFewerProofsThanCommits(t *testing.T) {
	r := usagetest.New(t, witnessed(usagetest.Scenario{}))
	body, err := usage.Body(r.Parts.Usage, r.Parts.Evidence)
	r.Check(err)
	bundle := func(proofs []*tlog.Proof) (err error) {
		r.Parts.Proofs = proofs
		r.Bundle, err = usage.MakeBundle(r.Parts, r.Log.Log, *r.Logged(r.Log, body))
		return err
	}
	all := r.Parts.Proofs
	if bundle(append(slices.Clone(all), all[0])) == nil {
		t.Error("a proof of no commit was left out")
	}
	r.Check(bundle(all[:1]))
	wantRule(t, r.Verify().Findings, "log.commit")
	r.Check(bundle(nil))
	r.Trust.Witnesses = nil
	if v := r.Verify(); !v.OK() {
		t.Errorf("nobody asked for proofs: %v", v.Findings)
	}
}
