// SPDX-License-Identifier: Apache-2.0

// Command guest trains a digit classifier inside a Glovebox sandbox.
//
//	GOOS=wasip1 GOARCH=wasm go build -trimpath -buildvcs=false -ldflags='-s -w' -o mnist.wasm ./examples/mnist/guest
//
// Trust domain: none; it is the buyer's code and nobody trusts it. It reads /data/$DATASET/records.csv once, trains for
// $EPOCHS passes (8 unless given), and writes /out/model.safetensors and /out/metrics.json. Its only source of chance is
// the sandbox's seeded one: the same data, parameters and seed give the same bytes.
package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"

	crand "crypto/rand"

	"github.com/glovebox-dev/glovebox/examples/mnist"
)

func main() {
	if err := run(); err != nil {
		_, _ = os.Stderr.WriteString("guest: " + err.Error() + "\n")
		os.Exit(1)
	}
}

func run() error {
	name, epochs := os.Getenv("DATASET"), 8
	if name == "" {
		return errors.New("parameter DATASET is missing")
	}
	if e := os.Getenv("EPOCHS"); e != "" {
		n, err := strconv.Atoi(e)
		if err != nil || n < 1 || n > 1000 {
			return errors.New("parameter EPOCHS must be a number from 1 to 1000")
		}
		epochs = n
	}
	f, err := os.Open("/data/" + name + "/records.csv")
	if err != nil {
		return err
	}
	images, err := mnist.ReadCSV(f)
	if err != nil {
		return err
	}
	var seed [32]byte
	if _, err := io.ReadFull(crand.Reader, seed[:]); err != nil {
		return err
	}
	r := rand.New(rand.NewChaCha8(seed))
	model := mnist.NewModel(r)
	metrics := model.Train(images, epochs, r, func(m mnist.Metrics) {
		_, _ = os.Stdout.WriteString("epoch " + strconv.Itoa(m.Epochs) + " accuracy " + number(m.Accuracy) + "\n")
	})
	if err := os.WriteFile("/out/model.safetensors", model.MarshalSafetensors(), 0o600); err != nil {
		return err
	}
	return os.WriteFile("/out/metrics.json", encode(metrics), 0o600)
}

// encode writes metrics as JSON. Without encoding/json and fmt the module is a third smaller, and compiles as much faster.
func encode(m mnist.Metrics) []byte {
	return []byte(`{"accuracy":` + number(m.Accuracy) + `,"epochs":` + strconv.Itoa(m.Epochs) +
		`,"loss":` + number(m.Loss) + `,"records":` + strconv.Itoa(m.Records) + "}\n")
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
