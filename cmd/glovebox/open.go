// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// openView is a result that was verified and decrypted.
type openView struct {
	Job       string                `json:"job"`
	Out       string                `json:"out"`
	Files     []string              `json:"files"`
	Usage     *envelope.Digest      `json:"usage"`
	Assurance attestation.Assurance `json:"assurance"`
	Execution *usage.Execution      `json:"execution"` // null where no code ran
}

func newOpen() *cobra.Command {
	var dir, out, result, bundle, trust string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "open JOB", Short: "Verify the bundle, then decrypt the result", Args: exactArgs(1, "one job, by digest"),
		Long: `Open refuses a file that is not the verified subject of the job's usage attestation. It believes the buyer's own reference
values, her own key, the owners of the data she asked for, and the log she pinned; --trust replaces that. Files go to a new
directory; nothing is overwritten, and nothing is left there when a check fails.`,
		Example: "  glovebox buyer open JOB --dir bob --out model",
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := openOwner(dir, config.Buyer)
			if err != nil {
				return err
			}
			id, err := o.findJob(args[0])
			if err != nil {
				return err
			}
			if result == "" {
				result = filepath.Join(o.jobDir(id), resultFile)
			}
			if bundle == "" {
				bundle = filepath.Join(o.jobDir(id), bundleFile)
			}
			v, err := o.verifyJob(cmd, id, bundle, trust)
			if err != nil {
				return err
			}
			files, err := o.open(v, result, out)
			if err != nil {
				return err
			}
			view := openView{id.String(), out, files, v.Usage, v.Assurance, v.Statement.Execution}
			return show(cmd, asJSON, view, func(w io.Writer) {
				fmt.Fprintf(w, "verified, assurance %s, %s\n", v.Assurance, ran(v.Statement))
				for _, f := range files {
					fmt.Fprintln(w, filepath.Join(out, f))
				}
			})
		},
	}
	f := cmd.Flags()
	dirFlag(cmd, &dir, config.Buyer)
	f.StringVar(&out, "out", "result", "directory to make")
	f.StringVar(&result, "result", "", "age file (default: the one fetched)")
	f.StringVar(&bundle, "bundle", "", "bundle (default: the one fetched)")
	f.StringVar(&trust, "trust", "", "trust file (default: what the buyer signed and pinned herself)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// verifyJob verifies the bundle of the buyer's own job.
func (o *owner) verifyJob(cmd *cobra.Command, id envelope.Digest, bundle, trust string) (*usage.Verdict, error) {
	t, err := o.trust(cmd, id, bundle, trust)
	if err != nil {
		return nil, err
	}
	b, err := readBounded(bundle, usage.MaxBundle)
	if err != nil {
		return nil, Errorf(KindUsage, "fetch it first: glovebox buyer fetch %s", short(id.String())).from(err)
	}
	v, err := audit(cmd.Context(), b, t)
	if err != nil {
		return nil, err
	}
	if !v.OK() {
		printVerdict(cmd.ErrOrStderr(), v)
		return nil, refuse(v)
	}
	if v.Statement.Job != id {
		return nil, Errorf(KindVerify, "give the bundle of this job").because("the bundle is about job %s", v.Statement.Job)
	}
	return v, nil
}

// trust is the given file, or what the buyer decided herself: her reference values and key, the owners of exactly the
// manifests that her job pins, and the log that she pinned.
func (o *owner) trust(cmd *cobra.Command, id envelope.Digest, bundle, path string) (*usage.Trust, error) {
	if path != "" {
		return loadTrust(path)
	}
	me, err := o.identity()
	if err != nil {
		return nil, err
	}
	if len(me.Log) == 0 || len(me.Reference) == 0 {
		return nil, Errorf(KindUsage, "pin the operator's log and enclave with: glovebox buyer trust MEASUREMENT --dir %s", o.dir).because("%s trusts no enclave and no log yet", o.dir)
	}
	j, err := o.signedJob(id)
	if err != nil {
		return nil, err
	}
	owners, err := pinnedOwners(bundle, append([]envelope.Digest{j.Predicate.Code}, j.Predicate.Datasets...))
	if err != nil {
		return nil, err
	}
	t := &usage.Trust{
		Log: me.Log, Owners: owners, SimulatedRoot: o.SimulatedRoot, MinAssurance: attestation.AssuranceSimulated,
		References: []usage.TrustedReference{{Key: me.ReferenceKey, Signed: me.Reference}},
	}
	b, err := usage.WriteTrust(t)
	if err != nil {
		return nil, err
	}
	return usage.ParseTrust(b)
}

// pinnedOwners reads the owners out of those manifests in a bundle that the job pins by digest. A digest the buyer signed
// fixes the owner, so this believes nothing that she did not choose.
func pinnedOwners(bundle string, pinned []envelope.Digest) ([]envelope.PublicKey, error) {
	b, err := readBounded(bundle, usage.MaxBundle)
	if err != nil {
		return nil, Errorf(KindUsage, "fetch it first: glovebox buyer fetch JOB").from(err)
	}
	parsed, err := usage.ParseBundle(b)
	if err != nil {
		return nil, Errorf(KindVerify, "fetch it again; if it stays so, the host altered it").from(err)
	}
	var out []envelope.PublicKey
	for _, raw := range parsed.Manifests {
		owner, id, err := ownerOf(raw)
		if err != nil {
			return nil, Errorf(KindVerify, "fetch it again; if it stays so, the host altered it").from(err)
		}
		for _, d := range pinned {
			if d == id && !contains(out, owner) {
				out = append(out, owner)
			}
		}
	}
	return out, nil
}

func contains(keys []envelope.PublicKey, k envelope.PublicKey) bool {
	for _, have := range keys {
		if have.Equal(k) {
			return true
		}
	}
	return false
}

// open checks that path is the verified result, decrypts it beside out, checks the commitment, and then moves it there.
func (o *owner) open(v *usage.Verdict, path, out string) ([]string, error) {
	if _, err := os.Lstat(out); !errors.Is(err, fs.ErrNotExist) {
		return nil, Errorf(KindUsage, "choose another --out").because("%s is there already, and nothing is overwritten", out)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, Errorf(KindUsage, "fetch it first: glovebox buyer fetch JOB").from(err)
	}
	defer f.Close()
	if err := usage.VerifyResult(v, f); err != nil {
		return nil, Errorf(KindVerify, "it was not decrypted; fetch it again").from(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(out)), ".glovebox-open-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // renamed away on success
	files, err := o.decrypt(v, f, tmp)
	if err != nil {
		return nil, err
	}
	return files, os.Rename(tmp, out)
}

// decrypt extracts the archive into dir and checks it against the statement. The caller discards dir on error.
func (o *owner) decrypt(v *usage.Verdict, f io.Reader, dir string) ([]string, error) {
	ids, err := o.identities()
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(f, ids...)
	if err != nil {
		return nil, Errorf(KindError, "is this the directory of the buyer who submitted the job?").from(err)
	}
	bad := func(format string, a ...any) error {
		return Errorf(KindVerify, "report it: an attested enclave does not write such a result").because("result: "+format, a...)
	}
	x := &extraction{dir: dir, limits: map[string]int64{usage.SaltName: maxSalt, logFileName: maxLog}}
	for _, o := range v.Statement.Outputs {
		x.limits[o.Name] = o.Bytes
	}
	if err := x.all(tar.NewReader(plain)); err != nil {
		return nil, bad("%w", err)
	}
	salt, err := nonceOf(x.salt)
	if err != nil {
		return nil, bad("%w", err)
	}
	if v.Statement.Commitment == nil || usage.Commitment(salt, x.files) != *v.Statement.Commitment {
		return nil, bad("the files are not those the usage attestation commits to")
	}
	return x.names(v.Statement.Outputs, bad)
}

const (
	logFileName = "log.txt"
	maxSalt     = 1 << 10
	maxLog      = 64 << 20
)

var entryName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// extraction writes an archive's files, each once, none longer than stated, none outside dir.
type extraction struct {
	dir    string
	limits map[string]int64
	files  []usage.File
	sizes  map[string]int64
	salt   []byte
}

func (x *extraction) all(t *tar.Reader) error {
	x.sizes = map[string]int64{}
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		limit, known := x.limits[h.Name]
		_, twice := x.sizes[h.Name]
		if h.Typeflag != tar.TypeReg || !entryName.MatchString(h.Name) || !known || twice || h.Size > limit {
			return fmt.Errorf("unexpected entry %q of %d bytes", h.Name, h.Size)
		}
		x.sizes[h.Name] = h.Size
		if h.Name == usage.SaltName {
			if x.salt, err = io.ReadAll(t); err != nil {
				return err
			}
			continue
		}
		if err := x.file(h.Name, t); err != nil {
			return err
		}
	}
}

func (x *extraction) file(name string, r io.Reader) error {
	f, err := os.OpenFile(filepath.Join(x.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	_, cerr := io.Copy(io.MultiWriter(f, h), r)
	x.files = append(x.files, usage.File{Name: name, Digest: envelope.Digest(h.Sum(nil))})
	return errors.Join(cerr, f.Sync(), f.Close())
}

// names lists what was extracted, after comparing it with what the statement declares.
func (x *extraction) names(declared []usage.Output, bad func(string, ...any) error) ([]string, error) {
	var out []string
	for _, o := range declared {
		if n, ok := x.sizes[o.Name]; !ok || n != o.Bytes {
			return nil, bad("%s has %d bytes, the usage attestation says %d", o.Name, n, o.Bytes)
		}
		out = append(out, o.Name)
	}
	if _, ok := x.sizes[logFileName]; ok {
		out = append(out, logFileName)
	}
	return out, nil
}

// ownerOf verifies a manifest and names its owner and digest.
func ownerOf(raw json.RawMessage) (envelope.PublicKey, envelope.Digest, error) {
	v, err := dataset.Verify(raw)
	if err != nil {
		return envelope.PublicKey{}, envelope.Digest{}, err
	}
	return v.Predicate.Owner, v.ID, nil
}
