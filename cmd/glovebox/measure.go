// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/cmd/glovebox-run/localrun"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// measureFlags are those of measure.
type measureFlags struct {
	dir, eif, ego     string
	platforms, asJSON bool
}

func newMeasure() *cobra.Command {
	var f measureFlags
	cmd := &cobra.Command{
		Use: "measure", Short: "Print what the enclave is, for owners to trust", Args: noArgs,
		Long: `Measure prints the state of the platform that "operator up" started, and the key of the log. Hand it to creators and buyers;
they check the enclave's digest against the one they built, and sign it with "creator trust".

With --platforms it prints instead what this build's enclave will show on each platform, as far as that can be computed here:
the binary's and the engine's digests, the TPM register that the launcher extends, MRENCLAVE of a binary signed for EGo with
--ego (the tool "ego" computes it), and a Nitro image's PCRs with --eif (the tool "nitro-cli" does). What depends on firmware,
kernel or machine is not computed but named, with the tool that does. It prints no guesses.`,
		Example: "  glovebox operator measure --dir op --json > measurement.json\n  glovebox operator measure --platforms --eif enclave.eif",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !f.platforms && (f.eif != "" || f.ego != "") {
				return Errorf(KindUsage, "add --platforms").because("--eif and --ego are for --platforms")
			}
			if f.platforms {
				return f.build(cmd)
			}
			return f.running(cmd)
		},
	}
	operatorFlag(cmd, &f.dir)
	fl := cmd.Flags()
	fl.BoolVar(&f.platforms, "platforms", false, "print what this build shows on each platform")
	fl.StringVar(&f.eif, "eif", "", "an enclave image file, for Nitro's PCRs")
	fl.StringVar(&f.ego, "ego", "", "an enclave binary that was signed for EGo, for SGX's MRENCLAVE")
	jsonFlag(cmd, &f.asJSON)
	return cmd
}

// running prints what up measured.
func (f *measureFlags) running(cmd *cobra.Command) error {
	o, err := openOperator(f.dir)
	if err != nil {
		return err
	}
	m, err := readMeasurement(o.at(measurementFile))
	if err != nil {
		return Errorf(KindTryAgain, "start it first: glovebox operator up --dir %s", f.dir).because("%s has not been up yet: %w", f.dir, err)
	}
	return show(cmd, f.asJSON, m, func(w io.Writer) {
		rows := [][]string{{"name", m.Name}, {"platform", string(m.Platform)}, {"enclave", m.Enclave.String()}}
		for _, k := range slices.Sorted(maps.Keys(m.Measurements)) {
			rows = append(rows, []string{k, m.Measurements[k]})
		}
		table(w, rows...)
	})
}

// buildView is what this build's enclave will show.
type buildView struct {
	Binary    string             `json:"binary"`
	Enclave   envelope.Digest    `json:"enclave"` // SHA-256 of the binary
	Engine    envelope.Digest    `json:"engine"`  // what runs modules, as evidence carries it
	Costs     string             `json:"costs"`
	Runtimes  []string           `json:"runtimes"`
	Platforms []platformMeasured `json:"platforms"`
}

// platformMeasured is one platform. A measurement that is not here was not computed: Missing says by what it can be.
type platformMeasured struct {
	Platform     attestation.Platform `json:"platform"`
	Measurements map[string]string    `json:"measurements"`
	Missing      []string             `json:"missing"` // what a reference value needs beside them
	How          string               `json:"how"`     // where they come from, or what computes what is missing
}

