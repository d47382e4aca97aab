// SPDX-License-Identifier: Apache-2.0

package mnist_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/examples/mnist"
)

// golearn is the Go module that carries MNIST as CSV.
const golearn = "github.com/sjwhitworth/golearn@v0.0.0-20221228163002-74ae077eafb2"

// dataset opens a table of the golearn module, which the Go command downloads once. Offline without it, the test skips.
func dataset(t testing.TB, name string) []byte {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", "-json", golearn)
	cmd.Dir = t.TempDir() // outside our module: golearn is no dependency
	b, err := cmd.Output()
	var out struct{ Dir string }
	if err != nil || json.Unmarshal(b, &out) != nil {
		t.Skipf("MNIST is not in the module cache and cannot be downloaded (%v): run `go mod download %s`", err, golearn)
	}
	b, err = os.ReadFile(filepath.Join(out.Dir, "examples", "datasets", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func train(t testing.TB, seed uint64) (*mnist.Model, mnist.Metrics) {
	t.Helper()
	images, err := mnist.ReadCSV(bytes.NewReader(dataset(t, "mnist_train.csv")))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 0))
	m := mnist.NewModel(r)
	return m, m.Train(images, 8, r, nil)
}

func TestTrainedModelRecognisesDigits(t *testing.T) {
	for seed := range uint64(3) {
		m, metrics := train(t, seed)
		accuracy, n, err := mnist.Evaluate(m.MarshalSafetensors(), bytes.NewReader(dataset(t, "mnist_test.csv")))
		t.Logf("seed %d: %.3f on %d images, training %+v", seed, accuracy, n, metrics)
		if err != nil || n != 500 || accuracy < 0.90 {
			t.Errorf("accuracy %.3f on %d images, err %v; want 0.90 on 500", accuracy, n, err)
		}
		if metrics.Records != 5000 || metrics.Epochs != 8 {
			t.Errorf("metrics %+v", metrics)
		}
	}
}

func small(seed uint64) *mnist.Model { return mnist.NewModel(rand.New(rand.NewPCG(seed, 1))) }

func TestModelRoundTrip(t *testing.T) {
	m := small(1)
	b := m.MarshalSafetensors()
	got, err := mnist.ParseSafetensors(b)
	if err != nil {
		t.Fatal(err)
	}
	if *got != *m || !bytes.Equal(got.MarshalSafetensors(), b) {
		t.Error("model changed on its way through the file")
	}
}

func TestParseSafetensorsRefuses(t *testing.T) {
	good := string(small(1).MarshalSafetensors())
	for name, b := range map[string]string{
		"empty":        "",
		"short":        good[:7],
		"truncated":    good[:len(good)-1],
		"longer":       good + "\x00\x00\x00\x00",
		"huge header":  "\xff\xff\xff\xff\xff\xff\xff\x7f" + good[8:],
		"other format": strings.Replace(good, mnist.Format, "glovebox-mnist-mlp/2", 1),
		"other type":   strings.Replace(good, "F32", "F16", 1),
		"other shape":  strings.Replace(good, "[784,32]", "[32,784]", 1),
		"missing":      strings.Replace(good, "hidden.bias", "hidden.bios", 1),
		"negative":     strings.Replace(good, "[0,128]", "[-9,99]", 1),
		"overlap":      strings.Replace(good, "[0,128]", "[8,136]", 1),
		"beyond":       strings.Replace(good, "[100480,100520]", "[200480,200520]", 1),
		"not a number": good[:len(good)-4] + "\x00\x00\xc0\x7f",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := mnist.ParseSafetensors([]byte(b)); !errors.Is(err, mnist.ErrModel) {
				t.Errorf("err = %v, want ErrModel", err)
			}
		})
	}
}

func line(first string, n int) string { return first + strings.Repeat(",0", n) }

func TestReadCSVRefuses(t *testing.T) {
	head := line("label", 784) + "\n"
	for name, s := range map[string]string{
		"empty":          "",
		"no records":     head,
		"no header":      line("5", 784) + "\n",
		"other header":   line("digit", 784) + "\n" + line("5", 784) + "\n",
		"narrow":         "label,pixel0\n5,0\n",
		"ragged, short":  head + line("5", 783) + "\n",
		"ragged, long":   head + line("5", 785) + "\n",
		"no digit":       head + line("10", 784) + "\n",
		"pixel too dark": head + "5,256" + line("", 783)[0:] + "\n",
		"not a number":   head + line("5", 783) + ",x\n",
		"empty field":    head + line("5", 783) + ",\n",
		"endless line":   head + strings.Repeat("0,", 400_000),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := mnist.ReadCSV(strings.NewReader(s)); !errors.Is(err, mnist.ErrRecords) {
				t.Errorf("err = %v, want ErrRecords", err)
			}
		})
	}
}

func TestReadCSVAccepts(t *testing.T) {
	for name, s := range map[string]string{
		"plain":           line("label", 784) + "\n" + line("5", 784) + "\n",
		"no last newline": line("label", 784) + "\n" + line("5", 784),
		"DOS lines":       line("label", 784) + "\r\n" + line("5", 784) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mnist.ReadCSV(strings.NewReader(s))
			if err != nil || len(got) != 1 || got[0].Label != 5 {
				t.Errorf("%d images, err %v", len(got), err)
			}
		})
	}
}

func FuzzParseSafetensors(f *testing.F) {
	f.Add(small(1).MarshalSafetensors())
	f.Add([]byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := mnist.ParseSafetensors(b)
		if err != nil {
			return
		}
		again, err := mnist.ParseSafetensors(m.MarshalSafetensors())
		if err != nil || *again != *m {
			t.Errorf("a model that was read does not survive writing: %v", err)
		}
	})
}

func FuzzReadCSV(f *testing.F) {
	f.Add([]byte(line("label", 784) + "\n" + line("5", 784) + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		images, err := mnist.ReadCSV(bytes.NewReader(b))
		if (err == nil) != (len(images) > 0) {
			t.Errorf("%d images, err %v", len(images), err)
		}
	})
}
