// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/bom"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// The formats that other people's tools read.
const (
	exportCroissant = "croissant"
	exportCycloneDX = "cyclonedx"
	exportSPDX      = "spdx"
	exportOMS       = "model-signing"
	exportKey       = "key"
	exportSigstore  = "sigstore"
	exportManifest  = "manifest"
)

// exportFlags say what is written, where, or what it is compared with.
type exportFlags struct {
	format, out, check string
}

func (f *exportFlags) register(cmd *cobra.Command, formats ...string) {
	cmd.Flags().StringVar(&f.format, "format", "", "what to write (required): "+strings.Join(formats, ", "))
	cmd.Flags().StringVar(&f.out, "out", "", "file to make (default: standard output)")
	cmd.Flags().StringVar(&f.check, "check", "", "write nothing: compare this file with what would be written; exit code 4 if it says something else")
}

func (f *exportFlags) validate(formats ...string) error {
	switch {
	case !slices.Contains(formats, f.format):
		return Errorf(KindUsage, "use --format %s", strings.Join(formats, ", ")).because("unknown format %q", f.format)
	case f.check != "" && f.out != "":
		return Errorf(KindUsage, "use one of the two").because("--check writes nothing, so there is no --out")
	}
	return nil
}

// finish writes the document, or compares the file that was given with it.
func (f *exportFlags) finish(cmd *cobra.Command, doc []byte) error {
	if f.check == "" {
		if f.out == "" {
			_, err := cmd.OutOrStdout().Write(doc)
			return err
		}
		return writeNew(f.out, doc)
	}
	have, err := readInput(cmd.Context(), f.check, bom.MaxDocument)
	if err != nil {
		return err
	}
	if f.format == exportKey {
		if !bytes.Equal(doc, have) {
			return Errorf(KindVerify, "do not use it").because("%s is not the key", f.check)
		}
	} else if err := bom.Compare(doc, have); err != nil {
		return Errorf(KindVerify, "do not rely on this file; write it again without --check").from(err)
	}
	say(cmd, "%s says what was signed", f.check)
	return nil
}

// writeNew makes a file that was not there.
func writeNew(path string, b []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return Errorf(KindUsage, "choose another --out").because("%s is there already, and nothing is overwritten", path)
	}
	if err != nil {
		return Errorf(KindUsage, "choose another --out").from(err)
	}
	_, err = file.Write(b)
	return errors.Join(err, file.Close())
}

func newCreatorExport() *cobra.Command {
	formats := []string{exportCroissant, exportCycloneDX, exportSPDX, exportOMS, exportKey, exportManifest}
	var dir string
	var f exportFlags
	cmd := &cobra.Command{
		Use: "export PACKAGE", Short: "Describe a package for other people's tools", Args: exactArgs(1, "one package, by digest, or by name for its newest version"),
		Long: `Export writes what the signed manifest says in a format that other tools read. docs/external.md has their commands.

  croissant      the manifest's metadata as Croissant 1.1 JSON-LD, for mlcroissant
  cyclonedx      a CycloneDX 1.6 bill of materials
  spdx           an SPDX 3.0.1 document, profiles Software and Dataset
  model-signing  a signature of the owner, made now, over the package's files as they lie in blobs/, for model_signing
  key            the owner's public key as PEM, for model_signing and openssl
  manifest       the signed manifest itself

All but model-signing come out the same each time: --check compares a copy.`,
		Example: "  glovebox creator export mnist --dir alice --format croissant --out croissant.json\n" +
			"  glovebox creator export mnist --dir alice --format spdx --check mnist.spdx.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.validate(formats...); err != nil {
				return err
			}
			o, err := openOwner(dir, config.Creator)
			if err != nil {
				return err
			}
			p, err := o.find(args[0])
			if err != nil {
				return err
			}
			if f.format != exportOMS {
				doc, err := describe(p.Signed, f.format)
				if err != nil {
					return err
				}
				return f.finish(cmd, doc)
			}
			if f.check != "" {
				return Errorf(KindUsage, "use: model_signing verify key").because("a signature is not compared, it is verified")
			}
			s, err := o.signer(o.layout.OwnerKey(), envelope.RoleOwner)
			if err != nil {
				return err
			}
			defer s.Wipe()
			doc, err := bom.SignModel(&bom.Package{ID: p.ID, Manifest: p.Manifest}, s)
			if err != nil {
				return err
			}
			return f.finish(cmd, doc)
		},
	}
	dirFlag(cmd, &dir, config.Creator)
	f.register(cmd, formats...)
	return cmd
}

// describe verifies a signed manifest and writes it in a format.
func describe(signed []byte, format string) ([]byte, error) {
	v, err := dataset.Verify(signed)
	if err != nil {
		return nil, Errorf(KindVerify, "it is not a signed manifest, or it was altered").from(err)
	}
	p := &bom.Package{ID: v.ID, Manifest: &v.Predicate}
	switch format {
	case exportCroissant:
		return bom.Croissant(p)
	case exportCycloneDX:
		return bom.CycloneDX(p)
	case exportSPDX:
		return bom.SPDX(p)
	case exportKey:
		return publicPEM(v.Predicate.Owner), nil
	case exportManifest:
		return signed, nil
	}
	return nil, Errorf(KindUsage, "see glovebox auditor export --help").because("a manifest has no format %q", format)
}

