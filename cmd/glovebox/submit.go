// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// codeFlags are the buyer's terms for her own code: they bind the creators' side of nothing, so they are wide, except for
// where the code may be released.
type codeFlags struct {
	purpose string
	test    bool
}

func (c *codeFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.purpose, "purpose", "research", "what the data is used for; every dataset's terms must allow it")
	cmd.Flags().BoolVar(&c.test, "test", false, "not real code: may be released to an enclave without hardware")
}

const (
	mainModule = "main.wasm"
	maxModule  = 256 << 20
)

var wasmMagic = []byte("\x00asm\x01\x00\x00\x00")

// sealCode packs a .wasm file or a directory with main.wasm. Code that was sealed before under the same terms is used
// again.
func (o *owner) sealCode(cmd *cobra.Command, path string, c codeFlags) (*config.Package, error) {
	files, closer, err := openCode(path)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	if err := admissible(cmd, path); err != nil {
		return nil, err
	}
	return o.sealFiles(cmd, path, files, c)
}

// sealFiles packs the files of a code package.
func (o *owner) sealFiles(cmd *cobra.Command, path string, files fs.FS, c codeFlags) (*config.Package, error) {
	sum, err := digestOf(files, c, o.Address)
	if err != nil {
		return nil, err
	}
	index := filepath.Join(o.dir, "code", sum.Hex())
	if p := o.sealedBefore(index); p != nil {
		return p, nil
	}
	m := dataset.Manifest{
		Kind: dataset.KindCode, Name: nameOf(path), Format: dataset.FormatFiles, Test: c.test,
		Terms: dataset.Terms{
			Modes: dataset.Modes(), Purposes: []string{c.purpose}, Outputs: job.OutputClasses(),
			MaxOutputBytes: job.MaxOutput, MaxEpochs: job.MaxEpochs, MaxUses: 1_000_000, Logs: grant.LogsSealed, Allowance: 1 << 16,
			LeaseSeconds: int64((24 * time.Hour).Seconds()), BrokerAway: "wait", Price: dataset.Price{Currency: "EUR"},
			NotAfter: time.Now().Add(365 * 24 * time.Hour).Unix(), MinAssurance: string(attestation.AssuranceTPM),
		}.ForAnyone(),
	}
	if c.test {
		m.Terms.MinAssurance = string(attestation.AssuranceSimulated)
	}
	p, err := o.sealSource(cmd.Context(), dataset.PackConfig{Manifest: m, Files: files}, nil, nil)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(index), 0o700); err != nil {
		return nil, err
	}
	if err := config.WriteFile(index, []byte(p.ID.String())); err != nil {
		return nil, err
	}
	return &config.Package{ID: p.ID, Manifest: p.Manifest, Signed: p.Signed}, nil
}

// sealedBefore is the package that an index entry names, if it is still there and its offer still stands.
func (o *owner) sealedBefore(index string) *config.Package {
	b, err := os.ReadFile(index)
	if err != nil {
		return nil
	}
	id, err := envelope.ParseDigest(string(b))
	if err != nil {
		return nil
	}
	p, err := o.LoadPackage(id)
	if err != nil || p.Manifest.Terms.NotAfter < time.Now().Add(24*time.Hour).Unix() {
		return nil
	}
	return p
}

// openCode shows a .wasm file as the main module of a package, or a directory that has one.
func openCode(path string) (fs.FS, io.Closer, error) {
	bad := func(err error) error {
		return Errorf(KindUsage, "make one with: GOOS=wasip1 GOARCH=wasm go build -o main.wasm .").from(err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, nil, bad(err)
	}
	dir, name := filepath.Dir(path), filepath.Base(path)
	if st.IsDir() {
		dir, name = path, mainModule
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, bad(err)
	}
	if err := checkModule(root, name); err != nil {
		return nil, nil, errors.Join(bad(err), root.Close())
	}
	if st.IsDir() {
		return root.FS(), root, nil
	}
	return module{root.FS(), name, mainModule}, root, nil
}

// moduleOf is the SHA-256 of the main module.
func moduleOf(path string) (envelope.Digest, error) {
	files, closer, err := openCode(path)
	if err != nil {
		return envelope.Digest{}, err
	}
	defer closer.Close()
	b, err := fs.ReadFile(files, mainModule)
	return envelope.Sum(b), err
}

func checkModule(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("no %s: %w", mainModule, err)
	}
	defer f.Close()
	head := make([]byte, len(wasmMagic))
	if _, err := io.ReadFull(f, head); err != nil || !bytes.Equal(head, wasmMagic) {
		return fmt.Errorf("%s is not a WebAssembly module", name)
	}
	if st, err := f.Stat(); err != nil || st.Size() > maxModule {
		return fmt.Errorf("%s has more than %d bytes", name, maxModule)
	}
	return nil
}

