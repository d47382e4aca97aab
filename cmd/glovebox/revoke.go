// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// revokeFlags are what can be taken back; one of them is given.
type revokeFlags struct {
	pkg, dataset, contributor, job, buyer, lease, code, permit string
}

func newRevoke(role config.Role) *cobra.Command {
	var dir, reason string
	var f revokeFlags
	cmd := &cobra.Command{
		Use: "revoke", Short: "Release nothing more, and stop what runs", Args: noArgs,
		Long: `Revoke signs that nothing more may be released, and stores that for the broker, which acts on it within a second: a
running job gets no further data, its keys are wiped, and it still signs what it used. A revocation is not undone.

  --package       one version of a package
  --dataset       all its versions, also those to come
  --contributor   one contributor's records in --dataset: their keys are destroyed, nobody else's are touched
  --buyer --job --code --grant --permit   a buyer, one job, one code package, one lease, one counted permit

What had finished before is listed by: glovebox creator affected`,
		Example: `  glovebox creator revoke --dataset scans --contributor patient-17 --reason 'consent withdrawn' --dir alice
  glovebox creator revoke --buyer did:key:z... --dir alice`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := openOwner(dir, role)
			if err != nil {
				return err
			}
			r, damaged, err := o.revocation(&f)
			if err != nil {
				return err
			}
			for _, d := range damaged {
				say(cmd, "passed over, since it cannot be read: %v", d)
			}
			r.Reason, r.Time = reason, time.Now().UnixMilli()
			id, err := config.AddRevocation(o.dir, r)
			if err == nil && r.Unit != nil {
				err = o.shred(cmd.Context(), r.Unit)
			}
			if err != nil {
				return err
			}
			say(cmd, "revoked; a running broker stops what this concerns within a second")
			_, err = fmt.Fprintln(cmd.OutOrStdout(), id)
			return err
		},
	}
	f.register(cmd, role)
	dirFlag(cmd, &dir, role)
	cmd.Flags().StringVar(&reason, "reason", "withdrawn by the owner", "why, for the record")
	return cmd
}

func (f *revokeFlags) register(cmd *cobra.Command, role config.Role) {
	fl := cmd.Flags()
	fl.StringVar(&f.pkg, "package", "", "package version to withdraw: name or manifest digest")
	fl.StringVar(&f.dataset, "dataset", "", "package to withdraw in all versions: name, digest of one of its manifests, or its own 32 hex digits")
	fl.StringVar(&f.job, "job", "", "job to stop, by digest")
	fl.StringVar(&f.buyer, "buyer", "", "buyer to refuse from now on, as did:key")
	fl.StringVar(&f.lease, "grant", "", "one lease to stop, by its grant's digest")
	if role != config.Creator {
		return
	}
	fl.StringVar(&f.contributor, "contributor", "", "contributor whose records in --dataset are to be destroyed")
	fl.StringVar(&f.code, "code", "", "code package to refuse from now on, by its manifest's digest")
	fl.StringVar(&f.permit, "permit", "", "counted permit to end, by its digest")
}

// revocation is what the flags name, without reason and time, and which packages could not be read for it: what stops runs
// must work beside a damaged manifest too.
func (o *owner) revocation(f *revokeFlags) (*grant.Revocation, []error, error) {
	dataset := f.dataset
	if f.contributor != "" {
		dataset = "" // it only says whose contributor
	}
	if given(f.pkg, dataset, f.contributor, f.job, f.buyer, f.lease, f.code, f.permit) != 1 {
		return nil, nil, Errorf(KindUsage, "give one of --package, --dataset, --job, --buyer, --grant, --code, --permit, or --dataset with --contributor").because("say what is revoked")
	}
	r := &grant.Revocation{}
	var damaged []error
	var err error
	digest := func(to **envelope.Digest, s string) {
		if s != "" && err == nil {
			var d envelope.Digest
			d, err = parseDigest(s)
			*to = &d
		}
	}
	digest(&r.Job, f.job)
	digest(&r.Grant, f.lease)
	digest(&r.Code, f.code)
	digest(&r.Permit, f.permit)
	switch {
	case err != nil:
	case f.pkg != "":
		r.Manifest, damaged, err = o.manifestNamed(f.pkg)
	case f.contributor != "":
		r.Unit, damaged, err = o.unitNamed(f.dataset, f.contributor)
	case dataset != "":
		r.Dataset, damaged, err = o.datasetAmong(dataset)
	case f.buyer != "":
		var k envelope.PublicKey
		if k, err = envelope.ParsePublicKey(f.buyer); err != nil {
			return nil, nil, usageError(err)
		}
		r.Buyer = &k
	}
	return r, damaged, err
}

