// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAdmitAgreesWithCompile: whoever admits a module without an engine gets what an enclave's worker gets.
func TestAdmitAgreesWithCompile(t *testing.T) {
	b := command(con32(1), drop).bytes()
	got, err := Admit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(compile(t, b).Admitted(), got); d != "" {
		t.Errorf("Compile (-) and Admit (+) differ:\n%s", d)
	}
	foreign := command()
	foreign.imports = []imported{{"env", "foo", nil, nil}}
	_, compiled := Compile(t.Context(), foreign.bytes())
	_, err = Admit(t.Context(), foreign.bytes())
	if !errors.Is(err, ErrModule) || compiled == nil || err.Error() != compiled.Error() {
		t.Errorf("Admit says %v, Compile %v", err, compiled)
	}
}
