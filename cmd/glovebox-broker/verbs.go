// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/glovebox-dev/glovebox/broker/config"
)

var errUsage = errors.New("the command line makes no sense")

// verbs are what this binary does for `glovebox creator` besides serving: what needs the ledger, the keyholder or the
// policy engine, which the people's binary does not link. Each writes one JSON object to standard output, but those that serve.
func verbs() map[string]func(ctx context.Context, args []string) error {
	return map[string]func(ctx context.Context, args []string) error{
		"affected":  affected,
		"head":      head,
		"keyholder": serveKeyholder,
		"ledger":    showLedger,
		"witness":   serveWitness,
	}
}

// settings parses a verb's flags, among them --config, and loads the owner's directory. register adds the verb's own.
func settings(verb string, args []string, register func(*flag.FlagSet)) (*config.Config, error) {
	f := flag.NewFlagSet("glovebox-broker "+verb, flag.ContinueOnError)
	path := f.String("config", "", "broker.json of the owner's directory")
	if register != nil {
		register(f)
	}
	if err := f.Parse(args); err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if *path == "" || f.NArg() != 0 {
		return nil, fmt.Errorf("%w: want --config FILE", errUsage)
	}
	return config.Load(*path)
}

// printJSON writes a verb's answer.
func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
