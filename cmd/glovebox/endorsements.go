// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/endorsements"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func newEndorsements() *cobra.Command {
	cmd := &cobra.Command{
		Use: "endorsements", Short: "Fetch what vendors say about a machine, so that verifying needs no network", Args: noArgs, RunE: needVerb,
		Long: `Certificates, revocation lists, patch levels and reference manifests come from AMD, Intel, Amazon, Google and NVIDIA. Only
these commands ask for them. Whoever verifies evidence later believes the vendor's signature, and not who fetched it.`,
	}
	cmd.AddCommand(newEndorsementsFetch(), newEndorsementsShow(), newEndorsementsKeys())
	return cmd
}

// fetchFlags are those of fetch.
type fetchFlags struct {
	out, list, cache, pccs string
	offline, asJSON        bool
}

func newEndorsementsFetch() *cobra.Command {
	var f fetchFlags
	cmd := &cobra.Command{
		Use: "fetch ENV", Short: "Fill an evidence envelope with what its platform's vendor says", Args: exactArgs(1, "one envelope, or - for standard input"),
		Long: `Fetch finds out from the evidence which statements it needs, asks the vendor's service for them over HTTPS or takes them
from the cache, and writes the envelope with them to OUT. Older statements about the same thing are replaced; all else stays.

What the evidence is bound to never changes, but the envelope's digest does. Evidence that a grant or a bundle refers to must
stay as it is: leave that file alone and give another OUT. OUT is not written over unless it is ENV itself.

With --list FILE it also writes what was fetched as the list that an enclave's collector hands out with its next evidence.
Run it again before the first of them expires; show says when that is.

  snp, azure-snp      AMD: the chip's certificate, AMD's chain and its revocation list
  sgx, tdx, azure-tdx Intel: TCB info, QE identity, revocation lists and their chains
  nitro, gce          the revocation lists that the certificates name
  gpu                 NVIDIA: the reference manifests and the certificates' status
  oidc                nothing: see "keys"

A VLEK's certificate comes from the cloud with its report; AMD hands it to nobody else. It exits with 5 when a service is
away or busy, or when --offline misses something, and with 4 when a service answers with something else than was asked for.`,
		Example: "  glovebox operator endorsements fetch evidence.json -o filled.json --list endorsements.json\n" +
			"  glovebox operator endorsements fetch evidence.json -o filled.json --pccs https://localhost:8081",
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.out, "out", "o", "", "where to write the filled envelope; - for standard output")
	fl.StringVar(&f.list, "list", "", "where to write the list of endorsements for an enclave's collector")
	fl.StringVar(&f.cache, "cache", "", "directory of the cache (default: glovebox/endorsements in the user's cache directory)")
	fl.BoolVar(&f.offline, "offline", false, "use the cache only")
	fl.StringVar(&f.pccs, "pccs", "", "a PCCS to ask instead of Intel's own service, by URL; https only")
	jsonFlag(cmd, &f.asJSON)
	return cmd
}

// fetchView is what fetch did.
type fetchView struct {
	Platform attestation.Platform `json:"platform"`
	Evidence envelope.Digest      `json:"evidence"` // of the filled envelope
	*endorsements.Result
}

func (f *fetchFlags) run(cmd *cobra.Command, path string) error {
	if err := f.check(path); err != nil {
		return err
	}
	e, _, err := readEvidence(path)
	if err != nil {
		return err
	}
	client, err := f.client()
	if err != nil {
		return err
	}
	r, err := client.Fill(cmd.Context(), e)
	if r != nil {
		for _, n := range r.Notes {
			say(cmd, "glovebox: note: %s", plain(n))
		}
	}
	if err != nil {
		return err
	}
	b, err := e.Encode()
	if err != nil {
		return err
	}
	if err := f.write(cmd, b, r.Added); err != nil {
		return err
	}
	v := fetchView{e.Platform, envelope.Sum(b), r}
	if f.out == "-" {
		return nil
	}
	return show(cmd, f.asJSON, v, func(w io.Writer) {
		rows := [][]string{{"STATEMENT", "FROM", "KEPT UNTIL", "DIGEST"}}
		for _, x := range r.Fetched {
			from := x.URL
			if x.Cached {
				from = "cache"
			}
			rows = append(rows, []string{x.Name, clip(from, 60), stamp(x.Expires), short(x.Digest.String())})
		}
		table(w, rows...)
	})
}

