// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// adoptedFile keeps what this owner took of others' lists.
const (
	adoptedFile = "adopted.json"
	maxAdopted  = 16 << 20
)

// adoptions are what an owner took, by signer (did:key). A value that is in none of them is her own.
type adoptions map[string]adoption

// adoption is what she took of one signer: the highest version of the lists, so that none takes her back, and the values
// that are that signer's word.
type adoption struct {
	Version int64          `json:"version"`
	Values  []adoptedValue `json:"values"`
}

type adoptedValue struct {
	Name     string          `json:"name"`
	Digest   envelope.Digest `json:"digest"`   // of the value's canonical encoding
	NotAfter int64           `json:"notAfter"` // of the signer's last list that has it
}

// held is a value with what tells it from another of its name.
type held struct {
	attestation.ReferenceValue
	digest envelope.Digest
}

// successor is the owner's next list in the making.
type successor struct {
	next  *attestation.Reference
	ends  int64  // of the list before
	stay  []held // of its values
	taken adoptions
	now   int64
	words []string // what she has to know of it
}

// trustFlags are how an owner changes what she trusts.
type trustFlags struct {
	policy  *attestation.Policy // nil: as before
	replace bool
	until   time.Time
}

// trustArgs wants a measurement, or a list and its key.
func trustArgs(list, key *string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if *list == "" && *key == "" {
			return exactArgs(1, "one file, or - for standard input")(cmd, args)
		}
		if *list == "" || *key == "" {
			return Errorf(KindUsage, "a list is believed by its signer's key: give both").because("--list and --list-key belong together")
		}
		if len(args) != 0 {
			return Errorf(KindUsage, "do one after the other").because("a measurement and --list at once")
		}
		return nil
	}
}

// adopt takes another's list into the owner's own. Her demands stay hers: a list's policy is not taken over.
func (o *owner) adopt(cmd *cobra.Command, path, key string, f trustFlags) error {
	b, err := readBounded(path, maxIdentity)
	if err != nil {
		return err
	}
	list, _, signer, err := verifiedReference(path, b, key)
	if err != nil {
		return err
	}
	s, err := o.successor(f)
	if err != nil {
		return err
	}
	if err := list.Fresh(s.now, s.taken[signer].Version); err != nil {
		return Errorf(KindVerify, "ask its signer for the newest list").from(fmt.Errorf("%s: %w", path, err))
	}
	values, err := identified(list.Values)
	if err != nil {
		return err
	}
	gone, err := s.take(signer, list, values)
	if err != nil {
		return err
	}
	if err := o.remember(s.taken, signer, gone); err != nil {
		return err
	}
	if err := o.signNext(s, values); err != nil {
		return err
	}
	say(cmd, "signed reference values, version %d, until %s: %d states of list version %d may get keys", s.next.Version, stamp(s.next.NotAfter), len(values), list.Version)
	s.say(cmd)
	say(cmd, "compare them with enclaves you built: glovebox operator reference show %s", path)
	if list.Policy != nil && !samePolicy(list.Policy, f.policy) {
		say(cmd, "the list has a policy of its signer's, which was not taken: what you demand of machines is yours to say, with --policy")
	}
	return nil
}

// trustValue signs the next version of the reference values, with m's added. That is her word for all values of her own;
// those of others end with the lists that they are from. Without a policy the one before stays.
func (o *owner) trustValue(cmd *cobra.Command, m *measurement, f trustFlags) (int64, error) {
	s, err := o.successor(f)
	if err != nil {
		return 0, err
	}
	v, err := identified([]attestation.ReferenceValue{{Name: m.Name, Platform: m.Platform, Measurements: m.Measurements}})
	if err != nil {
		return 0, err
	}
	s.taken.claim(v[0].digest)
	for _, have := range s.stay {
		if have.Platform == m.Platform && maps.Equal(have.Measurements, m.Measurements) {
			s.taken.claim(have.digest)
			v = nil // she has it
		}
	}
	s.expire()
	s.limit()
	if err := o.signNext(s, v); err != nil {
		return 0, err
	}
	s.say(cmd)
	return s.next.Version, nil
}

// successor starts the owner's next list.
func (o *owner) successor(f trustFlags) (*successor, error) {
	s := &successor{next: &attestation.Reference{Version: 1, NotAfter: f.until.Unix(), Policy: f.policy}, now: time.Now().Unix()}
	var err error
	if s.taken, err = o.adopted(); err != nil {
		return nil, err
	}
	old, _, err := o.reference()
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	s.next.Version, s.ends = old.Version+1, old.NotAfter
	if f.policy == nil {
		s.next.Policy = old.Policy
	}
	if !f.replace {
		s.stay, err = identified(old.Values)
	}
	return s, err
}

