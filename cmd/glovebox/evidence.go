// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	oidc "github.com/glovebox-dev/glovebox/attestation/oidc/verify"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func newEvidence() *cobra.Command {
	cmd := &cobra.Command{
		Use: "evidence", Short: "Look at a machine's evidence: who signed it, what ran, what is weak", Args: noArgs, RunE: needVerb,
		Long: `Evidence is what a platform signed of the code it runs. These commands need no network and no daemon: what is not in the
evidence's envelope is missing, and missing means refused.`,
	}
	cmd.AddCommand(newEvidenceImport(), newEvidenceVerify(), newEvidenceExplain(), newEvidencePolicy())
	return cmd
}

func newEvidencePolicy() *cobra.Command {
	return &cobra.Command{
		Use: "policy", Short: "Print the default appraisal policy, to change and give to --policy", Args: noArgs,
		Long:    "Policy prints what is demanded of platforms where an owner wrote nothing. docs/spec/appraisal.md explains every line.",
		Example: "  glovebox auditor evidence policy > policy.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return show(cmd, true, attestation.DefaultPolicy(), nil)
		},
	}
}

// evidenceFlags say how evidence is judged.
type evidenceFlags struct {
	policy, reference, referenceKey string
	brokers                         []string
	simulatedRoot, bound, at        string

	cmd *cobra.Command // whose flags know what was left out
}

func (f *evidenceFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.policy, "policy", "", "appraisal policy (default: the reference list's own, else the strict one of: glovebox auditor evidence policy)")
	fl.StringVar(&f.reference, "reference", "", "reference values: your own JSON list, or a signed one with --reference-key")
	fl.StringVar(&f.referenceKey, "reference-key", "", "who must have signed --reference: a did:key, or the owner's card")
	f.registerAnchors(cmd)
	fl.StringVar(&f.bound, "bound", "", "what the evidence must be bound to: its whole report data, nonce or qualifying data, in hex")
}

// registerAnchors adds the flags without which some evidence cannot be authenticated at all.
func (f *evidenceFlags) registerAnchors(cmd *cobra.Command) {
	fl := cmd.Flags()
	f.cmd = cmd
	fl.StringArrayVar(&f.brokers, "broker", nil, "broker whose word on a TPM's key counts: a did:key, or its owner's card; repeat for several")
	fl.StringVar(&f.simulatedRoot, "simulated-root", "", "root of the simulated platform, as did:key (demonstration builds only)")
	fl.StringVar(&f.at, "at", "", "judge as of this time, as 2026-01-31T12:00:00Z (default: now)")
}

// refuseEmpty refuses a flag that demands something but is empty, as an unset variable of a script leaves it: taken as left
// out, it would demand nothing.
func (f *evidenceFlags) refuseEmpty() error {
	for _, name := range []string{"bound", "at", "policy", "reference", "reference-key", "simulated-root"} {
		if fl := f.cmd.Flags().Lookup(name); fl != nil && fl.Changed && fl.Value.String() == "" {
			return Errorf(KindUsage, "give its value, or leave --%s out", name).because("--%s is empty", name)
		}
	}
	return nil
}

// question is what is put to an envelope.
type question struct {
	e         *attestation.Evidence
	raw       []byte
	inspector *attestation.Inspector
	bound     []byte
	now       time.Time
}

// inspect judges an envelope.
func (f *evidenceFlags) inspect(ctx context.Context, path string) (*attestation.Evidence, *attestation.Verdict, error) {
	q, err := untilInterrupted(ctx, func() (*question, error) { return f.question(path) })
	if err != nil {
		return nil, nil, err
	}
	v, err := q.inspector.Inspect(ctx, q.raw, q.now.Unix(), q.bound)
	return q.e, v, err
}

// question reads everything that the command line names.
func (f *evidenceFlags) question(path string) (*question, error) {
	var q question
	if err := f.refuseEmpty(); err != nil {
		return nil, err
	}
	var err error
	if q.now, err = f.time(); err != nil {
		return nil, err
	}
	if q.bound, err = f.boundBytes(); err != nil {
		return nil, err
	}
	if q.inspector, err = f.inspector(); err != nil {
		return nil, err
	}
	q.e, q.raw, err = readEvidence(path)
	return &q, err
}

