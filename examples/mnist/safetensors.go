// SPDX-License-Identifier: Apache-2.0

package mnist

import (
	"bytes"
	"io"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox"
)

// Format names the model in the file's metadata.
const Format = "glovebox-mnist-mlp/1"

// tensors lists the weights in the order of the file: names ascending. The data is the model's own.
func (m *Model) tensors() []glovebox.Tensor {
	return []glovebox.Tensor{
		{Name: "hidden.bias", Shape: []int{Hidden}, Data: m.B1[:]},
		{Name: "hidden.weight", Shape: []int{Pixels, Hidden}, Data: m.W1[:]},
		{Name: "output.bias", Shape: []int{Digits}, Data: m.B2[:]},
		{Name: "output.weight", Shape: []int{Hidden, Digits}, Data: m.W2[:]},
	}
}

// WriteSafetensors writes the model as a safetensors file. The same model always has the same bytes.
func (m *Model) WriteSafetensors(w io.Writer) error {
	return glovebox.WriteSafetensors(w, map[string]string{"format": Format}, m.tensors()...)
}

// MarshalSafetensors is the file of [Model.WriteSafetensors].
func (m *Model) MarshalSafetensors() []byte {
	var b bytes.Buffer
	if err := m.WriteSafetensors(&b); err != nil {
		panic("mnist: the model's own tensors: " + err.Error())
	}
	return b.Bytes()
}
