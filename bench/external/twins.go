// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// flip changes a bit of a file's byte; an offset below zero counts from the end.
func flip(name string, at int) func(string) error {
	return func(dir string) error { return flipAt(filepath.Join(dir, name), at) }
}

func flipAt(path string, at int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	return os.WriteFile(path, b, 0o600)
}

// cut takes a file's last bytes away.
func cut(name string, n int) func(string) error {
	return func(dir string) error {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), b[:len(b)-n], 0o600)
	}
}

// replace puts another text for the first one that is there; it must be there.
func replace(name, old, other string) func(string) error {
	return func(dir string) error {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if !bytes.Contains(b, []byte(old)) {
			return fmt.Errorf("%s has no %s", name, old)
		}
		return os.WriteFile(filepath.Join(dir, name), bytes.Replace(b, []byte(old), []byte(other), 1), 0o600)
	}
}

// edit changes a JSON file.
func edit(name string, change func(map[string]any) error) func(string) error {
	return func(dir string) error {
		path, v := filepath.Join(dir, name), map[string]any{}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		if err := change(v); err != nil {
			return err
		}
		if b, err = json.Marshal(v); err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o600)
	}
}

// within finds the object under keys; a number picks a list's entry.
func within(v any, keys ...any) map[string]any {
	for _, k := range keys {
		switch k := k.(type) {
		case string:
			v = v.(map[string]any)[k]
		case int:
			v = v.([]any)[k]
		}
	}
	return v.(map[string]any)
}

// bytesOf flips a bit in the middle of base64 in a JSON file.
func bytesOf(name, member string, keys ...any) func(string) error {
	return edit(name, func(v map[string]any) error {
		o := within(v, keys...)
		b, err := base64.StdEncoding.DecodeString(o[member].(string))
		if err != nil {
			return err
		}
		b[len(b)/2] ^= 1
		o[member] = base64.StdEncoding.EncodeToString(b)
		return nil
	})
}

const usageFile = "usage.sigstore.json"

var (
	entryKeys = []any{"verificationMaterial", "tlogEntries", 0}
	proofKeys = append(append([]any{}, entryKeys...), "inclusionProof")
)

// sigstoreTwins alter each part of the usage attestation's sigstore bundle, and what it is checked with.
//
// Two copies are not among them. The root is taken from the signed checkpoint by all three tools; cosign and sigstore-go make the log
// entry from statement, signature and key.
func sigstoreTwins() []twin {
	return []twin{
		{"the statement", bytesOf(usageFile, "payload", "dsseEnvelope")},
		{"the signature", bytesOf(usageFile, "sig", "dsseEnvelope", "signatures", 0)},
		{"the place in the log", edit(usageFile, func(v map[string]any) error {
			within(v, entryKeys...)["logIndex"], within(v, proofKeys...)["logIndex"] = "0", "0"
			return nil
		})},
		{"a hash of the proof", edit(usageFile, func(v map[string]any) error {
			hashes := within(v, proofKeys...)["hashes"].([]any)
			if len(hashes) == 0 {
				return errors.New("the proof has no hash")
			}
			hashes[0] = base64.StdEncoding.EncodeToString(make([]byte, sha256.Size))
			return nil
		})},
		{"the checkpoint's size", editCheckpoint(func(text, lines string) string {
			return strings.Replace(text, "\n", "\n1", 1) + "\n" + lines
		})},
		{"the checkpoint's signature", editCheckpoint(func(text, lines string) string {
			i := len(lines) - 20
			return text + "\n" + lines[:i] + map[bool]string{true: "B", false: "A"}[lines[i] == 'A'] + lines[i+1:]
		})},
		{"no log entry", edit(usageFile, func(v map[string]any) error {
			within(v, "verificationMaterial")["tlogEntries"] = []any{}
			return nil
		})},
		{"another log's key", edit("trusted_root.json", func(v map[string]any) error {
			pub, _, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				return err
			}
			o := within(v, "tlogs", 0, "publicKey")
			b, err := base64.StdEncoding.DecodeString(o["rawBytes"].(string))
			if err != nil {
				return err
			}
			o["rawBytes"] = base64.StdEncoding.EncodeToString(append(b[:len(b)-len(pub)], pub...))
			return nil
		})},
		{"another lease's key", func(dir string) error {
			return copyFile(filepath.Join(dir, "alice.pub"), filepath.Join(dir, "lease.pub"))
		}},
	}
}

// editCheckpoint changes a checkpoint: its text, which ends with a newline, and the lines of signatures.
func editCheckpoint(change func(text, lines string) string) func(string) error {
	return edit(usageFile, func(v map[string]any) error {
		o := within(v, append(append([]any{}, proofKeys...), "checkpoint")...)
		text, lines, ok := strings.Cut(o["envelope"].(string), "\n\n")
		if !ok {
			return errors.New("no signed note")
		}
		o["envelope"] = change(text+"\n", lines)
		return nil
	})
}

// witnessed are checkpoints that three witnesses signed too, behind the log's own line and before it.
func witnessed() []twin {
	return []twin{
		{"witnesses behind the log", editCheckpoint(func(text, lines string) string { return text + "\n" + lines + cosignatures(text) })},
		{"witnesses before the log", editCheckpoint(func(text, lines string) string { return text + "\n" + cosignatures(text) + lines })},
	}
}

