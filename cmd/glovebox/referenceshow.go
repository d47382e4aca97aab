// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// referenceView is a list as people see it.
type referenceView struct {
	Signer   string           `json:"signer"`   // did:key; "" if nobody was named, so that the signature was not checked
	Verified bool             `json:"verified"` // by the key that was given
	Digest   *envelope.Digest `json:"digest"`   // of the statement; null for a list that is not signed
	Expired  bool             `json:"expired"`
	*attestation.Reference
}

func newReferenceShow() *cobra.Command {
	var key string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show LIST", Short: "Print a list: signer, version, expiry, policy, values", Args: exactArgs(1, "one list, or - for standard input"),
		Long: `Show prints a list of reference values. With --key it checks the signature first and exits with 4 if it does not hold; a
list does not say by itself whose it is, so without --key nothing is checked, and show says so.`,
		Example: "  glovebox operator reference show reference.json --key did:key:zDna…",
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := readReferenceView(args[0], key)
			if err != nil {
				return err
			}
			return show(cmd, asJSON, v, v.print)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "who must have signed it: a did:key, or an owner's card")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// readReferenceView reads a signed list, or one that is not and says so.
func readReferenceView(path, key string) (*referenceView, error) {
	b, err := readBounded(path, maxIdentity)
	if err != nil {
		return nil, err
	}
	v := &referenceView{}
	var has map[string]json.RawMessage
	if err := json.Unmarshal(b, &has); err != nil {
		return nil, Errorf(KindUsage, "name a list of reference values").because("%s is not JSON", path)
	}
	switch {
	case has["payloadType"] == nil && key != "":
		return nil, Errorf(KindVerify, "leave out --key for a list of your own").because("%s is not signed", path)
	case has["payloadType"] == nil:
		v.Reference, err = unsigned(path, b)
	case key == "":
		v.Reference, v.Digest, err = peekReference(path, b)
	default:
		v.Reference, v.Digest, v.Signer, err = verifiedReference(path, b, key)
		v.Verified = err == nil
	}
	if err != nil {
		return nil, err
	}
	v.Expired = v.NotAfter != 0 && time.Now().Unix() > v.NotAfter
	return v, nil
}

// unsigned is a list that is not signed; it need not have a version and an expiry yet.
func unsigned(path string, b []byte) (*attestation.Reference, error) {
	values, policy, err := unsignedList(path, b)
	if err != nil {
		return nil, err
	}
	checked := &attestation.Reference{Version: 1, NotAfter: 1, Values: values, Policy: policy}
	if err := checked.Validate(); err != nil {
		return nil, Errorf(KindUsage, "see docs/spec/reference.md").from(fmt.Errorf("%s: %w", path, err))
	}
	var dates struct{ Version, NotAfter int64 }
	if err := json.Unmarshal(b, &dates); err != nil {
		return nil, Errorf(KindUsage, "see docs/spec/reference.md").from(fmt.Errorf("%s: %w", path, err))
	}
	checked.Version, checked.NotAfter = dates.Version, dates.NotAfter
	return checked, nil
}

func peekReference(path string, b []byte) (*attestation.Reference, *envelope.Digest, error) {
	b, err := canonical(b)
	if err != nil {
		return nil, nil, err
	}
	p, err := envelope.Peek[attestation.Reference](b, envelope.ReferenceType)
	if err == nil {
		err = p.Predicate.Validate()
	}
	if err != nil {
		return nil, nil, Errorf(KindVerify, "get the list again from its signer").from(fmt.Errorf("%s: %w", path, err))
	}
	return &p.Predicate, &p.ID, nil
}

func verifiedReference(path string, b []byte, key string) (*attestation.Reference, *envelope.Digest, string, error) {
	k, err := keyOrCard(key, func(id *identity) envelope.PublicKey { return id.ReferenceKey })
	if err != nil {
		return nil, nil, "", err
	}
	if b, err = canonical(b); err != nil {
		return nil, nil, "", err
	}
	r, id, err := attestation.VerifyReference(b, k)
	if err != nil {
		return nil, nil, "", Errorf(KindVerify, "get the list again from its signer, or her key").from(fmt.Errorf("%s: %w", path, err))
	}
	return r, &id, k.String(), nil
}