// module is a file system with one file of another, under another name.
type module struct {
	fs.FS
	name, as string
}

// Open implements fs.FS.
func (m module) Open(name string) (fs.File, error) {
	switch name {
	case ".":
		return m.FS.Open(".")
	case m.as:
		return m.FS.Open(m.name)
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// ReadDir implements fs.ReadDirFS.
func (m module) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	st, err := fs.Stat(m.FS, m.name)
	if err != nil {
		return nil, err
	}
	return []fs.DirEntry{renamed{fs.FileInfoToDirEntry(st), m.as}}, nil
}

type renamed struct {
	fs.DirEntry
	as string
}

// Name implements fs.DirEntry.
func (r renamed) Name() string { return r.as }

// digestOf identifies code with the terms it is sealed under: names, lengths and contents.
func digestOf(files fs.FS, c codeFlags, address string) (envelope.Digest, error) {
	h := sha256.New()
	field := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	for _, s := range []string{"glovebox.dev/code-index/v2", address, c.purpose, fmt.Sprint(c.test)} {
		field([]byte(s))
	}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		field([]byte(path))
		field(b)
		return nil
	})
	return envelope.Digest(h.Sum(nil)), err
}

// jobFlags are a job on the command line.
type jobFlags struct {
	dir, host, code          string
	data, outputs, params    []string
	mode                     string
	epochs                   int
	memory, maxOutput, spend string
	wall, valid              time.Duration
	fuel                     int64
	seed                     string
	use                      job.Use
	receipts                 []string
	codeFlags
	private privateFlags
}

func (f *jobFlags) register(cmd *cobra.Command) {
	dirFlag(cmd, &f.dir, config.Buyer)
	hostFlag(cmd, &f.host)
	fl := cmd.Flags()
	fl.StringVar(&f.code, "code", "", "a .wasm file, or a directory with main.wasm (required, but not with --queries)")
	fl.StringArrayVar(&f.data, "data", nil, "manifest of a dataset, as \"creator ls\" prints it; repeat in the order the code reads them (required)")
	f.registerRun(cmd)
	fl.StringVar(&f.mode, "mode", grant.ModeRaw, "privacy mode")
	fl.DurationVar(&f.valid, "valid", 24*time.Hour, "for how long the job may be started")
	fl.StringVar(&f.spend, "spend-cap", "0", "most that the job may cost, in the datasets' currency")
	fl.BoolVar(&f.use.Commercial, "commercial", false, "declare that the use is commercial")
	fl.BoolVar(&f.use.Derive, "derive", false, "declare that the result will be changed, built upon or passed on")
	fl.StringVar(&f.use.Territory, "territory", "*", "declare where the result will be used, as two letters (ISO 3166-1); * is anywhere")
	fl.StringArrayVar(&f.receipts, "receipt", nil, "file of a licence receipt from a marketplace; repeat for several")
	f.codeFlags.register(cmd)
	f.private.register(cmd)
}

