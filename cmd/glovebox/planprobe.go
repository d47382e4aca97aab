// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// proofView is what an enclave of the host showed when it was asked, before any job is sent. Brokers ask the enclave that
// runs the job again: this is for the buyer to know sooner, and nobody's decision hangs on it but hers.
type proofView struct {
	Answer       string                `json:"answer"`   // why there is no evidence to show; "" if there is
	Evidence     *envelope.Digest      `json:"evidence"` // null if there is none
	Platform     attestation.Platform  `json:"platform"`
	Assurance    attestation.Assurance `json:"assurance"`
	Chip         string                `json:"chip"`
	Measurements map[string]string     `json:"measurements"`
	Lists        []listView            `json:"lists"` // of reference values, that it was compared with

	lie      bool // the answer is to another question
	unproven bool // the evidence could not be authenticated here
}

// listView is one owner's word on the enclave.
type listView struct {
	Whose    string              `json:"whose"`
	Key      envelope.PublicKey  `json:"key"` // that signed it
	Version  int64               `json:"version"`
	Matched  string              `json:"matched"` // name of the reference value; "": not accepted
	Failed   []attestation.Check `json:"failed"`
	Accepted bool                `json:"accepted"`
}

// judgingList is a list of reference values to compare with.
type judgingList struct {
	whose string
	key   envelope.PublicKey
	ref   *attestation.Reference
}

// probe asks an idle enclave of the host what it is, and compares that with the owners' cards and with her own list. Only
// cards that make no sense are an error: what the host or the enclave does is in the view.
func (d *draft) probe(ctx context.Context, cards []string) (*proofView, error) {
	lists, root, err := d.lists(cards)
	if err != nil {
		return nil, err
	}
	p := d.question()
	v := &proofView{Lists: []listView{}, Measurements: map[string]string{}}
	q, err := p.Encode()
	if err != nil {
		return nil, err
	}
	raw, message, err := d.host.Probe(ctx, q)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		v.Answer = plain(d.host.explain(err).Error())
		return v, nil
	case len(raw) == 0:
		v.Answer = "the enclave gives none: " + plain(message)
		return v, nil
	}
	return v, v.judge(ctx, p, raw, lists, d.formats(root))
}

// question is the probe for this job, with nonces that nobody could have foreseen.
func (d *draft) question() *attestation.Probe {
	p := &attestation.Probe{Version: 1, Job: d.id, Runtime: d.job.Runtime}
	add := func(manifest envelope.Digest, broker envelope.PublicKey) {
		p.Owners = append(p.Owners, attestation.Owner{Audience: broker, Nonce: envelope.NewNonce(), Manifest: manifest})
	}
	add(d.code.ID, d.code.Manifest.Broker.Key)
	for _, s := range d.datasets {
		add(s.id, s.m.Broker.Key)
	}
	return p
}

// formats accept what the brokers of this job vouch for.
func (d *draft) formats(root *envelope.PublicKey) []attestation.Format {
	brokers := []envelope.PublicKey{d.code.Manifest.Broker.Key}
	for _, s := range d.datasets {
		brokers = append(brokers, s.m.Broker.Key)
	}
	return verifiers.New(brokers, root)
}

// lists are her own reference values, if she has signed any, and those in the cards of the datasets' owners.
func (d *draft) lists(cards []string) (out []judgingList, root *envelope.PublicKey, err error) {
	root = d.owner.SimulatedRoot
	if own, _, err := d.owner.reference(); err == nil {
		out = append(out, judgingList{"your own", d.owner.ReferenceKey, own})
	}
	for _, path := range cards {
		id, err := readIdentity(path)
		if err != nil {
			return nil, nil, err
		}
		whose := d.dataOf(id.Owner)
		if whose == "" {
			return nil, nil, Errorf(KindUsage, "give the cards of those whose data the job uses").because("%s is the card of nobody whose data this job uses", path)
		}
		if len(id.Reference) == 0 {
			return nil, nil, Errorf(KindUsage, "ask its owner for one made after: glovebox creator trust MEASUREMENT").because("%s has no reference values", path)
		}
		ref, err := verifyReference(id.Reference, id.ReferenceKey)
		if err != nil {
			return nil, nil, err
		}
		if root == nil {
			root = id.SimulatedRoot
		}
		out = append(out, judgingList{"the owner's of " + whose, id.ReferenceKey, ref})
	}
	return out, root, nil
}

// dataOf names the first dataset of an owner, "" if the job uses none of hers.
func (d *draft) dataOf(owner envelope.PublicKey) string {
	for _, s := range d.datasets {
		if s.m.Owner.Equal(owner) {
			return s.m.Name
		}
	}
	return ""
}

// judge fills the view from an answer. Whatever is wrong with the answer is in the view.
func (v *proofView) judge(ctx context.Context, p *attestation.Probe, raw []byte, lists []judgingList, formats []attestation.Format) error {
	e, err := attestation.ParseEvidence(raw)
	if err == nil {
		err = p.Answered(e)
	}
	if err != nil {
		v.Answer, v.lie = "the host passed on something else: "+plain(err.Error()), true
		return nil
	}
	verdict, err := inspectBy(ctx, judgingList{}, raw, formats)
	if err != nil {
		return err
	}
	part := &verdict.Parts[0]
	v.Evidence, v.Platform = &verdict.Evidence, part.Platform
	if c := unproven(verdict); c != nil {
		v.Answer, v.unproven = "its evidence does not hold: "+plain(failure(c)), true
		return nil
	}
	v.Assurance, v.Chip, v.Measurements = part.Assurance, part.Chip, part.Measurements
	for _, l := range lists {
		verdict, err := inspectBy(ctx, l, raw, formats)
		if err != nil {
			return err
		}
		v.Lists = append(v.Lists, viewList(l, verdict))
	}
	return nil
}

