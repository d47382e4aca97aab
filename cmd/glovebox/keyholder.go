// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const maxKeyholder = 64 << 10

// ownerKeyholder is what wraps the owner's data keys: her key file, or a keyholder that glovebox-broker reaches for us.
type ownerKeyholder interface {
	keyholder.Keyholder
	keyholder.Retirer
}

// keyholder opens the directory's keyholder. close ends what was started for it.
func (o *owner) keyholder(ctx context.Context) (k ownerKeyholder, closeIt func(), err error) {
	if o.KeyholderKind() != config.KeyholderFile {
		return o.remoteKeyholder(ctx)
	}
	f, err := o.OpenFileKeyholder(func() (keyholder.Unlock, error) { return keyholder.PassphrasePrompt(false) })
	if err != nil {
		return nil, nil, err
	}
	return f, func() {}, nil
}

// remoteKeyholder starts glovebox-broker's verb, which links the keyholders, and speaks to it by pipes: a data key is never
// in arguments, environment or files.
func (o *owner) remoteKeyholder(ctx context.Context) (ownerKeyholder, func(), error) {
	path, err := companion("glovebox-broker")
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, path, "keyholder", "--config", o.layout.Config())
	var words bytes.Buffer
	cmd.Stderr = &words
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("glovebox-broker keyholder: %w", err)
	}
	p := keyholder.NewPipe(in, out)
	end := sync.OnceValue(func() error {
		p.Close() //nolint:errcheck // the process ends by it
		return cmd.Wait()
	})
	if _, err := p.Versions(ctx); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](end()); ok { // it did not get so far as to answer
			return nil, nil, verbError(exit.ExitCode(), words.String())
		}
		return nil, nil, err
	}
	return p, func() { end() }, nil //nolint:errcheck // what it did is done
}

// newKeyholder is `creator keyholder` and `buyer keyholder`.
func newKeyholder(role config.Role) *cobra.Command {
	cmd := &cobra.Command{
		Use: "keyholder", Short: "Look at, rotate and shred the key that wraps data keys", Args: noArgs, RunE: needVerb,
		Long: fmt.Sprintf(`Each package's data key lies in the directory, wrapped by a key-encryption key that the keyholder keeps: a file locked
with an identity or a passphrase, HashiCorp Vault, or a PKCS#11 token (see "keyholder" in broker.json). That key has versions.

  glovebox %[1]s keyholder rotate      a new version wraps from now on
  glovebox %[1]s keyholder rewrap      the wrapped keys move to it; packages stay as they are
  glovebox %[1]s keyholder retire      old versions are shredded`, role),
	}
	cmd.AddCommand(newKeyholderStatus(role), newKeyholderRotate(role), newKeyholderRewrap(role), newKeyholderRetire(role))
	return cmd
}

// keyholderStatus says which versions there are and what depends on them.
type keyholderStatus struct {
	Kind   string `json:"kind"`
	Oldest int    `json:"oldest"` // version that still opens
	Latest int    `json:"latest"` // version that wraps
	Keys   int    `json:"keys"`   // wrapped keys in the directory: packages', contributors', and those of interrupted packs
	Behind int    `json:"behind"` // wrapped by an older version than the latest
	Lost   int    `json:"lost"`   // wrapped by a version that is shredded, or by another keyholder
}

func (o *owner) keyholderStatus(ctx context.Context, k ownerKeyholder) (*keyholderStatus, []config.WrappedKey, error) {
	v, err := k.Versions(ctx)
	if err != nil {
		return nil, nil, err
	}
	keys, err := o.WrappedKeys()
	if err != nil {
		return nil, nil, err
	}
	s := &keyholderStatus{Kind: o.KeyholderKind(), Oldest: v.Oldest, Latest: v.Latest, Keys: len(keys)}
	var behind []config.WrappedKey
	for _, w := range keys {
		switch n, err := k.Version(w.Wrapped); {
		case errors.Is(err, keyholder.ErrUnavailable):
			return nil, nil, err
		case err != nil || n < v.Oldest || n > v.Latest:
			s.Lost++
		case n < v.Latest:
			s.Behind++
			behind = append(behind, w)
		}
	}
	return s, behind, nil
}

func (s *keyholderStatus) print(w io.Writer) {
	table(w, []string{"kind", s.Kind}, []string{"versions", fmt.Sprintf("%d to %d; %d wraps", s.Oldest, s.Latest, s.Latest)},
		[]string{"wrapped keys", fmt.Sprint(s.Keys)}, []string{"wrapped by an older version", fmt.Sprint(s.Behind)}, []string{"lost", fmt.Sprint(s.Lost)})
}

// changeKeyholder runs work alone: nobody packs, erases or moves wrapped keys from before work looks at them until it is done.
func changeKeyholder(cmd *cobra.Command, role config.Role, dir string, asJSON bool, work func(o *owner, k ownerKeyholder) error) error {
	return withKeyholder(cmd, role, dir, asJSON, func(o *owner, k ownerKeyholder) error {
		unlock, err := o.layout.LockKeys()
		if err != nil {
			return err
		}
		return errors.Join(work(o, k), unlock())
	})
}

// withKeyholder runs work and shows what the keyholder is like afterwards.
func withKeyholder(cmd *cobra.Command, role config.Role, dir string, asJSON bool, work func(o *owner, k ownerKeyholder) error) error {
	o, err := openOwner(dir, role)
	if err != nil {
		return err
	}
	k, closeIt, err := o.keyholder(cmd.Context())
	if err != nil {
		return err
	}
	defer closeIt()
	if err := work(o, k); err != nil {
		return err
	}
	s, _, err := o.keyholderStatus(cmd.Context(), k)
	if err != nil {
		return err
	}
	return show(cmd, asJSON, s, s.print)
}

