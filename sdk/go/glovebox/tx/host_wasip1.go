// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

package tx

import "unsafe"

//go:wasmimport glovebox_tx emit_finding
func emitFinding(record uint32, kind unsafe.Pointer, size, start, end, score uint32)

//go:wasmimport glovebox_tx token
func token(kind uint32, text unsafe.Pointer, size uint32, out unsafe.Pointer, room uint32) int32

//go:wasmimport glovebox_tx noise_laplace
func noiseLaplace(record uint32, sensitivity, epsilon int64) int64

func hostFinding(record uint32, kind string, start, end, score uint32) {
	emitFinding(record, unsafe.Pointer(unsafe.StringData(kind)), uint32(len(kind)), start, end, score)
}

func hostToken(kind uint32, text []byte) ([]byte, bool) {
	out := make([]byte, max(32, len(text)))
	n := token(kind, unsafe.Pointer(unsafe.SliceData(text)), uint32(len(text)), unsafe.Pointer(&out[0]), uint32(len(out)))
	if n < 0 {
		return nil, false
	}
	return out[:n], true
}

func hostLaplace(record uint32, sensitivity, epsilon int64) int64 {
	return noiseLaplace(record, sensitivity, epsilon)
}

var (
	opener    func(*Config) (Transform, error)
	transform Transform
	record    Record
	input     []byte
)

// Serve names what makes the transform. It is called once, in the declaration of a package's variable.
func Serve(open func(*Config) (Transform, error)) bool {
	opener = open
	return true
}

// parseConfig reads what the sandbox gives.
func parseConfig(b []byte) *Config {
	c := &Config{JSON: member(b, "config"), Format: text(member(b, "format")), Shape: text(member(b, "shape"))}
	for list := member(b, "columns"); len(list) > 2; {
		n := value(list[1:])
		c.Columns, list = append(c.Columns, text(list[1:1+n])), list[1+n:]
	}
	return c
}

//go:wasmexport tx_abi
func txAbi() int32 { return 1 }

//go:wasmexport tx_alloc
func txAlloc(size int32) int32 {
	if n := int(uint32(size)) + 1; cap(input) < n { // a byte more, so that there is one to point at
		input = make([]byte, n+n/4)
	}
	return int32(uintptr(unsafe.Pointer(unsafe.SliceData(input))))
}

//go:wasmexport tx_init
func txInit(_, size int32) int32 {
	if opener == nil {
		return 2
	}
	c := parseConfig(append([]byte(nil), input[:uint32(size)]...))
	t, err := opener(c)
	if err != nil {
		println("transform:", err.Error())
		return 1
	}
	transform, record.shape = t, c.Shape
	return 0
}

//go:wasmexport tx_transform
func txTransform(_, size int32) int64 {
	return answer(record.batch(transform, input[:uint32(size)]))
}

//go:wasmexport tx_flush
func txFlush() int64 { return answer(record.end(transform)) }

// answer is where the answer is and how long. An error ends the module.
func answer(err error) int64 {
	if err != nil {
		panic("transform: " + err.Error())
	}
	return int64(uintptr(unsafe.Pointer(unsafe.SliceData(record.out))))<<32 | int64(len(record.out))
}