// registerRun adds the flags that say how the code runs, wherever that is.
func (f *jobFlags) registerRun(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringArrayVar(&f.outputs, "output", []string{"model.safetensors:model"}, "file under /out that may leave, as NAME:CLASS[:BYTES]; repeat for several")
	fl.StringArrayVar(&f.params, "param", nil, "environment variable for the code, as NAME=VALUE; repeat for several")
	fl.IntVar(&f.epochs, "epochs", 1, "passes over the data, at most")
	fl.StringVar(&f.memory, "memory", "1GiB", "memory of the code")
	fl.StringVar(&f.maxOutput, "max-output", "16MiB", "all outputs together")
	fl.DurationVar(&f.wall, "wall", 10*time.Minute, "longest run")
	fl.Int64Var(&f.fuel, "fuel", 0, "most units of fuel, each about one simple instruction ; 0 is 1e10 for each second of --wall")
	fl.StringVar(&f.seed, "seed", "", "64 hex digits that fix the code's random source (default: drawn)")
}

// fuelPerSecond is what a fast core uses up: where nobody says otherwise, fuel and time end a run at about the same moment.
const fuelPerSecond = 10_000_000_000

// draft is a signed job that nobody has seen yet.
type draft struct {
	owner    *owner
	host     *hostClient
	code     config.Package
	module   envelope.Digest // of main.wasm, as the usage attestation will name it; of queries, where no code runs
	datasets []published
	job      *job.Job
	signed   []byte
	id       envelope.Digest
}

type published struct {
	id     envelope.Digest
	signed []byte
	m      *dataset.Manifest
}

// draft seals the code, looks up the data and signs the job.
func (f *jobFlags) draft(cmd *cobra.Command) (*draft, error) {
	if err := f.complete(cmd); err != nil {
		return nil, err
	}
	o, err := openOwner(f.dir, config.Buyer)
	if err != nil {
		return nil, err
	}
	d := &draft{owner: o}
	if d.host, err = o.host(f.host); err != nil {
		return nil, err
	}
	if err := d.find(cmd.Context(), f.data); err != nil {
		return nil, err
	}
	if d.job, err = f.job(); err != nil {
		return nil, err
	}
	if d.job.Recipient, err = o.recipient(); err != nil {
		return nil, err
	}
	if err := f.declare(d); err != nil {
		return nil, err
	}
	if err := f.seal(cmd, d); err != nil {
		return nil, err
	}
	for _, p := range d.datasets {
		d.job.Datasets = append(d.job.Datasets, p.id)
	}
	key, err := o.signer(o.layout.BuyerKey(), envelope.RoleBuyer)
	if err != nil {
		return nil, err
	}
	d.job.Buyer = key.Public()
	if d.signed, d.id, err = job.Sign(d.job, key); err != nil {
		return nil, usageError(err)
	}
	return d, nil
}

// complete refuses flags of which something is missing.
func (f *jobFlags) complete(cmd *cobra.Command) error {
	if err := f.private.fits(cmd, f); err != nil {
		return err
	}
	switch {
	case len(f.data) == 0 || f.code == "" && f.mode != dataset.ModeRelease:
		return Errorf(KindUsage, "for example: --code main.wasm --data MANIFEST").because("a job needs --code and --data")
	case f.code != "" && f.mode == dataset.ModeRelease:
		return Errorf(KindUsage, "leave --code out, and ask with --queries FILE").because("no code runs in mode %s", f.mode)
	}
	return nil
}

// seal seals what runs, and names it in the job.
func (f *jobFlags) seal(cmd *cobra.Command, d *draft) error {
	seal := d.owner.sealCode
	path, digest := f.code, moduleOf
	if f.mode == dataset.ModeRelease {
		path, seal, digest = f.private.queries, d.owner.sealQueries, queriesOf
	}
	code, err := seal(cmd, path, f.codeFlags)
	if err != nil {
		return err
	}
	d.code, d.job.Code = *code, code.ID
	d.module, err = digest(path)
	return err
}

// find fetches the datasets' manifests and verifies them.
func (d *draft) find(ctx context.Context, data []string) error {
	for _, s := range data {
		id, err := d.host.resolve(ctx, s)
		if err != nil {
			return err
		}
		signed, m, err := d.host.manifest(ctx, id)
		if err != nil {
			return err
		}
		if m.Kind != dataset.KindDataset {
			return Errorf(KindUsage, "give the manifest of a dataset").because("%s is a package of kind %s", id, m.Kind)
		}
		d.datasets = append(d.datasets, published{id, signed, m})
	}
	return nil
}

