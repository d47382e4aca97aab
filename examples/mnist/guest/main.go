// SPDX-License-Identifier: Apache-2.0

// Command guest trains a digit classifier inside a Glovebox sandbox.
//
//	GOOS=wasip1 GOARCH=wasm go build -trimpath -buildvcs=false -ldflags='-s -w' -o mnist.wasm ./examples/mnist/guest
//
// Trust domain: none; it is the buyer's code and nobody trusts it. It reads the dataset $DATASET once (the job's only one
// unless named), trains for $EPOCHS passes (8 unless given), and writes /out/model.safetensors and /out/metrics.json. Its
// only source of chance is the sandbox's seeded one: the same data, parameters and seed give the same bytes.
package main

import (
	"errors"
	"os"
	"strconv"

	"github.com/glovebox-dev/glovebox/examples/mnist"
	"github.com/glovebox-dev/glovebox/sdk/go/glovebox"
)

func main() { glovebox.Main(train) }

func train() error {
	p := glovebox.Parameters()
	name, epochs := p.String("DATASET", ""), p.Int("EPOCHS", 8, 1, 1000)
	if err := p.Err(); err != nil {
		return err
	}
	d, err := glovebox.Find(name)
	if err != nil {
		return err
	}
	records, err := d.Records()
	if err != nil {
		return err
	}
	images, err := mnist.ReadRecords(records)
	if err != nil {
		return err
	}
	r, err := glovebox.Rand()
	if err != nil {
		return err
	}
	model := mnist.NewModel(r)
	metrics := model.Train(images, epochs, r, func(m mnist.Metrics) {
		_, _ = os.Stdout.WriteString("epoch " + strconv.Itoa(m.Epochs) + " accuracy " + strconv.FormatFloat(m.Accuracy, 'f', 4, 64) + "\n")
	})
	o, err := glovebox.Create("model.safetensors")
	if err != nil {
		return err
	}
	if err := errors.Join(model.WriteSafetensors(o), o.Close()); err != nil {
		return err
	}
	var out glovebox.Metrics
	out.Set("accuracy", metrics.Accuracy)
	out.Set("epochs", float64(metrics.Epochs))
	out.Set("loss", metrics.Loss)
	out.Set("records", float64(metrics.Records))
	return out.Write()
}
