// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// locate names the part of a damaged bundle in which reading it stops, so that a refusal says where to look.
func locate(b []byte) string {
	path := stop(b)
	if len(path) == 0 {
		return PartBundle
	}
	name, indexed := "", false
	switch path[0].name {
	case "usage":
		return usagePart(path[1:])
	case "evidence", "job", "ticket":
		return path[0].name
	case "manifests":
		name, indexed = PartManifest, true
	case "grants":
		name, indexed = PartGrant, true
	case "commits":
		name, indexed = PartCommit, true
	case "proofs":
		name, indexed = PartProof, true
	}
	if !indexed || len(path) < 2 {
		return PartBundle
	}
	return part(name, path[1].index)
}

// usagePart tells the statement from what surrounds it in a sigstore bundle, which is all about its proof.
func usagePart(path []step) string {
	if len(path) > 0 && path[0].name == "dsseEnvelope" {
		return PartUsage
	}
	return PartProof
}

// step is one level of a place in a JSON text.
type step struct {
	name  string // of the member, in an object
	index int    // of the element, in an array
	array bool
	key   bool // the next token is a member's name
}

// stop walks the tokens of b and returns where they end to make sense, or where the text stops being UTF-8; nil when
// neither happens.
func stop(b []byte) []step {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			b = b[:i]
			break
		}
		i += n
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var path []step
	for {
		tok, err := d.Token()
		if err != nil {
			return path
		}
		top := len(path) - 1
		if delim, ok := tok.(json.Delim); ok && (delim == '{' || delim == '[') {
			if len(path) == maxLocateDepth {
				return path
			}
			path = append(path, step{array: delim == '[', key: delim == '{'})
			continue
		} else if ok {
			path = path[:top]
			top--
		} else if top >= 0 && path[top].key {
			path[top].name, path[top].key = tok.(string), false
			continue
		}
		if top < 0 {
			return nil
		}
		path[top].index++
		path[top].name, path[top].key = "", !path[top].array
	}
}

// maxLocateDepth is deeper than any well-formed bundle.
const maxLocateDepth = 64