func (v *referenceView) print(w io.Writer) {
	signer := v.Signer
	switch {
	case v.Digest == nil:
		signer = "nobody: this list is not signed"
	case !v.Verified:
		signer = "NOT CHECKED: say whose it should be with --key"
	}
	until := date(v.NotAfter)
	if v.Expired {
		until += ", EXPIRED"
	}
	table(w, []string{"signer", signer}, []string{"version", fmt.Sprint(v.Version)}, []string{"until", until}, []string{"values", fmt.Sprint(len(v.Values))})
	fmt.Fprintln(w)
	title := "demands:"
	if v.Policy == nil {
		title = "demands (the list has no policy, so the default counts):"
	}
	fmt.Fprintln(w, title)
	for _, line := range policyWords(v.Policy) {
		fmt.Fprintln(w, "  "+plain(line))
	}
	fmt.Fprintln(w)
	rows := [][]string{{"NAME", "PLATFORM", "MEASUREMENT", "VALUE"}}
	for _, x := range v.Values {
		name, platform := clip(x.Name, 48), string(x.Platform)
		for _, m := range slices.Sorted(maps.Keys(x.Measurements)) {
			rows = append(rows, []string{name, platform, plain(m), x.Measurements[m]})
			name, platform = "", ""
		}
	}
	table(w, rows...)
}

// referenceDiff is what changed between two lists.
type referenceDiff struct {
	Same    bool                `json:"same"`
	Version [2]int64            `json:"version"`
	Until   [2]string           `json:"until"`
	Added   []string            `json:"added"`   // names of values
	Removed []string            `json:"removed"` // names of values
	Changed []changedValue      `json:"changed"`
	Policy  map[string][]string `json:"policy"` // "removed" and "added", demands in words; empty if it is the same
	Notes   []string            `json:"notes"`
}

type changedValue struct {
	Name        string `json:"name"`
	Measurement string `json:"measurement"`
	Old         string `json:"old"` // "": it was not pinned
	New         string `json:"new"` // "": it is not pinned any more
}

func newReferenceDiff() *cobra.Command {
	var key string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "diff OLD NEW", Short: "Compare two lists", Args: exactArgs(2, "two lists"),
		Long: `Diff prints which values were added (+), removed (-) or changed (~), and what changed of policy, version and expiry. Values
are told apart by name. As diff does, it exits with 0 if the lists say the same and with 1 if not; with 2 if it cannot be told
and with 4 if a signature does not hold by --key. A list that was only signed again, with a later version and expiry, differs.`,
		Example: "  glovebox operator reference diff reference.json next.json --key did:key:zDna…",
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := readReferenceView(args[0], key)
			if err != nil {
				return err
			}
			b, err := readReferenceView(args[1], key)
			if err != nil {
				return err
			}
			d := compareReferences(a.Reference, b.Reference)
			if err := show(cmd, asJSON, d, d.print); err != nil {
				return err
			}
			if d.Same {
				return nil
			}
			return &Error{Kind: KindError, Err: errors.New("the lists differ")}
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "who must have signed both: a did:key, or an owner's card")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func compareReferences(a, b *attestation.Reference) *referenceDiff {
	d := &referenceDiff{
		Version: [2]int64{a.Version, b.Version}, Until: [2]string{stamp(a.NotAfter), stamp(b.NotAfter)},
		Added: []string{}, Removed: []string{}, Changed: []changedValue{}, Policy: map[string][]string{}, Notes: []string{},
	}
	before, after := byName(a), byName(b)
	for _, n := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[n]; !ok {
			d.Removed = append(d.Removed, n)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(after)) {
		old, ok := before[n]
		if !ok {
			d.Added = append(d.Added, n)
			continue
		}
		d.Changed = append(d.Changed, changes(n, old, after[n])...)
	}
	same := samePolicy(a.Policy, b.Policy)
	if !same {
		d.policy(a.Policy, b.Policy)
	}
	if b.Version < a.Version {
		d.Notes = append(d.Notes, "the version falls: brokers that have seen the first refuse the second")
	} else if b.Version == a.Version && len(d.Added)+len(d.Removed)+len(d.Changed) > 0 {
		d.Notes = append(d.Notes, "two different lists have the same version")
	}
	d.Same = same && len(d.Added)+len(d.Removed)+len(d.Changed) == 0 && a.Version == b.Version && a.NotAfter == b.NotAfter
	return d
}

