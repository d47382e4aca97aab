// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// demoView is what `demo --json` prints.
type demoView struct {
	Accuracy  float64               `json:"accuracy"`
	Assurance attestation.Assurance `json:"assurance"`
	Verified  bool                  `json:"verified"`
	Witnessed bool                  `json:"witnessed"` // releases, commits and usage are under cosigned checkpoints
	Bundle    string                `json:"bundle"`    // path of what the auditor verified
	Model     string                `json:"model"`     // path of what the buyer got
	Usage     string                `json:"usage"`     // path of the usage attestation alone, a sigstore bundle
	Tampered  tampered              `json:"tampered"`
}

// tampered is how each altered byte was refused.
type tampered struct {
	Chunk string `json:"chunk"`
	Usage string `json:"usage"`
	Proof string `json:"proof"`
}

// demoSeed fixes the code's random source: everybody who runs the demo gets the same model, byte for byte.
const demoSeed = "0000000000000000000000000000000000000000000000000000000000000001"

// leastAccuracy is what the model must reach on images nobody trained on.
const leastAccuracy = 0.90

func newDemo() *cobra.Command {
	var dir, platform string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Run the whole story on this machine: seal, train, prove, tamper", Args: noArgs,
		Long: `Demo builds the binaries, starts an operator, a creator and a buyer as processes of their own, and types the commands they
would type. The data is MNIST, 5,000 images to train on and 500 to check with, inside a Go module of 26 MB that is
downloaded once. It needs the source tree, and the go command in PATH.`,
		Example: "  glovebox demo --dir demo",
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := newDemonstration(cmd, dir, platform)
			if err != nil {
				return err
			}
			defer d.stop()
			runtime.LockOSThread() // what this thread starts ends with it
			v, err := d.run(cmd.Context())
			if err != nil {
				return d.explain(err)
			}
			return show(cmd, asJSON, v, func(w io.Writer) { d.summary(w, v) })
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory to make and leave everything in (default: a temporary one, left too)")
	cmd.Flags().StringVar(&platform, "platform", platformAuto, "tpm (with swtpm), simulated, or auto: tpm where swtpm is installed")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// demonstration is one run of the story.
type demonstration struct {
	root     string // source tree
	dir      string
	platform attestation.Platform
	words    io.Writer
	children []*child
	started  time.Time

	hostURL, creatorURL, buyerURL string
	trainCSV, testCSV             string
	manifest                      envelope.Digest
	witness                       *witnessView // the creator's broker
}

func newDemonstration(cmd *cobra.Command, dir, platform string) (*demonstration, error) {
	d := &demonstration{words: cmd.ErrOrStderr(), started: time.Now()}
	var err error
	if d.root, err = sourceTree(); err != nil {
		return nil, err
	}
	if d.platform, err = demoPlatform(platform); err != nil {
		return nil, err
	}
	if d.dir, err = demoDir(dir); err != nil {
		return nil, err
	}
	urls, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	d.hostURL, d.creatorURL, d.buyerURL = urls[0], urls[1], urls[2]
	return d, nil
}

func demoPlatform(flag string) (attestation.Platform, error) {
	missing := swtpm.Available()
	switch {
	case flag == platformAuto && missing == nil:
		return attestation.PlatformTPM, nil
	case flag == platformAuto:
		return attestation.PlatformSimulated, nil
	case flag == string(attestation.PlatformTPM) && missing != nil:
		return "", Errorf(KindError, "apt-get install swtpm, or use --platform simulated").from(missing)
	case flag == string(attestation.PlatformTPM), flag == string(attestation.PlatformSimulated):
		return attestation.Platform(flag), nil
	}
	return "", Errorf(KindUsage, "use --platform tpm, simulated or auto").because("unknown platform %q", flag)
}

// demoDir makes the directory; one that holds something is never touched.
func demoDir(dir string) (string, error) {
	if dir == "" {
		return os.MkdirTemp("", "glovebox-demo-")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return "", Errorf(KindUsage, "choose another --dir, or remove it").because("%s is not empty", dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", Errorf(KindUsage, "choose another --dir").from(err)
	}
	return dir, os.MkdirAll(dir, 0o700)
}

// freePorts finds n loopback ports that nobody listens on.
func freePorts(n int) ([]string, error) {
	var urls []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() //nolint:errcheck // all stay taken until all are found
		urls = append(urls, "http://"+l.Addr().String())
	}
	return urls, nil
}

func (d *demonstration) at(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

// chapter announces what comes.
func (d *demonstration) chapter(format string, args ...any) {
	fmt.Fprintf(d.words, "\n== %s\n", fmt.Sprintf(format, args...))
}

// stop ends the daemons, the last first.
func (d *demonstration) stop() {
	for i := len(d.children) - 1; i >= 0; i-- {
		d.children[i].stop()
	}
	d.children = nil
}

func (d *demonstration) explain(err error) error {
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted; every process of the demo is stopped")
	}
	if e := classify(err); e.Hint == "" {
		return Errorf(e.Kind, "everything so far is in %s; the daemons' words are in its .log files", d.dir).from(err)
	}
	return err
}

// run is the story.
func (d *demonstration) run(ctx context.Context) (*demoView, error) {
	for _, step := range []func(context.Context) error{d.build, d.fetchData, d.operator, d.creator, d.buyer} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	v := &demoView{}
	for _, step := range []func(context.Context, *demoView) error{d.train, d.evaluate, d.auditor, d.tamper} {
		if err := step(ctx, v); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// operator starts host, enclave, log and, where there is one, the TPM. The log's witness must be named first: the
// creator's broker will be it.
func (d *demonstration) operator(ctx context.Context) error {
	d.chapter("The operator starts host and enclave, measured by %s", map[attestation.Platform]string{
		attestation.PlatformTPM:       "swtpm, a TPM in software",
		attestation.PlatformSimulated: "NOTHING: attestation is simulated (apt-get install swtpm for a software TPM)",
	}[d.platform])
	if err := d.glovebox(ctx, nil, "creator", "init", "--dir", d.at("creator"), "--address", d.creatorURL, "--host", d.hostURL); err != nil {
		return err
	}
	if err := d.glovebox(ctx, &d.witness, "creator", "witness", "--dir", d.at("creator"), "--json"); err != nil {
		return err
	}
	args := []string{
		"operator", "up", "--dir", d.at("operator"), "--platform", string(d.platform), "--listen", strings.TrimPrefix(d.hostURL, "http://"),
		"--witness", d.witness.URL + "=" + d.witness.Key,
	}
	d.echo("glovebox", args)
	c, err := startLogged("glovebox operator up", d.at("operator.log"), d.bin("glovebox"), args...)
	if err != nil {
		return err
	}
	d.children = append(d.children, c)
	return c.ready(ctx, 2*hostStart, func(context.Context) bool {
		_, err := os.Stat(d.at("operator", measurementFile))
		return err == nil
	})
}

// creator seals the images, publishes them and starts her broker, which witnesses the operator's log and commits only
// to what is in it.
func (d *demonstration) creator(ctx context.Context) error {
	d.chapter("The creator seals 5,000 images and publishes the ciphertext")
	dir := d.at("creator")
	root := d.at("operator", trustedRootFile)
	for _, args := range [][]string{
		{"trust", d.at("operator", measurementFile), "--dir", dir},
		{"witness", "--log", root, "--dir", dir},
		{"log", "--log", root, "--witness", d.witness.Key, "--dir", dir},
	} {
		if err := d.glovebox(ctx, nil, append([]string{"creator"}, args...)...); err != nil {
			return err
		}
	}
	var packed struct{ Packages []packageView }
	err := d.glovebox(ctx, &packed, "creator", "pack", d.trainCSV, "--dir", dir, "--name", "mnist", "--purpose", "research",
		"--price-per-use", "5", "--test", "--description", "5,000 handwritten digits of MNIST", "--json")
	if err != nil {
		return err
	}
	if len(packed.Packages) != 1 {
		return fmt.Errorf("pack made %d packages", len(packed.Packages))
	}
	d.manifest = packed.Packages[0].Manifest
	if err := d.glovebox(ctx, nil, "creator", "publish", "mnist", "--dir", dir); err != nil {
		return err
	}
	args := []string{"--config", filepath.Join(dir, "broker.json")}
	d.echo("glovebox-broker", args)
	c, err := startLogged("glovebox-broker", d.at("creator.log"), d.bin("glovebox-broker"), args...)
	if err != nil {
		return err
	}
	d.children = append(d.children, c)
	return c.ready(ctx, brokerStart, func(ctx context.Context) bool { return healthy(ctx, d.creatorURL) })
}

// buyer asks what she may do, before anything is spent.
func (d *demonstration) buyer(ctx context.Context) error {
	d.chapter("The buyer asks what she may do and what it costs")
	dir := d.at("buyer")
	if err := d.glovebox(ctx, nil, "buyer", "init", "--dir", dir, "--address", d.buyerURL, "--host", d.hostURL); err != nil {
		return err
	}
	if err := d.glovebox(ctx, nil, "buyer", "trust", d.at("operator", measurementFile), "--dir", dir); err != nil {
		return err
	}
	err := d.glovebox(ctx, nil, "buyer", "log", "--log", d.at("operator", trustedRootFile), "--witness", d.witness.Key, "--dir", dir)
	if err != nil {
		return err
	}
	return d.glovebox(ctx, nil, append([]string{"buyer", "plan"}, d.jobArgs()...)...)
}

// jobArgs are the flags that plan and submit share.
func (d *demonstration) jobArgs() []string {
	return []string{
		"--dir", d.at("buyer"), "--code", d.at("guest", mainModule), "--data", d.manifest.String(), "--purpose", "research", "--test",
		"--output", "model.safetensors:model", "--output", "metrics.json:metrics", "--param", "DATASET=mnist", "--param", "EPOCHS=8",
		"--spend-cap", "5", "--memory", "512MiB", "--wall", "2m", "--seed", demoSeed,
	}
}

// train runs the job and opens its result.
func (d *demonstration) train(ctx context.Context, v *demoView) error {
	d.chapter("The buyer sends her sealed training code to the data")
	var j jobView
	if err := d.glovebox(ctx, &j, append(append([]string{"buyer", "submit"}, d.jobArgs()...), "--json")...); err != nil {
		return err
	}
	v.Bundle = j.Bundle
	var o openView
	if err := d.glovebox(ctx, &o, "buyer", "open", j.Job, "--dir", d.at("buyer"), "--out", d.at("model"), "--json"); err != nil {
		return err
	}
	v.Model = d.at("model", "model.safetensors")
	return nil
}

// auditor verifies with nothing but public keys.
func (d *demonstration) auditor(ctx context.Context, v *demoView) error {
	d.chapter("The auditor verifies what was used, offline")
	for _, role := range []string{"creator", "buyer"} {
		if err := d.save(ctx, d.at(role+"-card.json"), role, "card", "--dir", d.at(role), "--json"); err != nil {
			return err
		}
	}
	least := map[attestation.Platform]attestation.Assurance{
		attestation.PlatformTPM: attestation.AssuranceSoftwareTPM, attestation.PlatformSimulated: attestation.AssuranceSimulated,
	}[d.platform]
	err := d.save(ctx, d.at("trust.json"), "auditor", "trust", d.at("creator-card.json"), d.at("buyer-card.json"),
		"--log", d.at("operator", trustedRootFile), "--min-assurance", string(least), "--witness", d.witness.Key)
	if err != nil {
		return err
	}
	verdict, err := d.verdict(ctx, v.Bundle)
	if err != nil {
		return err
	}
	if !verdict.Verified {
		return Errorf(KindVerify, "the findings are above").because("the auditor refused the bundle")
	}
	v.Verified, v.Witnessed, v.Assurance = true, verdict.Witnessed, verdict.Assurance
	return d.keepUsage(v)
}

// summary is the table at the end.
func (d *demonstration) summary(w io.Writer, v *demoView) {
	fmt.Fprintln(w)
	table(w,
		[]string{"model", fmt.Sprintf("right on %.1f %% of 500 images it never saw", 100*v.Accuracy), v.Model},
		[]string{"usage attestation", "verified offline", v.Bundle},
		[]string{"log", "cosigned by the creator's broker, its witness", d.witness.URL},
		[]string{"for cosign", "the attestation alone, a sigstore bundle", v.Usage},
		[]string{"assurance", string(v.Assurance), "what it is worth: docs/limitations.md"},
		[]string{"byte in a chunk", "refused", v.Tampered.Chunk},
		[]string{"byte in the usage", "refused", v.Tampered.Usage},
		[]string{"byte in the log proof", "refused", v.Tampered.Proof},
		[]string{"everything", fmt.Sprintf("%.0f s", time.Since(d.started).Seconds()), d.dir},
	)
}
