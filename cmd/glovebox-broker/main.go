// SPDX-License-Identifier: Apache-2.0

// Command glovebox-broker serves one owner's keys: a creator's, or a buyer's for her code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/broker/witness"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func main() {
	if len(os.Args) > 1 && verbs()[os.Args[1]] != nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err := verbs()[os.Args[1]](ctx, os.Args[2:])
		stop()
		finish(err)
		return
	}
	path := flag.String("config", "", "broker.json of the owner's directory")
	listen := flag.String("listen", "", "host:port to listen on instead of the configured one")
	waiting := flag.Bool("while-waiting", false, "end when no command waits for a job any more, as glovebox buyer submit does")
	fd := noFD
	passphraseFlag(flag.CommandLine, &fd)
	flag.Parse()
	if *path == "" || flag.NArg() != 0 {
		fmt.Fprintln(os.Stderr, "glovebox-broker: error: want --config FILE, and at most --listen HOST:PORT and --while-waiting")
		fmt.Fprintln(os.Stderr, "glovebox-broker: hint: give --config DIR/broker.json, with the directory made by: glovebox creator init --dir DIR (or buyer init)")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *waiting {
		ctx = whileWaiting(ctx, *path)
	}
	finish(run(ctx, *path, *listen, fd))
}

// whileWaiting ends a broker that was started for those who wait, once the last of them is gone.
func whileWaiting(ctx context.Context, path string) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		if err := (config.Layout{Dir: filepath.Dir(path)}).Deserted(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "glovebox-broker: cannot tell who waits:", err)
		}
	}()
	return ctx
}

// finish ends the process with err's words, its hint and its exit code.
func finish(err error) {
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "glovebox-broker: error: %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	if h := hint(err); h != "" {
		fmt.Fprintln(os.Stderr, "glovebox-broker: hint:", h)
	}
	os.Exit(exitCode(err))
}

// The exit codes, those of glovebox.
const (
	exitError    = 1
	exitUsage    = 2
	exitTryAgain = 5
)

func exitCode(err error) int {
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	if errors.Is(err, keyholder.ErrUnavailable) {
		return exitTryAgain
	}
	return exitError
}

// hint is the next step for the owner, "" if there is none to name.
func hint(err error) string {
	for _, h := range []struct {
		target error
		text   string
	}{
		{ledger.ErrLocked, "one broker serves a directory: stop the other one, or use it"},
		{ledger.ErrRolledBack, "an older copy of the ledger was put back; put the latest one back, or keys may be released twice"},
		{ledger.ErrForked, "the ledger and ledger.head do not belong together; put the latest copy of both back"},
		{ledger.ErrVersion, "use the release that wrote the ledger, or a later one; a broker that starts brings an older ledger up to date"},
		{ledger.ErrMoved, "one broker serves a ledger: find the other one that moves its anchor"},
		{ledger.ErrAnchor, "make the place of the ledger's anchor answer again; nothing is released until it does"},
		{ledger.ErrBusy, "end the other program that has the ledger open"},
		{ledger.ErrClock, "set this machine's clock right"},
		{ledger.ErrWrite, "make room on the disk, and see that the directory can be written"},
		{ledger.ErrCorrupt, "put the latest copy of the ledger and of ledger.head back"},
		{keyholder.ErrUnavailable, "see that the keyholder runs, is unsealed and can be reached, then try again"},
		{keyholder.ErrAuth, "give the right passphrase, PIN or credential; docs/vault.md says how to renew those for Vault"},
		{keyholder.ErrInput, "correct the keyholder in broker.json; docs/spec/keyholder.md and docs/vault.md describe it"},
		{witness.ErrState, "put the latest copy of the witness's state.json back; if there is none, retire its key and make a new witness in another directory"},
		{witness.ErrMissing, "make it with: glovebox creator witness, or for one that runs alone with --name NAME"},
		{witness.ErrExists, "give another directory, or take up the witness that is there"},
		{witness.ErrLocked, "stop the other one"},
		{config.ErrPackage, "keep only packages that this owner made in the directory's packages folder"},
		{config.ErrConfig, "correct the file; glovebox creator init writes one that works"},
		{envelope.ErrKeyMode, "make it private: chmod 600"},
		{syscall.EADDRINUSE, "give another address with --listen, or stop what uses this one"},
		{fs.ErrNotExist, "make the directory with: glovebox creator init --dir DIR (or buyer init), and give --config DIR/broker.json"},
		{fs.ErrPermission, "run as the user who owns the directory"},
	} {
		if errors.Is(err, h.target) {
			return h.text
		}
	}
	return ""
}

func run(ctx context.Context, path, listen string, passphraseFD int) (err error) {
	syscall.Umask(0o077)
	s, err := config.Load(path)
	if err != nil {
		return err
	}
	if listen == "" {
		listen = s.Listen
	}
	cfg, err := wire(s)
	if err != nil {
		return err
	}
	if cfg.Keyholder, err = openKeyholder(ctx, s, false, passphraseFD); err != nil {
		return err
	}
	if cfg.Anchor, err = openAnchor(s, cfg.Keyholder); err != nil {
		return err
	}
	w, err := witnessOf(s)
	if err != nil {
		return err
	}
	if w != nil {
		defer w.Close()
		cfg.Witness = w.Handler()
	}
	b, err := broker.New(ctx, cfg)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil // told to stop before it had begun, whatever that broke
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if w != nil {
		fmt.Fprintf(os.Stderr, "witness key %s\n", w.Key())
	}
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", l.Addr())
	return b.Serve(ctx, l)
}

func wire(s *config.Config) (broker.Config, error) {
	signer, err := envelope.LoadKeyFile(s.Layout().BrokerKey(), envelope.RoleBroker)
	if err != nil {
		return broker.Config{}, err
	}
	cfg := broker.Config{
		Settings: s, Formats: verifiers.New([]envelope.PublicKey{signer.Public()}, s.SimulatedRoot),
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	if s.LogURL != "" {
		cfg.Publisher, cfg.Prover = broker.NewHTTPPublisher(s.LogURL), broker.NewHTTPProver(s.LogURL)
	}
	if len(s.EKRoots) == 0 {
		return cfg, nil
	}
	ec := verify.EnrollerConfig{Signer: signer}
	for _, r := range s.EKRoots {
		cert, err := s.Certificate(r)
		if err != nil {
			return cfg, fmt.Errorf("ekRoots: %s: %w", r.CertFile, err)
		}
		ec.Roots = append(ec.Roots, verify.EKRoot{Cert: cert, Assurance: r.Assurance})
	}
	cfg.Enroller, err = verify.NewEnroller(ec)
	return cfg, err
}