func (f *measureFlags) build(cmd *cobra.Command) error {
	path, err := companion("glovebox-enclave")
	if err != nil {
		return err
	}
	v := &buildView{Binary: path}
	if v.Enclave, err = enclaveDigest(path); err != nil {
		return err
	}
	about, err := engine(cmd)
	if err != nil {
		return err
	}
	v.Engine, v.Costs, v.Runtimes = about.Engine, about.Costs, about.Runtimes
	sgx, err := f.sgx(cmd.Context())
	if err != nil {
		return err
	}
	nitro, err := f.nitro(cmd.Context())
	if err != nil {
		return err
	}
	for _, p := range attestation.Platforms() {
		x := platformMeasured{Platform: p, Measurements: map[string]string{}, How: howMeasured(p)}
		switch p {
		case attestation.PlatformSimulated:
			x.Measurements["enclave"] = v.Enclave.Hex()
		case attestation.PlatformTPM:
			f.tpm(&x, v.Enclave)
		case attestation.PlatformAzureSNP, attestation.PlatformAzureTDX, attestation.PlatformGCE:
			x.Measurements["pcr14"] = launched(v.Enclave)
		case attestation.PlatformSGX:
			x.Measurements = sgx
		case attestation.PlatformNitro:
			x.Measurements = nitro
		}
		x.Missing = slices.DeleteFunc(attestation.Required(p), func(m string) bool { return x.Measurements[m] != "" })
		v.Platforms = append(v.Platforms, x)
	}
	return show(cmd, f.asJSON, v, v.print)
}

// launched is PCR 14 after a launcher that measures the enclave into it, and nothing before it: zeros extended once.
func launched(enclave envelope.Digest) string {
	var zero [sha256.Size]byte
	sum := sha256.Sum256(append(zero[:], enclave[:]...))
	return hex.EncodeToString(sum[:])
}

// tpm adds what a running operator's TPM shows, if it runs this binary.
func (f *measureFlags) tpm(x *platformMeasured, enclave envelope.Digest) {
	x.Measurements["pcr14"] = launched(enclave)
	o, err := openOperator(f.dir)
	if err != nil {
		return
	}
	m, err := readMeasurement(o.at(measurementFile))
	if err != nil || m.Platform != attestation.PlatformTPM || m.Enclave != enclave {
		return
	}
	maps.Copy(x.Measurements, m.Measurements)
	x.How = "pcr14 extended from zero; the others as the TPM of " + f.dir + " showed them"
}

// engine asks glovebox-run, which is built from the same source, what enclaves run modules with.
func engine(cmd *cobra.Command) (*localrun.About, error) {
	path, err := companion("glovebox-run")
	if err != nil {
		return nil, err
	}
	out, err := output(cmd.Context(), path, localrun.ModeAbout)
	var a localrun.About
	if err == nil {
		err = json.Unmarshal(out, &a)
	}
	if err == nil && (a.Engine.IsZero() || len(a.Runtimes) == 0) {
		err = errors.New("its answer is incomplete")
	}
	if err != nil {
		return nil, Errorf(KindError, "build all programs from one source: make build").because("glovebox-run: %w", err)
	}
	return &a, nil
}

// output runs a tool and returns what it prints, which is short.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	const most = 1 << 20
	c := exec.CommandContext(ctx, name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	c.WaitDelay = childPatience
	var out, words bytes.Buffer
	c.Stdout, c.Stderr = &out, &words
	err := c.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%w: %s", err, clip(strings.TrimSpace(words.String()), 300))
	case out.Len() > most:
		return nil, errors.New("it prints too much")
	}
	return out.Bytes(), nil
}

var (
	sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)
	sha384Hex = regexp.MustCompile(`^[0-9a-f]{96}$`)
)

// sgx asks EGo's tool, if a binary was given.
func (f *measureFlags) sgx(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	if f.ego == "" {
		return out, nil
	}
	b, err := tool(ctx, f.ego, "ego", "uniqueid", f.ego)
	if err != nil {
		return nil, err
	}
	lines := strings.Fields(string(b))
	if len(lines) == 0 || !sha256Hex.MatchString(lines[len(lines)-1]) {
		return nil, Errorf(KindError, "sign it first: ego sign").because("ego prints no MRENCLAVE of %s", f.ego)
	}
	out["mrenclave"] = lines[len(lines)-1]
	return out, nil
}