// job is everything of a job but its packages, its recipient and its signature.
func (f *jobFlags) job() (*job.Job, error) {
	j := &job.Job{
		ID: envelope.NewNonce(), Transforms: []envelope.Digest{}, Purpose: f.purpose, Use: f.use, Mode: f.mode, Runtime: f.private.runtimeOf(f.mode),
		Epochs: f.epochs, Seed: envelope.NewNonce(), NotAfter: time.Now().Add(f.valid).Unix(), Params: map[string]string{},
	}
	var err error
	if j.Receipts, err = readReceipts(f.receipts); err != nil {
		return nil, err
	}
	if j.Limits.MemoryBytes, err = parseSize(f.memory); err != nil {
		return nil, err
	}
	if j.Limits.OutputBytes, err = parseSize(f.maxOutput); err != nil {
		return nil, err
	}
	if f.wall < time.Second || f.wall%time.Second != 0 {
		return nil, Errorf(KindUsage, "write it like --wall 90s or --wall 10m").because("--wall %s: want whole seconds, at least one", f.wall)
	}
	j.Limits.WallSeconds, j.Limits.Fuel = int64(f.wall/time.Second), f.fuel
	if f.fuel == 0 {
		j.Limits.Fuel = fuelPerSecond * j.Limits.WallSeconds
	}
	if j.SpendCap, err = parseMoney(f.spend); err != nil {
		return nil, err
	}
	if f.seed != "" {
		if err := j.Seed.UnmarshalText([]byte(f.seed)); err != nil {
			return nil, Errorf(KindUsage, "give 64 lower-case hex digits, not all of them zero").because("--seed %q is no seed", f.seed)
		}
	}
	if j.Outputs, err = parseOutputs(f.outputs, j.Limits.OutputBytes); err != nil {
		return nil, err
	}
	for _, p := range f.params {
		k, v, ok := strings.Cut(p, "=")
		if _, twice := j.Params[k]; !ok || twice {
			return nil, Errorf(KindUsage, "write it like --param EPOCHS=8").because("--param %q", p)
		}
		j.Params[k] = v
	}
	return j, nil
}

func parseOutputs(flags []string, most int64) ([]job.Output, error) {
	var out []job.Output
	for _, s := range flags {
		p := strings.Split(s, ":")
		if len(p) < 2 || len(p) > 3 {
			return nil, Errorf(KindUsage, "write it like --output model.safetensors:model or --output model.safetensors:model:4MiB").because("--output %q", s)
		}
		o := job.Output{Name: p[0], Class: p[1], MaxBytes: most}
		if !slices.Contains(job.OutputClasses(), o.Class) {
			return nil, Errorf(KindUsage, "use %s", strings.Join(job.OutputClasses(), ", ")).because("output %s has unknown class %q", o.Name, o.Class)
		}
		if len(p) == 3 {
			var err error
			if o.MaxBytes, err = parseSize(p[2]); err != nil {
				return nil, err
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// identities are the age identities that open the buyer's results.
func (o *owner) identities() ([]age.Identity, error) {
	b, err := envelope.ReadSecretFile(o.layout.ResultIdentity(), maxIdentity)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	return age.ParseIdentities(bytes.NewReader(b))
}

// recipient is whom results are encrypted to.
func (o *owner) recipient() (string, error) {
	ids, err := o.identities()
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		switch id := id.(type) {
		case *age.X25519Identity:
			return id.Recipient().String(), nil
		case *age.HybridIdentity:
			return id.Recipient().String(), nil
		}
	}
	return "", fmt.Errorf("%s holds no usable identity", o.layout.ResultIdentity())
}

// nonceOf reads the salt of a result.
func nonceOf(b []byte) (n envelope.Nonce, err error) {
	if len(b) != hex.EncodedLen(len(n)) {
		return n, errors.New("the salt has another length")
	}
	return n, n.UnmarshalText(b)
}
