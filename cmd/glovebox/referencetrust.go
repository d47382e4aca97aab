// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// adoptedFile keeps the highest version of each signer's list that this owner took, so that none takes her back.
const adoptedFile = "adopted.json"

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
	seen, err := o.adopted()
	if err != nil {
		return err
	}
	if err := list.Fresh(time.Now().Unix(), seen[signer]); err != nil {
		return Errorf(KindVerify, "ask its signer for the newest list").from(fmt.Errorf("%s: %w", path, err))
	}
	until := f.until
	if t := time.Unix(list.NotAfter, 0); t.Before(until) {
		until = t
	}
	seen[signer] = list.Version
	if err := o.writeAdopted(seen); err != nil { // first: a list that was taken is never forgotten
		return err
	}
	signedVersion, err := o.nextReference(list.Values, f, until)
	if err != nil {
		return err
	}
	say(cmd, "signed reference values, version %d, until %s: %d states of list version %d may get keys", signedVersion, stamp(until.Unix()), len(list.Values), list.Version)
	say(cmd, "compare them with enclaves you built: glovebox operator reference show %s", path)
	if list.Policy != nil && !reflect.DeepEqual(list.Policy, f.policy) {
		say(cmd, "the list has a policy of its signer's, which was not taken: what you demand of machines is yours to say, with --policy")
	}
	return nil
}

// nextReference signs the owner's next list, with values in it. One of the same name and platform is replaced.
func (o *owner) nextReference(values []attestation.ReferenceValue, f trustFlags, until time.Time) (int64, error) {
	key, err := o.signer(o.layout.ReferenceKey(), envelope.RoleReference)
	if err != nil {
		return 0, err
	}
	next := &attestation.Reference{Version: 1, NotAfter: until.Unix(), Policy: f.policy}
	switch old, _, err := o.reference(); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, err
	default:
		next.Version = old.Version + 1
		if f.policy == nil {
			next.Policy = old.Policy
		}
		if !f.replace {
			next.Values = slices.DeleteFunc(old.Values, func(v attestation.ReferenceValue) bool {
				return slices.ContainsFunc(values, func(n attestation.ReferenceValue) bool { return n.Name == v.Name && n.Platform == v.Platform })
			})
		}
	}
	next.Values = append(next.Values, values...)
	signed, err := attestation.SignReference(next, key)
	if err != nil {
		return 0, err
	}
	return next.Version, config.WriteFile(o.Path(o.Config.Reference), signed)
}

func (o *owner) adopted() (map[string]int64, error) {
	seen := map[string]int64{}
	b, err := os.ReadFile(filepath.Join(o.dir, adoptedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return seen, nil
	}
	if err == nil {
		err = envelope.DecodeStrict(b, maxIdentity, &seen)
	}
	if err != nil {
		return nil, Errorf(KindError, "restore %s from your copy of the directory", adoptedFile).from(err)
	}
	return seen, nil
}

func (o *owner) writeAdopted(seen map[string]int64) error {
	b, err := json.MarshalIndent(seen, "", "  ")
	if err != nil {
		return err
	}
	return config.WriteFile(filepath.Join(o.dir, adoptedFile), append(b, '\n'))
}
