// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// model is a safetensors file.
func model(header string, numbers int) []byte {
	b := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	return append(b, make([]byte, 4*numbers)...)
}

func TestParamsRefuses(t *testing.T) {
	good := model(`{"params":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}`, 3)
	if p, err := Params(good); err != nil || len(p) != 3 {
		t.Fatalf("%v, %v", p, err)
	}
	for name, b := range map[string][]byte{
		"empty":      nil,
		"truncated":  good[:len(good)-1],
		"huge":       append([]byte{0, 0, 0, 0, 0, 0, 0, 128}, good[8:]...),
		"other type": model(`{"params":{"dtype":"F64","data_offsets":[0,8]}}`, 2),
		"nothing":    model(`{}`, 2),
		"negative":   model(`{"params":{"dtype":"F32","data_offsets":[-4,4]}}`, 2),
		"odd":        model(`{"params":{"dtype":"F32","data_offsets":[0,5]}}`, 2),
		"no header":  model(`[`, 2),
	} {
		if _, err := Params(b); !errors.Is(err, ErrModel) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEvaluate: at parameters of 0 softmax regression says 0 for everything, so it is right for the zeros among what it can read.
func TestEvaluate(t *testing.T) {
	if _, err := exec.LookPath("clang"); err != nil {
		t.Skip("no clang, lld and wasi-libc: examples in C are not tested")
	}
	out := filepath.Join(t.TempDir(), "main.wasm")
	if said, err := exec.Command("clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-O2", "-I../../sdk/c", "-o", out, "c/linear.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	config, lines := []byte(`{"inputs":2,"classes":3}`), [][]byte{[]byte("class,a,b"), []byte("0,1,2"), []byte("1,5,6"), []byte("0,0,0"), []byte("2,0,1")}
	score, n, err := Evaluate(context.Background(), module, config, make([]float32, 9), lines)
	if err != nil || score != 0.5 || n != 4 {
		t.Errorf("%v on %d, %v; want 0.5 on 4", score, n, err)
	}
	if _, _, err := Evaluate(context.Background(), module, config, make([]float32, 8), lines); !errors.Is(err, ErrModel) {
		t.Errorf("8 parameters: %v", err)
	}
	if _, _, err := Evaluate(context.Background(), module, config, make([]float32, 9), lines[:1]); !errors.Is(err, ErrGuest) {
		t.Errorf("no records: %v", err)
	}
}
