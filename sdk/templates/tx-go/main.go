// SPDX-License-Identifier: Apache-2.0

// This transform leaves out records that have a word in them, and masks the digits of the others. Start here, and make it
// yours. Its configuration is {"word": "..."}; its shape is filter.
package main

import (
	"bytes"
	"errors"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox/tx"
)

var _ = tx.Serve(open)

func main() {} // not called: the sandbox calls what tx exports

type masker struct{ word []byte }

func open(c *tx.Config) (tx.Transform, error) {
	word := c.Text("word", "confidential")
	if word == "" {
		return nil, errors.New("word is empty")
	}
	return &masker{[]byte(word)}, nil
}

// Record implements tx.Transform.
func (m *masker) Record(r *tx.Record) error {
	text := r.Text()
	if bytes.Contains(text, m.word) {
		r.Found("WORD", 0, len(text), 1000)
		return nil // nothing is put: it is left out
	}
	for i := 0; i < len(text); {
		if !digit(text[i]) {
			i++
			continue
		}
		start := i
		for ; i < len(text) && digit(text[i]); i++ {
			text[i] = '9' // still a number, where it was one
		}
		r.Found("DIGITS", start, i, 1000)
	}
	r.Put(text)
	return nil
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
