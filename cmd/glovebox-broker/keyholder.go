// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"syscall"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/keyholder/vault"
	"github.com/glovebox-dev/glovebox/broker/ledger"
)

// noFD means that no file descriptor has the passphrase.
const noFD = -1

// openKeyholder opens what broker.json names: as the broker, or as the owner, who wraps and rotates too.
func openKeyholder(ctx context.Context, s *config.Config, asOwner bool, passphraseFD int) (keyholder.Keyholder, error) {
	var k keyholder.Keyholder
	var err error
	switch s.KeyholderKind() {
	case config.KeyholderFile:
		k, err = s.OpenFileKeyholder(func() (keyholder.Unlock, error) {
			if passphraseFD != noFD {
				return keyholder.PassphraseFD(uintptr(passphraseFD)) //nolint:gosec // checked when it was parsed
			}
			return keyholder.PassphrasePrompt(false)
		})
	case config.KeyholderVault:
		c := vault.Config{VaultKeyholder: s.Keyholder.Vault, Owner: asOwner, Resolve: s.Path}
		if s.Keyholder.Vault.Plugin {
			k, err = vault.OpenPlugin(ctx, c)
		} else {
			k, err = vault.Open(ctx, c)
		}
	case config.KeyholderPKCS11:
		k, err = openPKCS11(s)
	default:
		err = fmt.Errorf("%w: keyholder kind %q", config.ErrConfig, s.KeyholderKind())
	}
	if err != nil {
		return nil, fmt.Errorf("keyholder: %w", err)
	}
	return k, nil
}

// openAnchor is where the ledger's anchor lies outside the directory; nil when it is the head file.
func openAnchor(s *config.Config, k keyholder.Keyholder) (ledger.Anchor, error) {
	v, ok := k.(interface {
		Anchor(a config.VaultAnchor) (*vault.Anchor, error)
	})
	if !ok || s.Keyholder.Vault.Anchor == nil {
		return nil, nil
	}
	a, err := v.Anchor(*s.Keyholder.Vault.Anchor)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// anchorOf is openAnchor for a verb that needs no keyholder, which is opened only where the anchor lies there.
func anchorOf(ctx context.Context, s *config.Config) (ledger.Anchor, error) {
	if s.KeyholderKind() != config.KeyholderVault || s.Keyholder.Vault.Anchor == nil {
		return nil, nil
	}
	k, err := openKeyholder(ctx, s, false, noFD)
	if err != nil {
		return nil, err
	}
	return openAnchor(s, k)
}

// serveKeyholder answers `glovebox creator`, which does not link the keyholders, on standard input and output.
func serveKeyholder(ctx context.Context, args []string) error {
	syscall.Umask(0o077)
	fd := noFD
	s, err := settings("keyholder", args, func(f *flag.FlagSet) { passphraseFlag(f, &fd) })
	if err != nil {
		return err
	}
	k, err := openKeyholder(ctx, s, true, fd)
	if err != nil {
		return err
	}
	return keyholder.Serve(ctx, k, os.Stdin, os.Stdout)
}

func passphraseFlag(f *flag.FlagSet, fd *int) {
	f.Func("passphrase-fd", "inherited file descriptor with the passphrase of keyholder.age", func(v string) error {
		if _, err := fmt.Sscanf(v, "%d", fd); err != nil || *fd < 0 || *fd > 1<<16 {
			return fmt.Errorf("%q is not a file descriptor", v)
		}
		return nil
	})
}