func inspectBy(ctx context.Context, l judgingList, raw []byte, formats []attestation.Format) (*attestation.Verdict, error) {
	i, err := attestation.NewInspector(l.ref, nil, formats...)
	if err != nil {
		return nil, err
	}
	return i.Inspect(ctx, raw, time.Now().Unix(), nil)
}

// unproven is the first failed check of what does not depend on anybody's lists: signature and binding.
func unproven(v *attestation.Verdict) *attestation.Check {
	for _, p := range v.Parts {
		for _, c := range p.Checks {
			if c.Step != attestation.StepAppraise && c.Outcome != attestation.Pass && c.Outcome != attestation.NotApplicable {
				return &c
			}
		}
		if p.Assurance == "" {
			return &attestation.Check{Name: "authentic", Note: "no check was made"}
		}
	}
	return nil
}

func viewList(l judgingList, verdict *attestation.Verdict) listView {
	out := listView{Whose: l.whose, Key: l.key, Version: l.ref.Version, Matched: verdict.Parts[0].Matched, Failed: []attestation.Check{}, Accepted: verdict.Accepted()}
	for _, p := range verdict.Parts {
		for _, c := range p.Checks {
			if c.Outcome != attestation.Pass && c.Outcome != attestation.NotApplicable {
				out.Failed = append(out.Failed, c)
			}
		}
	}
	return out
}

// err says what a plan ends with because of the enclave. Without cards nobody asked for more than to be shown.
func (v *proofView) err(demanded bool) error {
	switch {
	case v.lie:
		return Errorf(KindVerify, "do not use this host before its operator explains it").because("the enclave did not prove what it is: %s", v.Answer)
	case v.unproven && demanded:
		return Errorf(KindVerify, "do not rely on this host's enclaves; its operator may have to fetch what the vendor says: glovebox operator endorsements fetch").
			because("the enclave did not prove what it is: %s", v.Answer)
	case v.Answer != "" && demanded:
		return Errorf(KindTryAgain, "try again when an enclave is idle, or plan without --card").because("no evidence to compare with the cards: %s", v.Answer)
	}
	for _, l := range v.Lists {
		if !l.Accepted && demanded {
			return Errorf(KindVerify, "nothing would be released to this enclave; ask the owner which she trusts, or use another host").
				because("the enclave is not accepted by %s reference values: %s", l.Whose, plain(failure(&l.Failed[0])))
		}
	}
	return nil
}

// note replaces the words on what a plan cannot know.
func (v *proofView) note() string {
	if v.Answer == "" {
		return "this enclave showed what it is; brokers check again the evidence of the one that runs the job"
	}
	return evidenceNote
}

// weaker are warnings about datasets that ask for more than this enclave is worth.
func (v *proofView) weaker(d *draft) []string {
	var out []string
	for _, s := range d.datasets {
		if least := s.m.Terms.MinAssurance; v.Answer == "" && !v.Assurance.AtLeast(attestation.Assurance(least)) {
			out = append(out, fmt.Sprintf("%s is released at assurance %s or better only; this enclave has %s", s.m.Name, least, v.Assurance))
		}
	}
	for _, l := range v.Lists {
		if !l.Accepted {
			out = append(out, fmt.Sprintf("the enclave is not accepted by %s reference values", l.Whose))
		}
	}
	return out
}

// unwitnessed warns a buyer whose broker commits without waiting for the host's witnesses: whoever trusts them refuses such a
// run, even where the creators' brokers did wait. A host that does not say whether it has witnesses gives no reason to warn.
func (d *draft) unwitnessed(ctx context.Context) []string {
	if d.owner.Log != nil {
		return nil
	}
	s, err := d.host.Status(ctx)
	if err != nil || len(s.GetLogWitnesses()) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the host's log has %s, and your broker commits without them: auditors who trust witnesses refuse such a run. Mend it first: glovebox buyer log --dir %s --log trusted_root.json --witness KEY",
		amount(int64(len(s.GetLogWitnesses())), "witnesses"), d.owner.dir)}
}

func (v *proofView) print(w io.Writer) {
	if v.Answer != "" {
		fmt.Fprintf(w, "\nenclave  no proof of what it is: %s\n", v.Answer)
		return
	}
	fmt.Fprintf(w, "\nenclave  platform %s, assurance %s: %s\n", v.Platform, v.Assurance, worth(v.Assurance))
	var rows [][]string
	for _, m := range slices.Sorted(maps.Keys(v.Measurements)) {
		rows = append(rows, []string{plain(m), v.Measurements[m]})
	}
	if v.Chip != "" {
		rows = append(rows, []string{"machine", plain(v.Chip)})
	}
	lines(w, "measured", rows)
	if len(v.Lists) == 0 {
		fmt.Fprintln(w, "compared with nobody's reference values: give the owners' cards with --card")
	}
	for _, l := range v.Lists {
		if l.Accepted {
			fmt.Fprintf(w, "in %s reference values, version %d, as %q\n", l.Whose, l.Version, plain(l.Matched))
			continue
		}
		in := "NOT in"
		if l.Matched != "" {
			in = "REFUSED, though measured as in,"
		}
		fmt.Fprintf(w, "%s %s reference values, version %d\n", in, l.Whose, l.Version)
		for _, c := range l.Failed {
			fmt.Fprintf(w, "  %s\n", plain(failure(&c)))
		}
	}
}

// errors of a plan: policy first, since it is the buyer's to change.
func (v *planView) err(demanded bool) error {
	if !v.Allowed {
		return Errorf(KindDenied, "the table says what would satisfy each condition").because("this job would be refused")
	}
	if v.Enclave == nil {
		return errors.New("no enclave was asked")
	}
	return v.Enclave.err(demanded)
}