func byName(r *attestation.Reference) map[string]attestation.ReferenceValue {
	out := map[string]attestation.ReferenceValue{}
	for _, v := range r.Values {
		out[v.Name] = v
	}
	return out
}

func changes(name string, a, b attestation.ReferenceValue) (out []changedValue) {
	if a.Platform != b.Platform {
		out = append(out, changedValue{name, "platform", string(a.Platform), string(b.Platform)})
	}
	all := maps.Clone(a.Measurements)
	maps.Copy(all, b.Measurements)
	for _, m := range slices.Sorted(maps.Keys(all)) {
		if a.Measurements[m] != b.Measurements[m] {
			out = append(out, changedValue{name, m, a.Measurements[m], b.Measurements[m]})
		}
	}
	return out
}

// policy says in words what is demanded no more, and what is new.
func (d *referenceDiff) policy(a, b *attestation.Policy) {
	old, now := policyWords(a), policyWords(b)
	minus := func(x, y []string) []string {
		return slices.DeleteFunc(slices.Clone(x), func(s string) bool { return slices.Contains(y, s) })
	}
	d.Policy["removed"], d.Policy["added"] = minus(old, now), minus(now, old)
	if len(d.Policy["removed"])+len(d.Policy["added"]) == 0 {
		d.Notes = append(d.Notes, "the policies differ in form, or in a field that the words do not tell: compare them with show --json")
	}
	d.Notes = append(d.Notes, fmt.Sprintf("SHA-256 of the policies: %s → %s", policyDigest(a), policyDigest(b))) // whatever the words leave out
}

func policyDigest(p *attestation.Policy) string {
	if p == nil {
		return "none"
	}
	d, err := p.Digest()
	if err != nil {
		return err.Error()
	}
	return d.Hex()
}

// samePolicy tells whether two policies are one when signed; the form of an embedded document does not count.
func samePolicy(a, b *attestation.Policy) bool { return policyDigest(a) == policyDigest(b) }

func (d *referenceDiff) print(w io.Writer) {
	if d.Same {
		fmt.Fprintln(w, "the same")
		return
	}
	if d.Version[0] != d.Version[1] {
		fmt.Fprintf(w, "version  %d → %d\n", d.Version[0], d.Version[1])
	}
	if d.Until[0] != d.Until[1] {
		fmt.Fprintf(w, "until    %s → %s\n", d.Until[0], d.Until[1])
	}
	for _, n := range d.Removed {
		fmt.Fprintf(w, "- %s\n", plain(n))
	}
	for _, n := range d.Added {
		fmt.Fprintf(w, "+ %s\n", plain(n))
	}
	for _, c := range d.Changed {
		fmt.Fprintf(w, "~ %s: %s %s → %s\n", plain(c.Name), plain(c.Measurement), cmp.Or(c.Old, "not pinned"), cmp.Or(c.New, "not pinned"))
	}
	for _, s := range d.Policy["removed"] {
		fmt.Fprintf(w, "- demand: %s\n", plain(strings.TrimSpace(s)))
	}
	for _, s := range d.Policy["added"] {
		fmt.Fprintf(w, "+ demand: %s\n", plain(strings.TrimSpace(s)))
	}
	for _, n := range d.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
}