func (f *evidenceFlags) inspector() (*attestation.Inspector, error) {
	policy, err := readPolicy(f.policy)
	if err != nil {
		return nil, err
	}
	ref, err := f.readReference()
	if err != nil {
		return nil, err
	}
	if ref != nil && len(ref.Values) == 0 { // denies as no list does; what it demands besides still holds
		if policy == nil {
			policy = ref.Policy
		}
		ref = nil
	}
	formats, err := f.formats()
	if err != nil {
		return nil, err
	}
	return attestation.NewInspector(ref, policy, formats...)
}

func (f *evidenceFlags) time() (time.Time, error) {
	if f.at == "" {
		return time.Now(), nil
	}
	t, err := time.Parse(time.RFC3339, f.at)
	if err != nil || t.Unix() <= 0 {
		return t, Errorf(KindUsage, "for example: --at 2026-01-31T12:00:00Z").because("--at %q is not a time in RFC 3339's form", f.at)
	}
	return t, nil
}

func (f *evidenceFlags) boundBytes() ([]byte, error) {
	if f.bound == "" {
		return nil, nil
	}
	b, err := hex.DecodeString(f.bound)
	if err != nil {
		return nil, Errorf(KindUsage, "give the whole value in hex, as explain prints it").because("--bound %q is not hex", f.bound)
	}
	return b, nil
}

func (f *evidenceFlags) formats() ([]attestation.Format, error) {
	var brokers []envelope.PublicKey
	for _, b := range f.brokers {
		k, err := keyOrCard(b, func(id *identity) envelope.PublicKey { return id.Broker })
		if err != nil {
			return nil, err
		}
		brokers = append(brokers, k)
	}
	if f.simulatedRoot == "" {
		return verifiers.ForPeople(brokers, nil), nil
	}
	root, err := envelope.ParsePublicKey(f.simulatedRoot)
	if err != nil {
		return nil, Errorf(KindUsage, "the operator's measurement has it as simulatedRoot").from(fmt.Errorf("--simulated-root: %w", err))
	}
	return verifiers.ForPeople(brokers, &root), nil
}

// keyOrCard reads a did:key, or takes the key from an owner's card.
func keyOrCard(arg string, of func(*identity) envelope.PublicKey) (envelope.PublicKey, error) {
	if strings.HasPrefix(arg, "did:") {
		k, err := envelope.ParsePublicKey(arg)
		if err != nil {
			return k, Errorf(KindUsage, "an owner's card has the right keys: glovebox creator card --json").from(err)
		}
		return k, nil
	}
	id, err := readIdentity(arg)
	if err != nil {
		return envelope.PublicKey{}, err
	}
	return of(id), nil
}

func readPolicy(path string) (*attestation.Policy, error) {
	if path == "" {
		return nil, nil
	}
	b, err := readBounded(path, attestation.MaxPolicy)
	if err != nil {
		return nil, err
	}
	p, err := attestation.ParsePolicy(b)
	if err == nil {
		err = oidc.CheckPolicy(p.OIDC)
	}
	if err != nil {
		return nil, Errorf(KindUsage, "start from: glovebox auditor evidence policy; docs/spec/appraisal.md has every field").from(fmt.Errorf("%s: %w", path, err))
	}
	return p, nil
}