// nitro asks Amazon's tool, if an image was given.
func (f *measureFlags) nitro(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	if f.eif == "" {
		return out, nil
	}
	b, err := tool(ctx, f.eif, "nitro-cli", "describe-eif", "--eif-path", f.eif)
	if err != nil {
		return nil, err
	}
	var d struct{ Measurements map[string]string }
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, Errorf(KindError, "try it by hand: nitro-cli describe-eif --eif-path %s", f.eif).because("nitro-cli: %w", err)
	}
	for _, pcr := range attestation.Required(attestation.PlatformNitro) {
		v := strings.ToLower(d.Measurements[strings.ToUpper(pcr)])
		if !sha384Hex.MatchString(v) || strings.Trim(v, "0") == "" {
			return nil, Errorf(KindError, "try it by hand: nitro-cli describe-eif --eif-path %s", f.eif).because("nitro-cli prints no %s", strings.ToUpper(pcr))
		}
		out[pcr] = v
	}
	return out, nil
}

// tool runs a vendor's tool on a file.
func tool(ctx context.Context, file, name string, args ...string) ([]byte, error) {
	if st, err := os.Stat(file); err != nil || !st.Mode().IsRegular() {
		return nil, Errorf(KindUsage, "check the path").because("%s is not a file that is there", file)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, Errorf(KindError, "run it where it is installed: %s %s", name, strings.Join(args, " ")).because("the tool %s is not installed here", name)
	}
	b, err := output(ctx, path, args...)
	if err != nil && ctx.Err() == nil {
		return nil, Errorf(KindError, "try it by hand: %s %s", name, strings.Join(args, " ")).because("%s: %w", name, err)
	}
	return b, err
}

// howMeasured says where a platform's measurements come from.
func howMeasured(p attestation.Platform) string {
	const boot = "the launcher extends pcr14 from zero; the others are of firmware, boot loader and kernel: take them from evidence of the machine, with operator reference sign --from"
	switch p {
	case attestation.PlatformSGX:
		return "ego uniqueid, of the binary that ego sign signed: --ego FILE"
	case attestation.PlatformSNP:
		return "not computed here: sev-snp-measure does, from firmware (OVMF), kernel, initrd, command line, vCPUs; hostdata is what the host is started with"
	case attestation.PlatformTDX:
		return "not computed here: MRTD is the firmware's (TDVF), RTMR0 of its configuration, RTMR1 and 2 of boot loader, kernel, command line, MRCONFIGID is the host's choice; tdx-measure computes them, or replay the machine's own CCEL"
	case attestation.PlatformNitro:
		return "nitro-cli describe-eif, of the image: --eif FILE"
	case attestation.PlatformAzureSNP, attestation.PlatformAzureTDX:
		return boot + "; what the paravisor measures is Microsoft's"
	case attestation.PlatformTPM, attestation.PlatformGCE:
		return boot
	case attestation.PlatformOIDC:
		return "the digest of the container image, as its registry says it"
	case attestation.PlatformGPU:
		return "of NVIDIA's driver and VBIOS, not of this build: take them from evidence that was compared with NVIDIA's manifests"
	case attestation.PlatformSimulated:
		return "SHA-256 of the binary; proves nothing"
	}
	return ""
}

func (v *buildView) print(w io.Writer) {
	table(w, []string{"binary", v.Binary}, []string{"enclave", v.Enclave.String()}, []string{"engine", v.Engine.String()},
		[]string{"costs", v.Costs}, []string{"runtimes", strings.Join(v.Runtimes, ", ")})
	fmt.Fprintln(w)
	rows := [][]string{{"PLATFORM", "MEASUREMENT", "VALUE"}}
	for _, x := range v.Platforms {
		name := string(x.Platform)
		for _, m := range slices.Sorted(maps.Keys(x.Measurements)) {
			rows = append(rows, []string{name, m, x.Measurements[m]})
			name = ""
		}
		if len(x.Missing) > 0 {
			rows = append(rows, []string{name, strings.Join(x.Missing, " "), "not computed"})
			name = ""
		}
		rows = append(rows, []string{name, "", "(" + x.How + ")"})
	}
	table(w, rows...)
}
