// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const referenceKeyFile = "reference.key"

func newReference() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reference", Short: "Sign, read and compare lists of measured states", Args: noArgs, RunE: needVerb,
		Long: `A list of reference values says which measured states its signer vouches for, until when, and optionally what else she
demands of machines. An operator's list is a proposal: an owner's broker believes only her own list. She takes an operator's
into hers with "creator trust --list".`,
	}
	cmd.AddCommand(newReferenceSign(), newReferenceShow(), newReferenceDiff())
	return cmd
}

// signFlags are those of sign.
type signFlags struct {
	from                                           []string
	name, policy, previous, expires, key, dir, out string
	version                                        int64
	judge                                          evidenceFlags
}

func newReferenceSign() *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use: "sign", Short: "Sign a list of measured states", Args: noArgs,
		Long: `Sign makes a list of what --from names, which may be given several times:

  a list              an unsigned JSON list, or one that the same key signed
  a measurement       what "operator measure --json" prints
  an envelope         evidence; the values are what it shows of what must be pinned

Values from evidence are as good as the evidence. Sign refuses evidence whose signatures do not hold or that is of a debug
platform, and says what else is wrong with it. That the right code was measured is for somebody who built it to say: compare.

The version is one more than that of --previous, or of the list that OUT already is; it never falls. The key is made with
mode 0600 if it is not there. A policy given with --policy travels in the list; else that of a list in --from or --previous.
Two that differ in --from are refused.`,
		Example: "  glovebox operator reference sign --from measurement.json --expires 90d -o reference.json\n" +
			"  glovebox operator reference sign --from snp.json --from tdx.json --policy policy.json --previous reference.json -o next.json",
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.from, "from", nil, "a list, a measurement or an envelope; repeat for several")
	fl.StringVar(&f.name, "name", "", "name of the value, if --from gives one (default: of its build, or of its evidence)")
	fl.StringVar(&f.policy, "policy", "", "appraisal policy to put into the list")
	fl.StringVar(&f.previous, "previous", "", "the list before this one")
	fl.Int64Var(&f.version, "version", 0, "version of the list (default: one more than the list before)")
	fl.StringVar(&f.expires, "expires", "90d", "when the list ends: days as 90d, or a time as 2026-01-31T12:00:00Z")
	fl.StringVar(&f.key, "key", "", "key file of role reference (default: "+referenceKeyFile+" in --dir)")
	operatorFlag(cmd, &f.dir)
	f.judge.registerAnchors(cmd)
	fl.StringVarP(&f.out, "out", "o", "", "where to write the signed list")
	return cmd
}

func (f *signFlags) run(cmd *cobra.Command) error {
	now := time.Now()
	switch {
	case len(f.from) == 0:
		return Errorf(KindUsage, "name a list, a measurement or an envelope: --from FILE").because("there is nothing to sign")
	case f.out == "":
		return Errorf(KindUsage, "for example: -o reference.json").because("nowhere to write to")
	}
	ends, err := parseExpiry(f.expires, now)
	if err != nil {
		return err
	}
	policy, err := readPolicy(f.policy)
	if err != nil {
		return err
	}
	key, made, err := f.signer()
	if err != nil {
		return err
	}
	r := &attestation.Reference{NotAfter: ends.Unix(), Policy: policy}
	if err := f.collect(cmd, r, key); err != nil {
		return errors.Join(err, unmake(made))
	}
	if err := f.finish(cmd, r, key); err != nil {
		return errors.Join(err, unmake(made))
	}
	if made != "" {
		say(cmd, "made a key: %s", made)
	}
	say(cmd, "signed %s: version %d, %d values, until %s, by %s", f.out, r.Version, len(r.Values), stamp(r.NotAfter), key.Public())
	return nil
}

// unmake removes a key that came to nothing.
func unmake(path string) error {
	if path == "" {
		return nil
	}
	return os.Remove(path)
}

// signer loads the key, or makes it.
func (f *signFlags) signer() (s *envelope.Signer, made string, err error) {
	path := f.key
	if path == "" {
		path = filepath.Join(f.dir, referenceKeyFile)
		if err := os.MkdirAll(f.dir, 0o700); err != nil {
			return nil, "", Errorf(KindUsage, "give --dir or --key").from(err)
		}
	}
	s, err = envelope.LoadKeyFile(path, envelope.RoleReference)
	if errors.Is(err, fs.ErrNotExist) {
		s, err = envelope.CreateKeyFile(path, envelope.RoleReference)
		made = path
	}
	if err != nil && made != "" {
		return nil, "", Errorf(KindUsage, "give --key a file in a directory that is there").from(err)
	}
	return s, made, err
}

