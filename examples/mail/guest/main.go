// SPDX-License-Identifier: Apache-2.0

// Command guest trains a spam classifier inside a Glovebox sandbox.
//
//	GOOS=wasip1 GOARCH=wasm go build -trimpath -buildvcs=false -ldflags='-s -w' -o mail.wasm ./examples/mail/guest
//
// Trust domain: none; it is the buyer's code and nobody trusts it. It reads the job's dataset of mails twice: once to learn from four
// in five, once to be tested on the fifth that it kept apart. Outputs: model.json and metrics.json. It has no chance in it.
package main

import (
	"encoding/json"
	"errors"

	"github.com/glovebox-dev/glovebox/examples/mail"
	"github.com/glovebox-dev/glovebox/sdk/go/glovebox"
)

func main() { glovebox.Main(train) }

func train() error {
	d, err := glovebox.Find("")
	if err != nil {
		return err
	}
	c, m := &mail.Classifier{}, &mail.Metrics{}
	learn := func(r *mail.Record) {
		if !mail.ForTest(r.ID) {
			m.Train++
			c.Learn(r)
		}
	}
	test := func(r *mail.Record) {
		if mail.ForTest(r.ID) {
			c.Test(r, m)
		}
	}
	if err := errors.Join(each(d, learn), each(d, test)); err != nil {
		return err
	}
	o, err := glovebox.Create("model.json")
	if err != nil {
		return err
	}
	if err := errors.Join(c.Write(o), o.Close()); err != nil {
		return err
	}
	var out glovebox.Metrics
	out.Set("accuracy", m.Accuracy())
	out.Set("hamLost", m.Lost())
	out.Set("records", float64(m.Train))
	out.Set("spamRecall", m.Recall())
	out.Set("tested", float64(m.Test))
	return out.Write()
}

func each(d glovebox.Dataset, f func(*mail.Record)) error {
	records, err := d.Records()
	if err != nil {
		return err
	}
	for records.Next() {
		var r mail.Record
		if err := json.Unmarshal(records.Bytes(), &r); err != nil {
			return errors.New("a record of dataset " + d.Name + " is no mail")
		}
		f(&r)
	}
	return errors.Join(records.Err(), records.Close())
}
