// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// importFlags name a vendor's files.
type importFlags struct {
	platform, report, claims, out  string
	certs, collateral, logs, nests []string
}

func newEvidenceImport() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use: "import", Short: "Make an evidence envelope of a vendor's raw files", Args: noArgs,
		Long: `Import reads what a vendor's tools leave in files, binary, hex or base64, DER or PEM, and writes one envelope. It judges
nothing: verify and explain do. What it writes is bound to no job, unless --claims says to which. The JSON forms of evidence
that clouds and other tools use are a --report too.`,
		Example: `  glovebox auditor evidence import --platform snp --report report.bin --cert vcek.der -o snp.json
  glovebox auditor evidence import --platform tdx --report quote.bin --collateral tcb.json --collateral qe.json --collateral pck.crl --collateral root.crl --event-log ccel.bin -o tdx.json
  glovebox auditor evidence import --platform nitro --report document.cbor -o nitro.json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.platform, "platform", "", "whose evidence it is (required): "+names(verifiers.Importable()))
	fl.StringVar(&f.report, "report", "", "report, quote, document or token; - for standard input")
	fl.StringArrayVar(&f.certs, "cert", nil, "certificates, DER or PEM; repeat for several files")
	fl.StringArrayVar(&f.collateral, "collateral", nil, "TCB info, QE identity, CRLs, OCSP answers or RIMs; repeat for several files")
	fl.StringArrayVar(&f.logs, "event-log", nil, "measured-boot log; repeat for several files")
	fl.StringArrayVar(&f.nests, "nested", nil, "envelope of a device's evidence (gpu) to put under this one; repeat for several")
	fl.StringVar(&f.claims, "claims", "", "JSON file of the binding that the evidence was made for (docs/spec/evidence.md)")
	fl.StringVarP(&f.out, "output", "o", "", "file to write, - for standard output (required)")
	return cmd
}

func names(platforms []attestation.Platform) string {
	var out []string
	for _, p := range platforms {
		out = append(out, string(p))
	}
	return strings.Join(out, ", ")
}

// check refuses a command line that makes no sense before anything is read.
func (f *importFlags) check(cmd *cobra.Command, p attestation.Platform) error {
	switch {
	case !slices.Contains(verifiers.Importable(), p):
		return Errorf(KindUsage, "--platform is one of: %s", names(verifiers.Importable())).because("nothing is imported of platform %q", f.platform)
	case f.report == "" && len(f.collateral) == 0:
		return Errorf(KindUsage, "name the report, quote, document or token: --report FILE").because("there is nothing to import")
	case f.out == "":
		return Errorf(KindUsage, "for example: -o evidence.json, or -o - for standard output").because("nowhere to write to")
	case p == attestation.PlatformGPU && len(f.nests) > 0:
		return Errorf(KindUsage, "import the machine's evidence with the devices' as --nested").because("nothing is nested under a device")
	}
	for _, name := range []string{"report", "claims"} {
		if fl := cmd.Flags().Lookup(name); fl.Changed && fl.Value.String() == "" { // an unset variable of a script
			return Errorf(KindUsage, "give a file, or leave --%s out", name).because("--%s is empty", name)
		}
	}
	if st, err := os.Stat(f.out); f.out != "-" && err == nil && st.IsDir() {
		return Errorf(KindUsage, "give a file in it: -o %s", filepath.Join(f.out, "evidence.json")).because("-o %s is a directory", f.out)
	}
	return nil
}

func (f *importFlags) run(cmd *cobra.Command) error {
	p := attestation.Platform(f.platform)
	if err := f.check(cmd, p); err != nil {
		return err
	}
	e, err := untilInterrupted(cmd.Context(), func() (*attestation.Evidence, error) { return f.read(p) })
	if err != nil {
		return err
	}
	b, err := e.Encode()
	if err == nil {
		_, err = attestation.ParseImported(b)
	}
	if err != nil {
		return Errorf(KindVerify, "evidence has at most %s in all", byteSize(attestation.MaxEvidence)).from(err)
	}
	if f.out == "-" {
		_, err = cmd.OutOrStdout().Write(b)
		return err
	}
	if err := config.WriteFile(f.out, b); err != nil {
		return Errorf(KindError, "nothing was written; check the path of -o").from(err)
	}
	say(cmd, "wrote %s, %s of %s evidence that nobody has judged yet", f.out, byteSize(int64(len(b))), p)
	say(cmd, "look at it: glovebox auditor evidence explain %s", f.out)
	return nil
}

// read makes the envelope. Nothing is written before it is whole.
func (f *importFlags) read(p attestation.Platform) (*attestation.Evidence, error) {
	files := append(append(append([]string{f.report, f.claims}, f.certs...), f.collateral...), append(f.logs, f.nests...)...)
	if n := len(slices.DeleteFunc(files, func(s string) bool { return s != "-" })); n > 1 {
		return nil, Errorf(KindUsage, "give files for the others").because("standard input is named %d times", n)
	}
	raw, err := f.raw()
	if err != nil {
		return nil, err
	}
	e, err := verifiers.Import(p, raw)
	if err != nil {
		return nil, Errorf(KindVerify, "check --platform, and that the files are whole and as the vendor's tools wrote them").from(err)
	}
	if e.Nested, err = f.nested(e.Nested); err != nil {
		return nil, err
	}
	if f.claims == "" {
		return e, nil
	}
	b, err := readBounded(f.claims, attestation.MaxEvidence)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(envelope.DecodeStrict(b, attestation.MaxEvidence, &e.Claims), e.Claims.Validate()); err != nil {
		return nil, Errorf(KindUsage, "docs/spec/evidence.md has the fields; without --claims the evidence is bound to nothing").from(fmt.Errorf("%s: %w", f.claims, err))
	}
	return e, nil
}

func (f *importFlags) raw() (raw attestation.Raw, err error) {
	if f.report != "" {
		if raw.Report, err = readBounded(f.report, attestation.MaxEvidence); err != nil {
			return raw, oversized(err)
		}
	}
	for _, l := range []struct {
		paths []string
		into  *[][]byte
	}{{f.certs, &raw.Certs}, {f.collateral, &raw.Collateral}, {f.logs, &raw.EventLogs}} {
		for _, path := range l.paths {
			b, err := readBounded(path, attestation.MaxEvidence)
			if err != nil {
				return raw, oversized(err)
			}
			*l.into = append(*l.into, b)
		}
	}
	return raw, nil
}

func oversized(err error) error {
	if errors.Is(err, envelope.ErrTooLarge) {
		return Errorf(KindVerify, "no evidence is that large: check the path").from(err)
	}
	return err
}

// nested adds devices' envelopes. They may be bound to nothing of their own: what counts is the envelope above.
func (f *importFlags) nested(out []attestation.Nested) ([]attestation.Nested, error) {
	for _, path := range f.nests {
		d, _, err := readEvidence(path)
		if err != nil {
			return nil, err
		}
		if d.Platform != attestation.PlatformGPU {
			return nil, Errorf(KindUsage, "only devices' evidence is nested: that of platform %s", attestation.PlatformGPU).because("%s is evidence of platform %q", path, plain(string(d.Platform)))
		}
		if d.Bound() || len(d.Nested) > 0 {
			return nil, Errorf(KindUsage, "import the device's own files first, then name that envelope").because("%s is bound to a job, or has devices itself", path)
		}
		out = append(out, attestation.Nested{Platform: d.Platform, Evidence: d.Evidence, Endorsements: d.Endorsements, EventLogs: d.EventLogs})
	}
	return out, nil
}
