// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/witness"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// keyList is a flag that may be given more than once.
type keyList []string

// String implements flag.Value.
func (k *keyList) String() string { return fmt.Sprint(*k) }

// Set implements flag.Value.
func (k *keyList) Set(s string) error {
	*k = append(*k, s)
	return nil
}

// serveWitness runs a witness alone: it needs no broker and no owner. Its first start makes its key.
func serveWitness(ctx context.Context, args []string) error {
	syscall.Umask(0o077)
	f := flag.NewFlagSet("glovebox-broker witness", flag.ContinueOnError)
	dir := f.String("dir", "", "directory of the witness's key and memory; made with --name if need be")
	name := f.String("name", "", "name of a new witness: a URL without its scheme, as witness.example.org/w1")
	listen := f.String("listen", "127.0.0.1:7500", "host:port to listen on")
	var logs keyList
	f.Var(&logs, "log", "verifier key of a log to witness; may be given more than once")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if *dir == "" || f.NArg() != 0 {
		return fmt.Errorf("%w: want --dir DIR, --log KEY for each log, and --name NAME the first time", errUsage)
	}
	parsed, err := (&config.Witness{Logs: logs}).Parse()
	if err != nil {
		return err
	}
	w, err := openWitness(*dir, *name, parsed)
	if err != nil {
		return err
	}
	defer w.Close()
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "witness key %s\n", w.Key())
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", l.Addr())
	return serveHTTP(ctx, l, w.Handler())
}

// openWitness takes up a witness, or makes it if it has a name and nothing is there.
func openWitness(dir, name string, logs []*tlog.Log) (*witness.Witness, error) {
	w, err := witness.Open(dir, logs)
	if !errors.Is(err, witness.ErrMissing) || name == "" {
		return w, err
	}
	if _, err := witness.Create(dir, name); err != nil {
		return nil, err
	}
	return witness.Open(dir, logs)
}

func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	const header, read, grace = 10 * time.Second, time.Minute, 5 * time.Second
	srv := &http.Server{Handler: h, ReadHeaderTimeout: header, ReadTimeout: read, WriteTimeout: read, IdleTimeout: 2 * read, MaxHeaderBytes: 16 << 10}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		limit, done := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer done()
		return srv.Shutdown(limit)
	}
}

// witnessOf opens the witness that an owner's directory is too, nil if it is none.
func witnessOf(s *config.Config) (*witness.Witness, error) {
	if s.Witness == nil {
		return nil, nil
	}
	logs, err := s.Witness.Parse()
	if err != nil {
		return nil, err
	}
	return witness.Open(s.Layout().Witness(), logs)
}
