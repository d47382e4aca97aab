// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/attestation/relay"
	"github.com/glovebox-dev/glovebox/attestation/relay/server"
)

func newRelay() *cobra.Command {
	var socket string
	var kinds []string
	var cfg server.Config
	cmd := &cobra.Command{
		Use: "relay", Short: "Carry an enclave's questions to its cloud's attestation service", Args: noArgs,
		Long: `Relay answers on a Unix socket what the enclave, which has no HTTP, must ask its cloud: a quote for a TD report
(azure-tdquote) or a token of Confidential Space (confidential-space-token). It is trusted with nothing: what it carries is
signed. Run it on the enclave's machine as the enclave's user; whoever else reaches a token service's socket can have tokens
that vouch for this machine.`,
		Example: "  glovebox operator relay --listen /run/glovebox/relay.sock --kind azure-tdquote",
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, k := range kinds {
				cfg.Kinds = append(cfg.Kinds, relay.Kind(k))
			}
			return runRelay(cmd, socket, cfg)
		},
	}
	var known []string
	for _, k := range relay.Kinds() {
		known = append(known, string(k))
	}
	f := cmd.Flags()
	f.StringVar(&socket, "listen", "", "Unix socket to listen on (required)")
	f.StringSliceVar(&kinds, "kind", nil, "what is answered, repeatable: "+strings.Join(known, ", ")+" (required)")
	f.StringVar(&cfg.AzureURL, "azure-url", server.AzureURL, "where quotes are made")
	f.StringVar(&cfg.LauncherSocket, "launcher-socket", server.LauncherSocket, "Unix socket of Confidential Space's launcher")
	return cmd
}

func runRelay(cmd *cobra.Command, socket string, cfg server.Config) error {
	if socket == "" || len(cfg.Kinds) == 0 {
		return Errorf(KindUsage, "see: glovebox operator relay --help").because("--listen and --kind must be given")
	}
	s, err := server.New(cfg)
	if err != nil {
		return Errorf(KindUsage, "see: glovebox operator relay --help").from(err)
	}
	l, err := listenPrivately(cmd.Context(), socket)
	if err != nil {
		return Errorf(KindError, "choose a path of at most 100 characters in a directory that only the enclave's user can write to").from(err)
	}
	say(cmd, "relay: %s answers %s", socket, cfg.Kinds)
	return s.Serve(cmd.Context(), l)
}

// listenPrivately makes a socket that only this user can connect to. It is made in a directory of its own and moved to its
// place when its mode is right, so that it never stands open. A socket that nobody answers is replaced.
func listenPrivately(ctx context.Context, path string) (net.Listener, error) {
	if fi, err := os.Lstat(path); err == nil {
		conn, dialErr := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if dialErr == nil {
			conn.Close()
		}
		if fi.Mode().Type() != os.ModeSocket || dialErr == nil {
			return nil, errors.New(path + " exists, and is no socket or is in use")
		}
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".relay-") // mode 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // made is not where it is
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