// readReference reads her own list as it is, and anybody else's only with the key that must have signed it. With a card
// as key and no list, the card's own counts.
func (f *evidenceFlags) readReference() (*attestation.Reference, error) {
	switch {
	case f.reference == "" && f.referenceKey == "":
		return nil, nil
	case f.reference == "" && strings.HasPrefix(f.referenceKey, "did:"):
		return nil, Errorf(KindUsage, "give --reference too").because("--reference-key without a list of reference values")
	case f.reference == "":
		id, err := readIdentity(f.referenceKey)
		if err != nil {
			return nil, err
		}
		if len(id.Reference) == 0 {
			return nil, Errorf(KindUsage, "its owner signs them with: glovebox creator trust MEASUREMENT").because("%s has no reference values", f.referenceKey)
		}
		return verifyReference(id.Reference, id.ReferenceKey)
	}
	b, err := readBounded(f.reference, maxIdentity)
	if err != nil {
		return nil, err
	}
	var signed struct {
		PayloadType json.RawMessage `json:"payloadType"`
	}
	if json.Unmarshal(b, &signed) != nil || len(signed.PayloadType) == 0 {
		return f.ownReference(b)
	}
	if f.referenceKey == "" {
		return nil, Errorf(KindUsage, "say who must have signed it: --reference-key CARD, or a did:key").because("%s is a signed list, and a list cannot vouch for itself", f.reference)
	}
	key, err := keyOrCard(f.referenceKey, func(id *identity) envelope.PublicKey { return id.ReferenceKey })
	if err != nil {
		return nil, err
	}
	if b, err = canonical(b); err != nil {
		return nil, err
	}
	return verifyReference(b, key)
}

func verifyReference(signed []byte, key envelope.PublicKey) (*attestation.Reference, error) {
	r, _, err := attestation.VerifyReference(signed, key)
	if err != nil {
		return nil, Errorf(KindVerify, "get the list again from its owner").from(err)
	}
	return r, nil
}

func (f *evidenceFlags) ownReference(b []byte) (*attestation.Reference, error) {
	if f.referenceKey != "" {
		return nil, Errorf(KindUsage, "leave out --reference-key for a list of your own").because("%s is not signed", f.reference)
	}
	r, err := parseReference(b)
	if err != nil {
		return nil, Errorf(KindUsage, "see docs/spec/reference.md").from(fmt.Errorf("%s: %w", f.reference, err))
	}
	return r, nil
}

// parseReference reads a list, also one without values: whoever has a tool write it gets every check, and the answer that
// nothing is accepted.
func parseReference(b []byte) (*attestation.Reference, error) {
	var r attestation.Reference
	var none []struct{}
	if err := envelope.DecodeStrict(b, maxIdentity, &none); err == nil && none != nil && len(none) == 0 {
		return &r, nil
	}
	if err := envelope.DecodeStrict(b, maxIdentity, &r); err != nil {
		return nil, err
	}
	if len(r.Values) > 0 {
		return &r, r.Validate()
	}
	if r.Policy != nil {
		return &r, r.Policy.Validate()
	}
	return &r, nil
}

// readEvidence reads an envelope, or the one in a job's bundle.
func readEvidence(path string) (*attestation.Evidence, []byte, error) {
	b, err := readBounded(path, usage.MaxBundle)
	if err != nil {
		return nil, nil, err
	}
	b = []byte(strings.TrimRight(string(b), "\r\n")) // what editors and pipes add
	if bundle, err := usage.ParseBundle(b); err == nil {
		if b, err = envelope.Canonical(bundle.Evidence); err != nil {
			return nil, nil, err
		}
	}
	e, err := attestation.ParseImported(b)
	if err != nil {
		return nil, nil, Errorf(KindVerify, "make an envelope of a vendor's files with: glovebox auditor evidence import").
			from(fmt.Errorf("%s is not an evidence envelope: %w", path, err))
	}
	return e, b, nil
}

// plain makes a stranger's text safe for a terminal.
func plain(s string) string {
	const most = 4096
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(harmless, s)
}

// harmless puts a question mark where a terminal would obey, or a reader not see what is there.
func harmless(r rune) rune {
	if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar {
		return '?'
	}
	return r
}

// clip shortens what is too long for a column.
func clip(s string, most int) string {
	r := []rune(plain(s))
	if len(r) <= most {
		return string(r)
	}
	return string(r[:most-1]) + "…"
}

func stamp(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

// lines writes facts and other pairs, one for each row, indented.
func lines(w io.Writer, title string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintln(w, title)
	for i := range rows {
		rows[i][0] = "  " + rows[i][0]
	}
	table(w, rows...)
}