// parseExpiry reads 90d, 12h or a time. What is past is refused.
func parseExpiry(s string, now time.Time) (time.Time, error) {
	bad := Errorf(KindUsage, "for example: --expires 90d, or --expires 2026-01-31T12:00:00Z")
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		var d time.Duration
		days, isDays := strings.CutSuffix(s, "d")
		if n, nerr := strconv.Atoi(days); isDays && nerr == nil && n <= 36500 {
			d = time.Duration(n) * 24 * time.Hour
		} else if d, err = time.ParseDuration(s); err != nil {
			return t, bad.because("--expires %q is neither a duration nor a time", s)
		}
		t = now.Add(d)
	}
	if !t.After(now) {
		return t, bad.because("--expires %s is past: nobody would accept the list", s)
	}
	return t, nil
}

// collect fills r's values, and its policy where no flag gave one.
func (f *signFlags) collect(cmd *cobra.Command, r *attestation.Reference, key *envelope.Signer) error {
	first := "" // of the lists with a policy
	for _, path := range f.from {
		values, policy, err := f.source(cmd, path, key)
		switch {
		case err != nil:
			return err
		case policy == nil || f.policy != "":
		case r.Policy == nil:
			r.Policy, first = policy, path
		case !samePolicy(r.Policy, policy):
			return Errorf(KindUsage, "say with --policy which holds for all values").because("%s and %s have different policies, and a list has one", first, path)
		}
		r.Values = append(r.Values, values...)
	}
	switch {
	case len(r.Values) == 0:
		return Errorf(KindUsage, "an empty list denies everything, and nobody takes it").because("there is no value in what --from names")
	case f.name == "":
	case len(r.Values) > 1:
		return Errorf(KindUsage, "leave out --name").because("--name is for one value, there are %d", len(r.Values))
	default:
		r.Values[0].Name = f.name
	}
	return nil
}

// source tells the three kinds of file apart by a member that only each has.
func (f *signFlags) source(cmd *cobra.Command, path string, key *envelope.Signer) ([]attestation.ReferenceValue, *attestation.Policy, error) {
	b, err := readBounded(path, maxIdentity)
	if err != nil {
		return nil, nil, err
	}
	var has map[string]json.RawMessage
	if err := json.Unmarshal(b, &has); err != nil {
		return nil, nil, Errorf(KindUsage, "name a list, a measurement or an envelope").because("%s is not JSON", path)
	}
	switch {
	case has["payloadType"] != nil:
		r, err := ownList(path, b, key.Public())
		if err != nil {
			return nil, nil, err
		}
		return r.Values, r.Policy, nil
	case has["values"] != nil:
		return unsignedList(path, b)
	case has["evidence"] != nil:
		v, err := f.fromEvidence(cmd, path)
		return v, nil, err
	case has["measurements"] != nil:
		m, err := readMeasurement(path)
		if err != nil {
			return nil, nil, err
		}
		return []attestation.ReferenceValue{{Name: m.Name, Platform: m.Platform, Measurements: m.Measurements}}, nil, nil
	}
	return nil, nil, Errorf(KindUsage, "see: glovebox operator reference sign --help").because("%s is no list, no measurement and no envelope", path)
}

// unsignedList reads values that somebody wrote down. Version and expiry may be there, and are of no effect.
func unsignedList(path string, b []byte) ([]attestation.ReferenceValue, *attestation.Policy, error) {
	var l struct {
		Version  int64                        `json:"version"`
		NotAfter int64                        `json:"notAfter"`
		Values   []attestation.ReferenceValue `json:"values"`
		Policy   *attestation.Policy          `json:"policy"`
	}
	if err := envelope.DecodeStrict(b, maxIdentity, &l); err != nil {
		return nil, nil, Errorf(KindUsage, "see docs/spec/reference.md").from(fmt.Errorf("%s: %w", path, err))
	}
	return l.Values, l.Policy, nil
}

// ownList is a signed list whose signer is known.
func ownList(path string, b []byte, key envelope.PublicKey) (*attestation.Reference, error) {
	b, err := canonical(b)
	if err != nil {
		return nil, err
	}
	r, _, err := attestation.VerifyReference(b, key)
	if err != nil {
		return nil, Errorf(KindVerify, "only lists of the same key count; what another signed has to be verified first").from(fmt.Errorf("%s: %w", path, err))
	}
	return r, nil
}