// take makes room for a list's values: what its signer vouches for no more goes, and what has the name and platform of one
// of them is replaced. What stays of the list before is not prolonged, since nobody vouched for it again.
func (s *successor) take(signer string, list *attestation.Reference, values []held) (gone []adoptedValue, err error) {
	now := adoption{Version: list.Version, Values: []adoptedValue{}}
	for _, v := range values {
		if _, others := s.taken.end(v.digest); others || !has(s.stay, v.digest) { // else it was and stays her own
			now.Values = append(now.Values, adoptedValue{v.Name, v.digest, list.NotAfter})
		}
	}
	gone = slices.DeleteFunc(slices.Clone(s.taken[signer].Values), func(v adoptedValue) bool { return has(values, v.Digest) })
	s.taken[signer] = now
	s.stay = slices.DeleteFunc(s.stay, func(v held) bool { return has(values, v.digest) })
	s.drop(func(v held) string {
		_, others := s.taken.end(v.digest)
		switch {
		case slices.ContainsFunc(values, func(n held) bool { return n.Name == v.Name && n.Platform == v.Platform }):
			return fmt.Sprintf("list version %d has another of that name", list.Version)
		case !others && slices.ContainsFunc(gone, func(g adoptedValue) bool { return g.Digest == v.digest }):
			return fmt.Sprintf("list version %d does not have it any more", list.Version)
		}
		return ""
	})
	s.expire()
	for _, v := range s.stay {
		s.words = append(s.words, fmt.Sprintf("stays: %s on %s", plain(v.Name), v.Platform))
	}
	s.next.NotAfter = min(s.next.NotAfter, list.NotAfter)
	if len(s.stay) == 0 {
		return gone, nil
	}
	s.end(s.ends, "your list before ends then, and what stays of it is not prolonged by this one; trust a measurement to sign your own values anew")
	s.limit()
	if s.next.NotAfter < s.now {
		return nil, Errorf(KindUsage, "sign your own values anew by trusting a measurement, or forget what was trusted before with --replace").
			because("your list before ended %s, and %d of its values would stay", stamp(s.next.NotAfter), len(s.stay))
	}
	return gone, nil
}

// drop removes values for which there is a reason, and says it.
func (s *successor) drop(reason func(held) string) {
	s.stay = slices.DeleteFunc(s.stay, func(v held) bool {
		why := reason(v)
		if why != "" {
			s.words = append(s.words, fmt.Sprintf("removed: %s on %s: %s", plain(v.Name), v.Platform, why))
		}
		return why != ""
	})
}

// expire removes what is others' word and over.
func (s *successor) expire() {
	s.drop(func(v held) string {
		if end, others := s.taken.end(v.digest); others && end < s.now {
			return "the list that it is from ended " + stamp(end)
		}
		return ""
	})
}

// limit keeps what is others' word from outliving their lists.
func (s *successor) limit() {
	for _, v := range s.stay {
		if end, others := s.taken.end(v.digest); others {
			s.end(end, fmt.Sprintf("%s on %s is from a list that ends then", plain(v.Name), v.Platform))
		}
	}
}

func (s *successor) end(at int64, why string) {
	if at < s.next.NotAfter {
		s.words = append(s.words, fmt.Sprintf("until %s, not %s: %s", stamp(at), stamp(s.next.NotAfter), why))
		s.next.NotAfter = at
	}
}

func (s *successor) say(cmd *cobra.Command) {
	for _, w := range s.words {
		say(cmd, "%s", w)
	}
}

// signNext signs and writes the next list: what stays, and what is new.
func (o *owner) signNext(s *successor, added []held) error {
	key, err := o.signer(o.layout.ReferenceKey(), envelope.RoleReference)
	if err != nil {
		return err
	}
	all := slices.Concat(s.stay, added)
	for _, v := range all {
		s.next.Values = append(s.next.Values, v.ReferenceValue)
	}
	signed, err := attestation.SignReference(s.next, key)
	if err != nil {
		return err
	}
	if err := config.WriteFile(o.Path(o.Config.Reference), signed); err != nil {
		return err
	}
	for signer, a := range s.taken {
		a.Values = slices.DeleteFunc(a.Values, func(v adoptedValue) bool { return !has(all, v.Digest) })
		s.taken[signer] = a
	}
	return o.writeAdopted(s.taken)
}

func identified(values []attestation.ReferenceValue) ([]held, error) {
	var out []held
	for _, v := range values {
		b, err := envelope.Canonical(v)
		if err != nil {
			return nil, err
		}
		out = append(out, held{v, envelope.Sum(b)})
	}
	return out, nil
}

func has(values []held, d envelope.Digest) bool {
	return slices.ContainsFunc(values, func(v held) bool { return v.digest == d })
}

// end is when the last list ends that vouches for a value, if it is others' word.
func (a adoptions) end(d envelope.Digest) (at int64, others bool) {
	for _, x := range a {
		for _, v := range x.Values {
			if v.Digest == d {
				at, others = max(at, v.NotAfter), true
			}
		}
	}
	return at, others
}

// claim makes a value the owner's own.
func (a adoptions) claim(d envelope.Digest) {
	for signer, x := range a {
		x.Values = slices.DeleteFunc(x.Values, func(v adoptedValue) bool { return v.Digest == d })
		a[signer] = x
	}
}

func (o *owner) adopted() (adoptions, error) {
	seen := adoptions{}
	b, err := os.ReadFile(filepath.Join(o.dir, adoptedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return seen, nil
	}
	if err == nil {
		err = envelope.DecodeStrict(b, maxAdopted, &seen)
	}
	if err != nil {
		return nil, Errorf(KindError, "restore %s from your copy of the directory", adoptedFile).from(err)
	}
	return seen, nil
}

// remember writes that a list was taken before it is: it is never forgotten. What is gone from it stays its signer's word
// until the owner's list without it is written, or it would pass for her own if the power went off between.
func (o *owner) remember(taken adoptions, signer string, gone []adoptedValue) error {
	first := maps.Clone(taken)
	a := first[signer]
	a.Values = slices.Concat(a.Values, gone)
	first[signer] = a
	return o.writeAdopted(first)
}

func (o *owner) writeAdopted(seen adoptions) error {
	b, err := json.MarshalIndent(seen, "", "  ")
	if err != nil {
		return err
	}
	return config.WriteFile(filepath.Join(o.dir, adoptedFile), append(b, '\n'))
}
