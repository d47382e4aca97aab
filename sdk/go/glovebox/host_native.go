// SPDX-License-Identifier: Apache-2.0

//go:build !wasip1

package glovebox

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
)

func dataRoot() (string, error) { return directory("GLOVEBOX_DATA", "/data") }

func outRoot() (string, error) { return directory("GLOVEBOX_OUT", "/out") }

// directory stands for one of the sandbox's.
func directory(variable, stands string) (string, error) {
	if d := os.Getenv(variable); d != "" {
		return d, nil
	}
	return "", errors.New("outside the sandbox: set " + variable + " to the directory that stands for " + stands)
}

func openData(path string) (source, int64, error) {
	root, err := dataRoot()
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(root + "/" + path)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, st.Size(), nil
}

// chance stands for the sandbox's random source: one stream for the whole program, from GLOVEBOX_SEED or from zeros.
var chance struct {
	sync.Mutex
	text   string
	stream *rand.ChaCha8
}

func drawSeed() (s [32]byte, err error) {
	chance.Lock()
	defer chance.Unlock()
	if text := os.Getenv("GLOVEBOX_SEED"); chance.stream == nil || text != chance.text {
		var seed [32]byte
		if b, err := hex.DecodeString(text); text != "" && (err != nil || copy(seed[:], b) != len(seed) || len(b) != len(seed)) {
			return s, errors.New("GLOVEBOX_SEED has not 64 hex digits")
		}
		chance.text, chance.stream = text, rand.NewChaCha8(seed)
	}
	chance.stream.Read(s[:]) //nolint:errcheck // never fails
	return s, nil
}

// eightBytes loads eight bytes, the first lowest.
func eightBytes(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