// check refuses what would lose something, before anything is asked.
func (f *fetchFlags) check(path string) error {
	if f.out == "" && f.list == "" {
		return Errorf(KindUsage, "for example: -o filled.json, or --list endorsements.json").because("nowhere to write to")
	}
	if f.out == "-" && f.asJSON {
		return Errorf(KindUsage, "give -o a file").because("--json and -o - both want standard output")
	}
	if f.out == "" || f.out == "-" {
		return nil
	}
	out, err := os.Stat(f.out)
	if err != nil {
		return nil // it is not there; writing says what else is wrong
	}
	in, err := os.Stat(path)
	if err != nil || !os.SameFile(in, out) {
		return Errorf(KindUsage, "a grant may refer to it; remove it first, or give another -o").because("%s is there already", f.out)
	}
	return nil
}

func openEndorsementCache(dir string) (*endorsements.Cache, error) {
	if dir == "" {
		var err error
		if dir, err = endorsements.DefaultDir(); err != nil {
			return nil, err
		}
	}
	return endorsements.OpenCache(dir)
}

func (f *fetchFlags) client() (*endorsements.Fetcher, error) {
	c, err := openEndorsementCache(f.cache)
	if err != nil {
		return nil, err
	}
	return endorsements.New(endorsements.Config{Cache: c, Offline: f.offline, PCCS: f.pccs, UserAgent: "glovebox/" + version()})
}

func (f *fetchFlags) write(cmd *cobra.Command, filled []byte, added []attestation.Endorsement) error {
	if f.list != "" {
		b, err := json.MarshalIndent(added, "", "  ")
		if err != nil {
			return err
		}
		if len(added) == 0 {
			return Errorf(KindError, "see the notes above").because("nothing was to be fetched, so there is no list")
		}
		if err := config.WriteFile(f.list, append(b, '\n')); err != nil {
			return Errorf(KindError, "check the path of --list").from(err)
		}
		say(cmd, "wrote %s, %d endorsements for a collector", f.list, len(added))
	}
	if f.out == "-" {
		_, err := cmd.OutOrStdout().Write(filled)
		return err
	}
	if f.out == "" {
		return nil
	}
	if err := config.WriteFile(f.out, filled); err != nil {
		return Errorf(KindError, "check the path of -o").from(err)
	}
	say(cmd, "wrote %s, %s; nothing in it was verified: glovebox auditor evidence verify %s", f.out, byteSize(int64(len(filled))), f.out)
	return nil
}

// endorsementView is a row of show.
type endorsementView struct {
	Part string `json:"part"` // "cpu", "device 1" or "cache"
	endorsements.Description
	URL     string `json:"url,omitempty"`     // cache only
	Fetched int64  `json:"fetched,omitempty"` // cache only
	Kept    int64  `json:"kept,omitempty"`    // cache only: until then it is used
}

func newEndorsementsShow() *cobra.Command {
	var cache string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show [ENV]", Short: "List the endorsements in an envelope, or in the cache", Args: optionalEnvelope,
		Long: `Show lists what vendors are said to have stated, who is said to have issued it, and from when to when it holds. Nothing is
verified here. Without an envelope it lists the cache. It exits with 5 if something has expired: fetch it again.`,
		Example: "  glovebox operator endorsements show evidence.json\n  glovebox operator endorsements show --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && cache != "" {
				return Errorf(KindUsage, "give one of them").because("an envelope and --cache are two things to show")
			}
			views, err := endorsementViews(cache, args)
			if err != nil {
				return err
			}
			if err := show(cmd, asJSON, struct {
				Endorsements []endorsementView `json:"endorsements"`
			}{views}, func(w io.Writer) { printEndorsements(w, views) }); err != nil {
				return err
			}
			return expired(views)
		},
	}
	cmd.Flags().StringVar(&cache, "cache", "", "directory of the cache (default: glovebox/endorsements in the user's cache directory)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func optionalEnvelope(cmd *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return exactArgs(1, "at most one envelope")(cmd, args)
}

