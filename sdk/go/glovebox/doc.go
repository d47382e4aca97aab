// SPDX-License-Identifier: Apache-2.0

// Package glovebox is what a job written in Go needs inside a Glovebox sandbox: its parameters, the data one record at a
// time, its outputs and metrics, its only source of chance, and fast linear algebra.
//
// Trust domain: none; it is part of the buyer's code, and nothing relies on it. It imports nothing but the standard
// library, and leaves out fmt and encoding/json, which make a module a third larger.
//
// Built for GOOS=wasip1 it talks to the sandbox. Built for anything else it is a stand-in with the same results, so that
// code is tested with go test: GLOVEBOX_DATA names a directory that stands for /data (a folder for each dataset, with
// records.csv, records.jsonl or records.tar in it), GLOVEBOX_OUT one that stands for /out, and GLOVEBOX_SEED, 64 hex
// digits, seeds [Rand].
//
//	func main() { glovebox.Main(train) }
//
//	func train() error {
//		p := glovebox.Parameters()
//		epochs := p.Int("EPOCHS", 8, 1, 1000)
//		if err := p.Err(); err != nil {
//			return err
//		}
//		d, err := glovebox.Find("") // the only dataset
//		if err != nil {
//			return err
//		}
//		r, err := d.Records()
//		if err != nil {
//			return err
//		}
//		for r.Next() {
//			use(r.Field(0), r.Field(1))
//		}
//		...
//	}
package glovebox

import "os"

// Main runs the job and ends the program: with exit code 0, or, when the job returns an error, with its text on standard
// error and exit code 1. A job that fails so has no result; its buyer sees the text only in sealed logs or run-local.
func Main(job func() error) {
	if err := job(); err != nil {
		_, _ = os.Stderr.WriteString("job: " + err.Error() + "\n")
		os.Exit(1)
	}
}
