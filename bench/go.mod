module github.com/glovebox-dev/glovebox/bench

go 1.26.0

// A module of its own, so that what only measurements need (wasmtime, with cgo) stays out of Glovebox's.
replace github.com/glovebox-dev/glovebox => ../

require (
	github.com/bytecodealliance/wasmtime-go/v25 v25.0.0
	github.com/glovebox-dev/glovebox v0.0.0
	github.com/tetratelabs/wazero v1.12.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/gowebpki/jcs v1.0.2 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	golang.org/x/mod v0.42.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
