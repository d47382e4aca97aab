// SPDX-License-Identifier: Apache-2.0

package nn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox/train"
)

// nets are the models and their configurations.
var nets = []struct {
	name, config string
	open         func(*train.Config) (*Net, error)
}{
	{"linear", `{"inputs":20,"classes":7,"scale":255}`, Linear},
	{"mlp", `{"inputs":20,"hidden":11,"classes":7,"scale":255}`, MLP},
	{"cnn", `{"scale":255}`, CNN},
}

// record is a made-up line, half of whose inputs are 0, prepared.
func record(t testing.TB, n *Net, r *rand.Rand) []byte {
	t.Helper()
	line := fmt.Sprint(r.IntN(len(n.logits())))
	for range n.values[0] {
		line += fmt.Sprintf(",%d", max(0, r.IntN(511)-255))
	}
	b, ok := n.Prepare([]byte(line), make([]byte, 4*len(n.values[0])+4))
	if !ok {
		t.Fatalf("line %q", line)
	}
	return b
}

// TestGradientsAgainstFiniteDifferences compares each gradient with differences of the loss, at parameters that are not the
// initial ones.
func TestGradientsAgainstFiniteDifferences(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range nets {
		n, err := c.open(train.NewConfig(c.config))
		if err != nil {
			t.Fatal(err)
		}
		for i := range n.params {
			n.params[i] += float32(0.02 * r.NormFloat64())
		}
		for range 3 {
			x := record(t, n, r)
			g := make([]float32, len(n.params))
			if !n.Gradient(x, g) {
				t.Fatalf("%s: no gradient", c.name)
			}
			if worst := worst(n, x, g, r); worst > 0.01 {
				t.Errorf("%s: a derivative is off by %.4f of the gradient's greatest", c.name, worst)
			}
		}
	}
}

// worst is the greatest distance from a difference quotient, over the gradient's greatest element.
func worst(n *Net, x []byte, g []float32, r *rand.Rand) float64 {
	const h = 1.0 / 4096 // small: where another pixel becomes the greatest, the loss has a kink
	greatest, off := 0.0, 0.0
	for _, v := range g {
		greatest = max(greatest, math.Abs(float64(v)))
	}
	some := 200
	if testing.Short() {
		some = 20
	}
	for _, i := range r.Perm(len(g))[:min(len(g), some)] {
		was := n.params[i]
		n.params[i] = was + h
		up := n.Loss(x)
		n.params[i] = was - h
		down := n.Loss(x)
		n.params[i] = was
		off = max(off, math.Abs((up-down)/(2*h)-float64(g[i])))
	}
	return off / greatest
}

// TestGradientAllocatesNothing: memory is restored after a record, so what it allocates is taken again from the system each time.
func TestGradientAllocatesNothing(t *testing.T) {
	for _, c := range nets {
		n, err := c.open(train.NewConfig(c.config))
		if err != nil {
			t.Fatal(err)
		}
		x, g := record(t, n, rand.New(rand.NewPCG(1, 2))), make([]float32, len(n.params))
		if times := testing.AllocsPerRun(3, func() { n.Gradient(x, g); n.Predict(x) }); times != 0 {
			t.Errorf("%s: %v allocations", c.name, times)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, config := range []string{`{"inputs":0}`, `{"inputs":1.5}`, `{"classes":1}`, `{"classes":"x"}`, `{"scale":0}`, `{"scale":-1}`, `{"inputs":1e9}`} {
		if _, err := train.Open(func(c *train.Config) (train.Model, error) { return Linear(c) }, train.NewConfig(config)); err == nil {
			t.Errorf("%s was taken", config)
		}
	}
	n, err := Linear(train.NewConfig(`{"inputs":2,"classes":3}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"", "0", "0,1", "0,1,2,3", "3,1,2", "-1,1,2", "0,1,", "0,,1", "0,1,2,", "a,1,2", "0,1,-", "0,1,2.3.4"} {
		if _, ok := n.Prepare([]byte(line), make([]byte, 100)); ok {
			t.Errorf("line %q was taken", line)
		}
	}
	if _, ok := n.Prepare([]byte("0,1,2"), make([]byte, 11)); ok {
		t.Error("a record was taken that has no room")
	}
	if n.Gradient(make([]byte, 8), make([]float32, 9)) || n.Predict(make([]byte, 16)) != 0 {
		t.Error("a record of another size was taken")
	}
}

// TestLearns trains outside the sandbox, without privacy.
func TestLearns(t *testing.T) {
	r, lines := rand.New(rand.NewPCG(3, 4)), []string(nil)
	for i := range 300 {
		x := make([]string, 21)
		x[0] = fmt.Sprint(i % 7)
		for k := range x[1:] {
			x[1+k] = fmt.Sprintf("%.0f", math.Abs(40*r.NormFloat64())+float64(180*((k+1)%7^i%7&1)*((i+k)%7/4)))
		}
		lines = append(lines, strings.Join(x, ","))
	}
	for _, c := range nets[:2] {
		got, err := train.Run(func(t *train.Config) (train.Model, error) { return c.open(t) }, train.NewConfig(c.config), 20, 0.5, lines...)
		if err != nil || got.Score < 0.8 {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}