func publicPEM(k envelope.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.SPKI()})
}

func newAuditorExport() *cobra.Command {
	formats := []string{exportSigstore, exportKey, exportCycloneDX, exportSPDX, exportCroissant}
	var trust string
	var f exportFlags
	cmd := &cobra.Command{
		Use: "export FILE", Short: "Write a bundle, or a manifest, for other people's tools", Args: exactArgs(1, "one bundle or signed manifest, or - for standard input"),
		Long: `Export writes parts of a bundle, or what it says, in a format that other tools read. docs/external.md has their commands.

  sigstore   of a bundle: the usage attestation with its log entry, for cosign and other sigstore tools
  key        of a bundle: the key that the usage attestation is signed with, as PEM; of a manifest: its owner's
  cyclonedx  a CycloneDX 1.6 bill of materials: of a bundle, the result with code and datasets; of a manifest, the package
  spdx       the same as an SPDX 3.0.1 document, profiles Software, Dataset and, where the result holds a model, AI
  croissant  of a manifest: its metadata as Croissant 1.1 JSON-LD

A bill of materials of a bundle is made only of a bundle that verifies: it needs --trust. sigstore and key are taken out as they
are, for tools that check them. A manifest must be signed by the owner that it names; whether you trust that owner, you say.
With --check, a copy is compared with what would be written.`,
		Example: "  glovebox auditor export bundle.json --format sigstore --out usage.sigstore.json\n" +
			"  glovebox auditor export bundle.json --trust trust.json --format cyclonedx --check result.cdx.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.validate(formats...); err != nil {
				return err
			}
			b, err := readInput(cmd.Context(), args[0], usage.MaxBundle)
			if err != nil {
				return err
			}
			doc, err := exportFile(cmd, b, f.format, trust)
			if err != nil {
				return err
			}
			return f.finish(cmd, doc)
		},
	}
	f.register(cmd, formats...)
	cmd.Flags().StringVar(&trust, "trust", "", "trust file, for a bundle's bill of materials; make one with: glovebox auditor trust")
	return cmd
}

// exportFile tells a manifest from a bundle by its shape: an envelope has a payload.
func exportFile(cmd *cobra.Command, b []byte, format, trust string) ([]byte, error) {
	if _, _, _, err := envelope.Parts(b); err == nil {
		return describe(b, format)
	}
	parsed, err := usage.ParseBundle(b)
	if err != nil {
		return nil, Errorf(KindVerify, "give a bundle or a signed manifest").from(err)
	}
	switch format {
	case exportSigstore:
		return parsed.Sigstore(), nil
	case exportKey:
		key, err := usage.LeaseKey(parsed.Evidence)
		if err != nil {
			return nil, Errorf(KindVerify, "the bundle's evidence is damaged").from(err)
		}
		return publicPEM(key), nil
	case exportCroissant:
		return nil, Errorf(KindUsage, "give a manifest: glovebox creator export PACKAGE --format manifest").because("a bundle has no Croissant metadata of its own")
	}
	t, err := loadTrust(trust)
	if err != nil {
		return nil, err
	}
	v, err := audit(cmd.Context(), b, t)
	if err != nil {
		return nil, err
	}
	if err := refuse(v); err != nil {
		return nil, err
	}
	r, err := materials(parsed, v)
	if err != nil {
		return nil, err
	}
	if format == exportCycloneDX {
		return bom.CycloneDXRun(r)
	}
	return bom.SPDXRun(r)
}

// materials is what went into the result of a verified bundle.
func materials(b *usage.Bundle, v *usage.Verdict) (*bom.Run, error) {
	s := v.Statement
	if v.Result == nil {
		return nil, Errorf(KindUsage, "its usage attestation still says what was used: glovebox auditor verify").because("the run failed (%s) and has no result", s.Reason)
	}
	r := &bom.Run{
		Usage: *v.Usage, Job: s.Job, Evidence: s.Evidence, Result: *v.Result, Assurance: s.Assurance, Runtime: s.Runtime,
		Finished: s.Time.Broker + s.Time.Finished,
	}
	if s.Execution != nil {
		r.Module = &s.Execution.Module
	}
	for _, o := range s.Outputs {
		r.Outputs = append(r.Outputs, bom.Output{Name: o.Name, Class: o.Class, Bytes: o.Bytes})
	}
	for i, raw := range b.Manifests {
		m, err := dataset.Verify(raw)
		if err != nil {
			return nil, Errorf(KindVerify, "").from(err)
		}
		p := bom.Package{ID: m.ID, Manifest: &m.Predicate}
		if i < len(s.Packages) {
			p.Records = s.Packages[i].Records
		}
		r.Packages = append(r.Packages, p)
	}
	buyer, err := buyerOf(b)
	if err != nil {
		return nil, err
	}
	r.Buyer = buyer.String()
	return r, nil
}

// buyerOf is the buyer that a verified bundle's job names.
func buyerOf(b *usage.Bundle) (envelope.PublicKey, error) {
	v, err := envelope.Peek[job.Job](b.Job, envelope.JobType)
	if err != nil {
		return envelope.PublicKey{}, Errorf(KindVerify, "the bundle's job is damaged").from(err)
	}
	return v.Predicate.Buyer, nil
}