func endorsementViews(cache string, args []string) ([]endorsementView, error) {
	now := time.Now()
	if len(args) == 0 {
		return cacheViews(cache, now)
	}
	e, _, err := readEvidence(args[0])
	if err != nil {
		return nil, err
	}
	out := []endorsementView{}
	add := func(part string, list []attestation.Endorsement) {
		for _, x := range list {
			out = append(out, endorsementView{Part: part, Description: endorsements.Describe(x, now)})
		}
	}
	add(string(e.Platform), e.Endorsements)
	for i, n := range e.Nested {
		add(fmt.Sprintf("device %d", i+1), n.Endorsements)
	}
	return out, nil
}

func cacheViews(dir string, now time.Time) ([]endorsementView, error) {
	if dir != "" {
		if _, err := os.Stat(dir); err != nil {
			return nil, Errorf(KindUsage, "check --cache").from(err)
		}
	}
	c, err := openEndorsementCache(dir)
	if err != nil {
		return nil, err
	}
	kept, bad, err := c.Entries()
	if err != nil {
		return nil, err
	}
	out := []endorsementView{}
	for _, e := range kept {
		out = append(out, endorsementView{
			Part: "cache", URL: e.URL, Fetched: e.Fetched, Kept: e.Expires,
			Description: endorsements.Description{What: e.Name, Issuer: e.Host(), From: e.Fetched, To: e.Expires, Digest: e.Digest, Expired: now.Unix() >= e.Expires},
		})
	}
	for name, err := range bad {
		out = append(out, endorsementView{Part: "cache", Description: endorsements.Description{What: name, Problem: err.Error()}})
	}
	return out, nil
}

func printEndorsements(w io.Writer, views []endorsementView) {
	if len(views) == 0 {
		fmt.Fprintln(w, "none")
		return
	}
	rows := [][]string{{"OF", "WHAT", "BY", "FROM", "TO", "DIGEST", ""}}
	for _, v := range views {
		note := ""
		switch {
		case v.Problem != "":
			note = "UNREADABLE: " + clip(v.Problem, 60)
		case v.Expired:
			note = "EXPIRED"
		}
		rows = append(rows, []string{v.Part, clip(v.What, 48), clip(v.Issuer, 32), date(v.From), date(v.To), short(v.Digest.String()), note})
	}
	table(w, rows...)
}

func date(unix int64) string {
	if unix == 0 {
		return "-"
	}
	return stamp(unix)
}

func expired(views []endorsementView) error {
	n, bad := 0, 0
	for _, v := range views {
		if v.Expired {
			n++
		}
		if v.Problem != "" {
			bad++
		}
	}
	switch {
	case n == 0 && bad == 0:
		return nil
	case bad == 0:
		return Errorf(KindTryAgain, "glovebox operator endorsements fetch").because("%d of %d expired", n, len(views))
	}
	return Errorf(KindVerify, "glovebox operator endorsements fetch replaces them").because("%d of %d cannot be read", bad, len(views))
}

func newEndorsementsKeys() *cobra.Command {
	return &cobra.Command{
		Use: "keys ISSUER", Short: "Print a token issuer's keys, for an appraisal policy", Args: exactArgs(1, "one issuer, by URL"),
		Long: `Keys reads the issuer's discovery document and prints its keys as an element of the policy's oidc.issuers. They are an
anchor of trust: who puts them into her policy believes TLS and this machine at this moment, and then those keys. So they
always come from the issuer, never from the cache, and are never part of evidence.`,
		Example: "  glovebox operator endorsements keys https://confidentialcomputing.googleapis.com > issuer.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := endorsements.New(endorsements.Config{UserAgent: "glovebox/" + version()})
			if err != nil {
				return err
			}
			keys, _, err := client.Keys(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return show(cmd, true, attestation.OIDCIssuer{Issuer: args[0], Keys: keys}, nil)
		},
	}
}
