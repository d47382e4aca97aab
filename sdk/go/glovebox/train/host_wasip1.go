// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package train

import "unsafe"

var (
	opener   func(*Config) (Model, error)
	config   []byte
	model    Model
	preparer Preparer
	scorer   Predictor
	params   []float32
	gradient []float32
	record   []byte
	prepared []byte
)

// Serve names what makes the model. It is called once, in the declaration of a package's variable.
func Serve(open func(*Config) (Model, error)) bool {
	opener = open
	return true
}

func address(p unsafe.Pointer) int32 { return int32(uintptr(p)) }

func span(p unsafe.Pointer, n int) int64 { return int64(uintptr(p))<<32 | int64(uint32(n)) }

//go:wasmexport train_open
func trainOpen(size int32) int32 {
	config = aligned(int(uint32(size)))
	return address(unsafe.Pointer(unsafe.SliceData(config)))
}

//go:wasmexport train_init
func trainInit(size, recordBytes int32) int32 {
	if opener == nil {
		return 2
	}
	c := &Config{json: config[:uint32(size)]}
	m, err := opener(c)
	if err != nil {
		println("train:", err.Error())
		return 1
	}
	if why := c.refused(); why != "" {
		println("train: train.json:", why)
		return 1
	}
	model, params = m, m.Params()
	preparer, _ = m.(Preparer)
	scorer, _ = m.(Predictor)
	gradient = make([]float32, len(params))
	record, prepared = aligned(int(uint32(recordBytes))), aligned(int(uint32(recordBytes)))
	return 0
}

//go:wasmexport train_params
func trainParams() int64 { return span(unsafe.Pointer(unsafe.SliceData(params)), len(params)) }

//go:wasmexport train_gradient_buffer
func trainGradientBuffer() int32 { return address(unsafe.Pointer(unsafe.SliceData(gradient))) }

//go:wasmexport train_record_buffer
func trainRecordBuffer() int32 { return address(unsafe.Pointer(unsafe.SliceData(record))) }

//go:wasmexport train_gradient
func trainGradient(size int32) int32 {
	if !model.Gradient(record[:uint32(size)], gradient) {
		return 1
	}
	return 0
}

// A model that prepares nothing gives each record as it is.
//
//go:wasmexport train_prepare
func trainPrepare(size int32) int64 {
	out, ok := record[:uint32(size)], true
	if preparer != nil {
		out, ok = preparer.Prepare(out, prepared)
	}
	if !ok {
		panic("train: a record that cannot be prepared") // it fails, no other
	}
	return span(unsafe.Pointer(unsafe.SliceData(out)), len(out))
}

// Exports cannot be left out: a model that is no [Predictor] answers -1, also without a record, which says so.
//
//go:wasmexport train_predict
func trainPredict(size int32) float32 {
	if scorer == nil {
		return -1
	}
	return scorer.Predict(record[:uint32(size)])
}
