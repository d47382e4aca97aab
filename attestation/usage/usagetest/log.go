// SPDX-License-Identifier: Apache-2.0

package usagetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Origin is the name of the logs made here.
const Origin = "log.example.org"

// Log is a small transparency log in memory: a real RFC 6962 tree and real signed checkpoints, without storage.
type Log struct {
	*tlog.Log
	signer    note.Signer
	leaves    []envelope.Digest
	Witnesses []*tlog.Cosigner // cosign every checkpoint
	Time      int64            // of their cosignatures, Unix seconds
}

// NewWitness makes a witness with a fresh key.
func NewWitness(name string) (*tlog.Cosigner, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return tlog.NewCosigner(name, key)
}

// Fork is a log with the same key and other entries from n on.
func (l *Log) Fork(n int) *Log {
	f := *l
	f.leaves = slices.Clone(l.leaves[:n])
	return &f
}

// Size is how many entries the log has.
func (l *Log) Size() int { return len(l.leaves) }

// NewLog makes a log with a fresh key and n entries by others.
func NewLog(n int) (*Log, error) {
	skey, vkey, err := note.GenerateKey(rand.Reader, Origin)
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, err
	}
	identity, err := tlog.NewLog(vkey)
	if err != nil {
		return nil, err
	}
	l := &Log{Log: identity, signer: signer}
	for i := range n {
		l.leaves = append(l.leaves, tlog.LeafHash(fmt.Appendf(nil, "entry %d", i)))
	}
	return l, nil
}

// Append adds an entry and returns its index.
func (l *Log) Append(body []byte) int64 {
	l.leaves = append(l.leaves, tlog.LeafHash(body))
	return int64(len(l.leaves) - 1)
}

// Proof proves entry i in the tree as it is now.
func (l *Log) Proof(i int64) (tlog.Proof, error) {
	cp, err := l.Checkpoint()
	hashes := append([]envelope.Digest{}, path(int(i), l.leaves)...)
	return tlog.Proof{Index: i, Size: int64(len(l.leaves)), Hashes: hashes, Checkpoint: cp}, err
}

// Checkpoint signs the tree as it is now, and has every witness cosign it.
func (l *Log) Checkpoint() (string, error) {
	r := root(l.leaves)
	text, err := l.SignNote(fmt.Sprintf("%s\n%d\n%s\n", l.Origin(), len(l.leaves), base64.StdEncoding.EncodeToString(r[:])))
	if err != nil {
		return "", err
	}
	signed := text
	for _, w := range l.Witnesses {
		line, err := w.Cosign(text, l.Time)
		if err != nil {
			return "", err
		}
		signed += line
	}
	return signed, nil
}

// SignNote signs any text with the log's key.
func (l *Log) SignNote(text string) (string, error) {
	b, err := note.Sign(&note.Note{Text: text}, l.signer)
	return string(b), err
}

// root and path follow RFC 6962, 2.1, word for word.
func root(d []envelope.Digest) envelope.Digest {
	switch len(d) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return d[0]
	}
	k := split(len(d))
	left, right := root(d[:k]), root(d[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func path(m int, d []envelope.Digest) []envelope.Digest {
	if len(d) <= 1 {
		return nil
	}
	k := split(len(d))
	if m < k {
		return append(path(m, d[:k]), root(d[k:]))
	}
	return append(path(m-k, d[k:]), root(d[:k]))
}

// split is the largest power of two smaller than n.
func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

// Consistency proves that the tree as it is now begins with that of the first n entries, 0 < n.
func (l *Log) Consistency(n int64) []envelope.Digest {
	if int(n) == len(l.leaves) {
		return nil
	}
	return subproof(int(n), l.leaves, true)
}

// subproof follows RFC 6962, 2.1.2.
func subproof(m int, d []envelope.Digest, whole bool) []envelope.Digest {
	switch k := split(len(d)); {
	case m == len(d) && whole:
		return nil
	case m == len(d):
		return []envelope.Digest{root(d)}
	case m <= k:
		return append(subproof(m, d[:k], whole), root(d[k:]))
	default:
		return append(subproof(m-k, d[k:], false), root(d[:k]))
	}
}