// snpCovers is what a report cannot tell: whether the firmware was launched with hashes of kernel, initrd and command line.
const snpCovers = "without measured direct boot (kernel hashes in the firmware) an SNP measurement covers firmware and CPU state only: " +
	"a machine with any other disk has the same one, so see that yours is launched with kernel hashes"

// fromEvidence takes what an envelope's parts show of what must be pinned.
func (f *signFlags) fromEvidence(cmd *cobra.Command, path string) ([]attestation.ReferenceValue, error) {
	v, digest, err := f.inspect(cmd.Context(), path)
	if err != nil {
		return nil, err
	}
	var out []attestation.ReferenceValue
	for i := range v.Parts {
		p := &v.Parts[i]
		if err := f.usable(cmd, path, p); err != nil {
			return nil, err
		}
		value := attestation.ReferenceValue{Name: fmt.Sprintf("%s of evidence %s", p.Platform, digest.Hex()[:16]), Platform: p.Platform, Measurements: map[string]string{}}
		for _, m := range attestation.Required(p.Platform) {
			if p.Measurements[m] == "" {
				return nil, Errorf(KindVerify, "take the values from evidence that shows all of: %s", strings.Join(attestation.Required(p.Platform), ", ")).
					because("%s does not show %s", path, m)
			}
			value.Measurements[m] = p.Measurements[m]
		}
		out = append(out, value)
		if p.Platform == attestation.PlatformSNP {
			say(cmd, "glovebox: WARNING: %s", snpCovers)
		}
	}
	say(cmd, "glovebox: WARNING: the values of %s are what this machine ran, not what it should run: compare them with a build of your own", path)
	return out, nil
}

func (f *signFlags) inspect(ctx context.Context, path string) (*attestation.Verdict, envelope.Digest, error) {
	_, v, err := f.judge.inspect(ctx, path)
	if err != nil {
		return nil, envelope.Digest{}, err
	}
	return v, v.Evidence, nil
}

// usable refuses what is not authentic or can be debugged. Other failures are said: they are for a policy, whose owner may
// be of another mind.
func (f *signFlags) usable(cmd *cobra.Command, path string, p *attestation.PartVerdict) error {
	for _, c := range p.Checks {
		switch {
		case c.Outcome != attestation.Fail || c.Name == checkReferenceValues:
		case c.Step == attestation.StepAuthenticate || c.Name == "debug" || p.Assurance == "":
			return Errorf(KindVerify, "see every check: glovebox auditor evidence verify %s", path).because("%s: %s: %s", path, plain(c.Name), plain(c.Note))
		default:
			say(cmd, "glovebox: warning: %s: %s: %s", path, plain(c.Name), plain(c.Note))
		}
	}
	if p.Assurance == "" {
		return Errorf(KindVerify, "see every check: glovebox auditor evidence verify %s", path).because("%s is not authentic", path)
	}
	return nil
}

// finish gives the list its version, signs it and writes it.
func (f *signFlags) finish(cmd *cobra.Command, r *attestation.Reference, key *envelope.Signer) error {
	before, err := f.before(key.Public())
	if err != nil {
		return err
	}
	highest := int64(0)
	if before != nil {
		highest = before.Version
		if r.Policy == nil {
			r.Policy = before.Policy
		}
	}
	switch {
	case f.version == 0 && !cmd.Flags().Changed("version"):
		r.Version = highest + 1
	case f.version <= highest:
		return Errorf(KindUsage, "leave out --version, or give %d or more", highest+1).because("version %d is not above %d, the list before: brokers refuse to go back", f.version, highest)
	default:
		r.Version = f.version
	}
	signed, err := attestation.SignReference(r, key)
	if err != nil {
		return Errorf(KindUsage, "see docs/spec/reference.md").from(err)
	}
	if err := config.WriteFile(f.out, signed); err != nil {
		return Errorf(KindError, "check the path of -o").from(err)
	}
	return nil
}

// before is the list that this one follows: --previous, or what OUT is. Nil: there is none.
func (f *signFlags) before(key envelope.PublicKey) (*attestation.Reference, error) {
	var last *attestation.Reference
	for _, path := range []string{f.previous, f.out} {
		if path == "" {
			continue
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && path == f.out {
			continue
		}
		if err != nil {
			return nil, Errorf(KindUsage, "check --previous").from(err)
		}
		r, err := ownList(path, b, key)
		if err != nil {
			return nil, err
		}
		if last == nil || r.Version > last.Version {
			last = r
		}
	}
	return last, nil
}
