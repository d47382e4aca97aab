// SPDX-License-Identifier: Apache-2.0

// Command glovebox-broker serves one owner's keys: a creator's, or a buyer's for her code.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func main() {
	path := flag.String("config", "", "broker.json of the owner's directory")
	listen := flag.String("listen", "", "host:port to listen on instead of the configured one")
	flag.Parse()
	if *path == "" || flag.NArg() != 0 {
		fmt.Fprintln(os.Stderr, "usage: glovebox-broker --config DIR/broker.json [--listen HOST:PORT]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *path, *listen); err != nil {
		fmt.Fprintln(os.Stderr, "glovebox-broker: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path, listen string) (err error) {
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
	b, err := broker.New(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
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
		cfg.Publisher = broker.NewHTTPPublisher(s.LogURL)
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