// readable lists the packages that can be read, and why the others cannot.
func (o *owner) readable() (list []config.Package, damaged []error, err error) {
	ids, err := o.PackageIDs()
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		p, err := o.LoadPackage(id)
		if err != nil {
			damaged = append(damaged, fmt.Errorf("package %s: %w", id, err))
			continue
		}
		list = append(list, *p)
	}
	return list, damaged, nil
}

// notFound says that a name is none, or that it may be that of a package which cannot be read.
func (o *owner) notFound(what string, damaged []error) error {
	if len(damaged) > 0 {
		return Errorf(KindVerify, "if it is one of these, name it by its whole digest, or restore its manifest from your copy of the directory").
			because("no package %q among those that can be read in %s\n%w", what, o.dir, errors.Join(damaged...))
	}
	return Errorf(KindUsage, "see what there is with: %s", o.listCommand()).because("no package %q in %s", what, o.dir)
}

// manifestNamed resolves a package version. By a digest, or the beginning of one, it is found without being read.
func (o *owner) manifestNamed(what string) (*envelope.Digest, []error, error) {
	if d, err := parseDigest(what); err == nil {
		return &d, nil, nil
	}
	list, damaged, err := o.readable()
	if err != nil {
		return nil, nil, err
	}
	ids, err := o.PackageIDs()
	if err != nil {
		return nil, nil, err
	}
	matches := map[envelope.Digest]bool{}
	for _, p := range list {
		if p.Manifest.Name == what {
			matches[p.ID] = true
		}
	}
	prefix := strings.TrimPrefix(what, "sha256:")
	for _, id := range ids {
		if len(prefix) >= 4 && strings.HasPrefix(id.Hex(), prefix) {
			matches[id] = true
		}
	}
	if len(matches) > 1 {
		return nil, nil, Errorf(KindUsage, "give more of its digest").because("%d packages match %q", len(matches), what)
	}
	for id := range matches {
		return &id, damaged, nil
	}
	return nil, nil, o.notFound(what, damaged)
}

// datasetNamed is datasetAmong for those who must have read every package.
func (o *owner) datasetNamed(what string) (*envelope.PackageID, error) {
	id, damaged, err := o.datasetAmong(what)
	return id, errors.Join(append(damaged, err)...)
}

// datasetAmong resolves a name that several versions may share, a manifest's digest, or the dataset's own identity, which
// needs no reading.
func (o *owner) datasetAmong(what string) (*envelope.PackageID, []error, error) {
	var own envelope.PackageID
	if err := own.UnmarshalText([]byte(what)); err == nil {
		return &own, nil, nil
	}
	list, damaged, err := o.readable()
	if err != nil {
		return nil, nil, err
	}
	var id *envelope.PackageID
	for _, p := range list {
		if p.Manifest.Name != what && p.ID.String() != what && p.ID.Hex() != what {
			continue
		}
		if id != nil && *id != p.Manifest.Dataset {
			return nil, nil, Errorf(KindUsage, "give the digest of one of its manifests, as \"creator ls\" prints it").because("several datasets are called %q", what)
		}
		id = &p.Manifest.Dataset
	}
	if id == nil {
		return nil, nil, o.notFound(what, damaged)
	}
	return id, damaged, nil
}

func given(flags ...string) (n int) {
	for _, f := range flags {
		if f != "" {
			n++
		}
	}
	return n
}

// parseDigest takes a whole digest, with or without its prefix.
func parseDigest(s string) (envelope.Digest, error) {
	d, err := envelope.ParseDigest("sha256:" + strings.TrimPrefix(s, "sha256:"))
	if err != nil {
		return d, Errorf(KindUsage, "give the digest whole: 64 hex digits").from(err)
	}
	return d, nil
}
