// SPDX-License-Identifier: Apache-2.0

package dp_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
	"github.com/glovebox-dev/glovebox/examples/dp/nn"
	"github.com/glovebox-dev/glovebox/sdk/go/glovebox/train"
)

// guest opens an example in C in the engine that trains it.
func guest(t testing.TB, name, config string) *wasm.Trainee {
	t.Helper()
	if testing.Short() && name != "linear" {
		t.Skip("short: one of the examples in C is enough")
	}
	clang, err := exec.LookPath("clang")
	if err != nil {
		t.Skip("no clang, lld and wasi-libc: examples in C are not tested")
	}
	for _, source := range []string{"c/" + name + ".c", "c/digits.h", "c/vec.h", "../../sdk/c/glovebox_train.h", "../../sdk/c/glovebox.h"} {
		if _, err := os.ReadFile(source); err != nil { // so that the cache of tests knows what they depend on
			t.Fatal(err)
		}
	}
	ctx, out := context.Background(), filepath.Join(t.TempDir(), "main.wasm")
	if said, err := exec.Command(clang, "--target=wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-O3", "-Wall", "-Wextra", "-Werror",
		"-I../../sdk/c", "-o", out, "c/"+name+".c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	m, err := wasm.Compile(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	file, err := wasm.NewSnapshotFile()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	i, err := m.Instantiate(ctx, wasm.Config{Fuel: 1e10, MemoryBytes: 64 << 20, Seed: [32]byte{1}, SnapshotFile: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	x, err := i.OpenTrain(ctx, wasm.Training{Config: []byte(config), RecordBytes: 1 << 14, MaxParams: 1 << 20, RecordFuel: 1e9})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// setParams gives a guest its parameters.
func setParams(t *testing.T, x *wasm.Trainee, p []float32) {
	t.Helper()
	var b []byte
	for _, v := range p {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	if err := x.SetParams(0, b); err != nil {
		t.Fatal(err)
	}
}

// ask has one record prepared, and gives its gradient and guess. The guest is put back after each call.
func ask(t *testing.T, x *wasm.Trainee, line string) (prepared []byte, gradient []float32, guess float32) {
	t.Helper()
	ctx := context.Background()
	back := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Restore(); err != nil {
			t.Fatal(err)
		}
	}
	b, err := x.Prepare(ctx, []byte(line), 1<<14)
	prepared = append(prepared, b...)
	back(err)
	g, err := x.Gradient(ctx, prepared)
	gradient = append(gradient, g...)
	back(err)
	guess, err = x.Predict(ctx, prepared)
	back(err)
	return prepared, gradient, guess
}

// image is a made-up line, most of whose pixels are 0.
func image(r *rand.Rand, inputs int) string {
	line := fmt.Sprint(r.IntN(10))
	for range inputs {
		line += fmt.Sprintf(",%d", max(0, r.IntN(1000)-744))
	}
	return line
}

// TestExamplesAgree: the guests in C have the gradients of those in Go, which are checked against finite differences. First
// layers of C stand the other way round: input by input.
func TestExamplesAgree(t *testing.T) {
	for _, c := range []struct {
		name, config string
		open         func(*train.Config) (*nn.Net, error)
		in, out      int // of a first layer that stands input by input
	}{
		{"linear", `{"inputs":50,"classes":10}`, nn.Linear, 0, 0},
		{"mlp", `{"inputs":50,"hidden":13,"classes":10}`, nn.MLP, 50, 13},
		{"cnn", `{}`, nn.CNN, 64, 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			net, err := c.open(train.NewConfig(c.config))
			if err != nil {
				t.Fatal(err)
			}
			x, r := guest(t, c.name, c.config), rand.New(rand.NewPCG(1, 2))
			if len(x.Initial()) != len(net.Params()) {
				t.Fatalf("%d parameters, want %d", len(x.Initial()), len(net.Params()))
			}
			place := func(i int) int {
				if i < c.in*c.out {
					return i%c.in*c.out + i/c.in
				}
				return i
			}
			params := make([]float32, len(net.Params()))
			for i := range params {
				net.Params()[i] += float32(0.05 * r.NormFloat64())
				params[place(i)] = net.Params()[i]
			}
			setParams(t, x, params)
			inputs := 50
			if c.name == "cnn" {
				inputs = 784
			}
			for range 5 {
				line := image(r, inputs)
				prepared, got, guess := ask(t, x, line)
				b, ok := net.Prepare([]byte(line), make([]byte, 1<<14))
				want := make([]float32, len(params))
				if !ok || string(b) != string(prepared) || !net.Gradient(b, want) || guess != net.Predict(b) {
					t.Fatalf("prepared %d bytes, want %d; guess %v", len(prepared), len(b), guess)
				}
				for i, w := range want {
					if d := math.Abs(float64(w - got[place(i)])); !(d < 1e-5) {
						t.Fatalf("derivative %d is %v, want %v", i, got[place(i)], w)
					}
				}
			}
		})
	}
}

// TestScatteringGradient: the model on scattering features is linear in its parameters, so its gradient is checked by what it must
// be: the outer product of features and of what the softmax is off by. At parameters of 0 that is 1/10 for every class but one.
func TestScatteringGradient(t *testing.T) {
	x, r := guest(t, "scatter", `{}`), rand.New(rand.NewPCG(1, 2))
	const features, classes = 81 * 49, 10
	line := image(r, 784)
	prepared, g, _ := ask(t, x, line)
	if len(prepared) != features+1 || len(g) != (features+1)*classes {
		t.Fatalf("%d bytes, %d derivatives", len(prepared), len(g))
	}
	for k := range classes {
		d := float32(0.1)
		if int8(k) == int8(prepared[features]) {
			d = -0.9
		}
		for i := range features {
			if want := d * float32(int8(prepared[i])) / 16; math.Abs(float64(g[k*features+i]-want)) > 1e-5 {
				t.Fatalf("derivative %d of class %d is %v, want %v", i, k, g[k*features+i], want)
			}
		}
	}
}

// TestScatteringFeatures: what they are known for. The same line has the same features, whatever came before; an image moved by a
// pixel has nearly the same, another image others; and each group is normalised.
func TestScatteringFeatures(t *testing.T) {
	x := guest(t, "scatter", `{"groups":27}`)
	draw := func(dx, size int) string {
		line := "3"
		for i := range 784 {
			px, py := i%28-dx, i/28
			v := 0
			if px >= 8 && px < 8+size && py >= 6 && py < 20 && (px+py)%7 < 4 {
				v = 255
			}
			line += fmt.Sprintf(",%d", v)
		}
		return line
	}
	here, _, _ := ask(t, x, draw(0, 10))
	again, _, _ := ask(t, x, draw(0, 10))
	moved, _, _ := ask(t, x, draw(1, 10))
	other, _, _ := ask(t, x, draw(0, 5))
	if string(here) != string(again) || here[len(here)-1] != 3 {
		t.Error("the same line has other features, or another class")
	}
	near, far := distance(here, moved), distance(here, other)
	if !(near < 0.75*far) {
		t.Errorf("moved by a pixel it is %.1f away, another image %.1f", near, far)
	}
	for g := range 27 {
		sum := 0.0
		for _, v := range here[g*147 : (g+1)*147] {
			sum += float64(int8(v)) / 16
		}
		if math.Abs(sum/147) > 0.02 {
			t.Errorf("group %d has a mean of %.3f", g, sum/147)
		}
	}
}

// distance of features.
func distance(a, b []byte) float64 {
	s := 0.0
	for i := range a[:len(a)-1] {
		d := float64(int8(a[i])) - float64(int8(b[i]))
		s += d * d
	}
	return math.Sqrt(s) / 16
}