// cosignatures are lines of C2SP tlog-cosignature, cosignature/v1, under fresh keys.
func cosignatures(text string) (lines string) {
	for i := range 3 {
		name := fmt.Sprintf("witness%d.example.org", i)
		pub, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic("external: " + err.Error())
		}
		now := time.Now().Unix()
		id := sha256.Sum256(append([]byte(name+"\n\x04"), pub...))
		sig := ed25519.Sign(key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", now, text))
		lines += "— " + name + " " + base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(id[:4:4], uint64(now)), sig...)) + "\n"
	}
	return lines
}

func ageTwins(file, owner, other string) []twin {
	return []twin{
		{"a byte of the payload", flip(file, -100)},
		{"a byte of the header", flip(file, 60)},
		{"the end cut off", cut(file, 20)},
		{"another buyer's identity", func(dir string) error {
			return copyFile(filepath.Join(dir, other, "result.age-identity"), filepath.Join(dir, owner, "result.age-identity"))
		}},
	}
}

func croissantTwins() []twin {
	const f = "patients.croissant.json"
	return []twin{
		{"a field of a file that is not there", replace(f, `"@id": "sealed"`, `"@id": "elsewhere"`)},
		{"a digest that is none", edit(f, func(v map[string]any) error { delete(within(v, "distribution", 0), "sha256"); return nil })},
		{"not JSON", cut(f, 10)},
	}
}

func modelTwins() []twin {
	const f = "patients.oms.json"
	blob := func(change func(path string) error) func(string) error {
		return func(dir string) error {
			first := ""
			err := filepath.WalkDir(filepath.Join(dir, "alice", "blobs"), func(path string, d fs.DirEntry, err error) error {
				if err == nil && first == "" && d.Type().IsRegular() && !strings.HasPrefix(d.Name(), ".") {
					first = path
				}
				return err
			})
			if err != nil || first == "" {
				return fmt.Errorf("no blob: %w", err)
			}
			return change(first)
		}
	}
	return []twin{
		{"a byte of a blob", blob(func(path string) error { return flipAt(path, 10) })},
		{"a blob gone", blob(os.Remove)},
		{"the statement", bytesOf(f, "payload", "dsseEnvelope")},
		{"the signature", bytesOf(f, "sig", "dsseEnvelope", "signatures", 0)},
		{"another's key", func(dir string) error {
			return copyFile(filepath.Join(dir, "lease.pub"), filepath.Join(dir, "alice.pub"))
		}},
	}
}

// cyclonedxTwins break the form. A digest with other digits is none of them: that is for copyTwins.
func cyclonedxTwins() []twin {
	const f = "result.cdx.json"
	return []twin{
		{"a digest too short", edit(f, func(v map[string]any) error {
			within(v, "metadata", "component", "hashes", 0)["content"] = "12"
			return nil
		})},
		{"a component of no kind", edit(f, func(v map[string]any) error { delete(within(v, "components", 1), "type"); return nil })},
		{"a member that is unknown", edit(f, func(v map[string]any) error { within(v, "components", 0)["trained"] = true; return nil })},
		{"a licence that is none", edit(f, func(v map[string]any) error {
			within(v, "components", 1)["licenses"] = []any{map[string]any{"license": map[string]any{"id": "OURS-1.0"}}}
			return nil
		})},
	}
}

// spdxNode is the first element of a type.
func spdxNode(v map[string]any, kind string) map[string]any {
	for _, n := range v["@graph"].([]any) {
		if o := n.(map[string]any); o["type"] == kind {
			return o
		}
	}
	return nil
}

func spdxTwins() []twin {
	const f = "result.spdx.json"
	change := func(kind string, do func(n map[string]any)) func(string) error {
		return edit(f, func(v map[string]any) error {
			n := spdxNode(v, kind)
			if n == nil {
				return errors.New("no " + kind)
			}
			do(n)
			return nil
		})
	}
	return []twin{
		{"a relationship from nowhere", change("Relationship", func(n map[string]any) { delete(n, "from") })},
		{"a relationship of no kind", change("Relationship", func(n map[string]any) { n["relationshipType"] = "wishes" })},
		{"a dataset of no type", change("dataset_DatasetPackage", func(n map[string]any) { delete(n, "dataset_datasetType") })},
		{"a member that is unknown", change("ai_AIPackage", func(n map[string]any) { n["ai_intelligence"] = "much" })},
		{"a digest by no algorithm", change("ai_AIPackage", func(n map[string]any) {
			within(n["verifiedUsing"], 0)["algorithm"] = "sha257"
		})},
	}
}

// copyTwins keep the form and change the truth.
func copyTwins() []twin {
	return []twin{
		{"a result's digest", edit("result.cdx.json", func(v map[string]any) error {
			o := within(v, "metadata", "component", "hashes", 0)
			o["content"] = strings.Repeat("0", 64)
			return nil
		})},
		{"a dataset left out", edit("result.cdx.json", func(v map[string]any) error { v["components"] = v["components"].([]any)[:1]; return nil })},
		{"a dataset's licence", edit("result.cdx.json", func(v map[string]any) error {
			within(v, "components", 1)["licenses"] = []any{map[string]any{"license": map[string]any{"id": "CC0-1.0"}}}
			return nil
		})},
		{"a digest in SPDX", edit("result.spdx.json", func(v map[string]any) error {
			within(spdxNode(v, "dataset_DatasetPackage")["verifiedUsing"], 0)["hashValue"] = strings.Repeat("0", 64)
			return nil
		})},
		{"the bundle", flip("bundle.json", 5000)},
	}
}
