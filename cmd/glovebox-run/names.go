// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strconv"
	"strings"
)

// frame is a function in a trap's trace whose name the rewriting dropped: by its index, which is the original's.
var frame = regexp.MustCompile(`(?m)^\t\.\$([0-9]+)\(`)

// nameFrames gives the functions in a trace the names of the module's name section, where it has one. The module is
// admitted by then; its name section is what nobody checked.
func nameFrames(trace string, module []byte) string {
	if !frame.MatchString(trace) {
		return trace
	}
	names := functionNames(module)
	return frame.ReplaceAllStringFunc(trace, func(s string) string {
		i, err := strconv.ParseUint(frame.FindStringSubmatch(s)[1], 10, 32)
		if name := names[i]; err == nil && name != "" {
			return "\t" + strings.Trim(strconv.QuoteToASCII(name), `"`) + "("
		}
		return s
	})
}

// functionNames reads subsection 1 of the custom section "name". What is malformed ends the reading.
func functionNames(module []byte) map[uint64]string {
	const custom, functions = 0, 1
	names := map[uint64]string{}
	r := bytes.NewReader(module[min(8, len(module)):])
	for {
		id, body, ok := section(r)
		if !ok {
			return names
		}
		b := bytes.NewReader(body)
		if id != custom || name(b) != "name" {
			continue
		}
		for {
			id, body, ok := section(b)
			if !ok {
				break
			}
			if id != functions {
				continue
			}
			list := bytes.NewReader(body)
			count, _ := binary.ReadUvarint(list)
			for ; count > 0 && list.Len() > 0; count-- {
				i, _ := binary.ReadUvarint(list)
				names[i] = name(list)
			}
		}
	}
}

// section reads an id and what its length covers.
func section(r *bytes.Reader) (id byte, body []byte, ok bool) {
	id, err := r.ReadByte()
	if err != nil {
		return 0, nil, false
	}
	body, ok = prefixed(r)
	return id, body, ok
}

func name(r *bytes.Reader) string {
	b, _ := prefixed(r)
	return string(b)
}

// prefixed reads a length and as many bytes.
func prefixed(r *bytes.Reader) ([]byte, bool) {
	n, err := binary.ReadUvarint(r)
	if err != nil || n > uint64(r.Len()) {
		return nil, false
	}
	b := make([]byte, n)
	_, err = r.Read(b)
	return b, err == nil || n == 0
}