func newKeyholderStatus(role config.Role) *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show the versions of the key and what depends on them", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withKeyholder(cmd, role, dir, asJSON, func(*owner, ownerKeyholder) error { return nil })
		},
	}
	dirFlag(cmd, &dir, role)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newKeyholderRotate(role config.Role) *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "rotate", Short: "Make a new version of the key, which wraps from now on", Args: noArgs,
		Long: `Rotate makes a new version of the key-encryption key. Keys wrapped before still open; a running broker need not be
started again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return changeKeyholder(cmd, role, dir, asJSON, func(_ *owner, k ownerKeyholder) error { return k.Rotate(cmd.Context()) })
		},
	}
	dirFlag(cmd, &dir, role)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newKeyholderRewrap(role config.Role) *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "rewrap", Short: "Move wrapped keys to the latest version", Args: noArgs,
		Long: `Rewrap replaces each key that an older version wrapped by the same key, wrapped by the latest one. Nothing is
encrypted or published again. It may be cut off and run again.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return changeKeyholder(cmd, role, dir, asJSON, func(o *owner, k ownerKeyholder) error {
				_, behind, err := o.keyholderStatus(cmd.Context(), k)
				if err != nil {
					return err
				}
				for _, w := range behind {
					if err := w.Rewrap(cmd.Context(), k, k); err != nil {
						return err
					}
				}
				say(cmd, "keys rewrapped: %d", len(behind))
				return nil
			})
		},
	}
	dirFlag(cmd, &dir, role)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func newKeyholderRetire(role config.Role) *cobra.Command {
	var dir string
	var asJSON, shred bool
	cmd := &cobra.Command{
		Use: "retire", Short: "Shred the versions before the latest, for good", Args: noArgs,
		Long: `Retire shreds every version of the key but the latest. It refuses while a package, a contributor's key or an interrupted pack depends on one of them; rewrap first.
With --shred it shreds them all the same: what depends on them can never be opened again, by nobody.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return changeKeyholder(cmd, role, dir, asJSON, func(o *owner, k ownerKeyholder) error {
				s, behind, err := o.keyholderStatus(cmd.Context(), k)
				if err != nil {
					return err
				}
				if len(behind) > 0 && !shred {
					return Errorf(KindUsage, "move them first with: glovebox %s keyholder rewrap; or give --shred to lose them for good", role).
						because("keys that would be lost: %d", len(behind))
				}
				return k.Retire(cmd.Context(), s.Latest)
			})
		},
	}
	dirFlag(cmd, &dir, role)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&shred, "shred", false, "also when packages or contributors' keys depend on old versions; they are lost for good")
	return cmd
}

// keyholderFlags say which keyholder init makes or uses.
type keyholderFlags struct {
	file, passphraseFile string
	passphrase           bool
}

func (k *keyholderFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&k.file, "keyholder", "", `JSON file with "keyholder" of broker.json, such as deploy/vault/setup.sh prints (default: a key file)`)
	f.BoolVar(&k.passphrase, "passphrase", false, "lock the key file with a passphrase that is asked for, instead of an identity file")
	f.StringVar(&k.passphraseFile, "passphrase-file", "", "lock the key file with the passphrase in this file of mode 0600, which the broker reads too")
}

func (k *keyholderFlags) apply(o *config.Options) (err error) {
	n := 0
	for _, given := range []bool{k.file != "", k.passphrase, k.passphraseFile != ""} {
		if given {
			n++
		}
	}
	switch {
	case n == 0:
		return nil
	case n > 1:
		return Errorf(KindUsage, "give one of them").because("--keyholder, --passphrase and --passphrase-file exclude each other")
	case k.file != "":
		o.Keyholder, err = readKeyholder(k.file)
		return err
	case k.passphrase:
		o.Unlock, err = keyholder.PassphrasePrompt(true)
	default:
		if k.passphraseFile, err = filepath.Abs(k.passphraseFile); err != nil {
			return err
		}
		o.Unlock, err = keyholder.PassphraseFile(k.passphraseFile)
	}
	o.Keyholder = &config.Keyholder{Kind: config.KeyholderFile, File: &config.FileKeyholder{Passphrase: true, PassphraseFile: k.passphraseFile}}
	return err
}

func readKeyholder(path string) (*config.Keyholder, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyholder+1))
	if err != nil {
		return nil, err
	}
	var k config.Keyholder
	if err := envelope.DecodeStrict(b, maxKeyholder, &k); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if k.Kind == config.KeyholderFile {
		return nil, Errorf(KindUsage, "leave --keyholder out, or give --passphrase").because("%s names a key file, which init makes by itself", path)
	}
	return &k, k.Validate()
}

// needed is what must not be lost.
func (k *keyholderFlags) needed(c *config.Config) string {
	switch {
	case c.KeyholderKind() == config.KeyholderVault:
		return "Vault's key " + c.Keyholder.Vault.Key
	case c.KeyholderKind() == config.KeyholderPKCS11:
		return "the token's key " + c.Keyholder.PKCS11.Key
	case c.Keyholder != nil:
		return "keyholder.age and its passphrase"
	}
	return "keyholder.identity"
}
