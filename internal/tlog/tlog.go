// SPDX-License-Identifier: Apache-2.0

// Package tlog is what a transparency log says and how one checks it: the entry for a signed statement, the signed
// checkpoint of the tree, the cosignatures of witnesses under it, and the proof that the entry is in it.
//
// Trust domain: written by the untrusted host, checked by everybody else; the package is pure and never appends. Its one
// job: an entry counts as logged only under a checkpoint that the pinned log key signed. The entry is Rekor v2's
// hashedrekord 0.0.2 and the checkpoint is C2SP tlog-checkpoint, so stock sigstore tools check both.
// docs/spec/bundle.md is the format.
package tlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors. [ErrLog] is the root of all: the log does not prove what is claimed.
var (
	ErrLog        = errors.New("tlog: not proven")
	ErrKey        = fmt.Errorf("%w: bad log key", ErrLog)
	ErrCheckpoint = fmt.Errorf("%w: bad checkpoint", ErrLog)
	ErrInclusion  = fmt.Errorf("%w: not in the tree", ErrLog)
	ErrBody       = fmt.Errorf("%w: not the entry of this statement", ErrLog)
	// ErrUnwitnessed means that too few witnesses cosigned: that the log shows everybody the same is only its own word.
	ErrUnwitnessed = fmt.Errorf("%w: not witnessed", ErrLog)
	// ErrInconsistent means that two trees are not proven to be one that grew.
	ErrInconsistent = fmt.Errorf("%w: inconsistent", ErrLog)
)

// Proof places one entry in the tree of one signed checkpoint.
type Proof struct {
	Index      int64             `json:"index"`      // of the entry, from 0
	Size       int64             `json:"size"`       // of the tree
	Hashes     []envelope.Digest `json:"hashes"`     // RFC 6962 audit path, leaf to root
	Checkpoint string            `json:"checkpoint"` // signed note
}

// Checkpoint is a tree head that the log's key signed. Only [Log.ParseCheckpoint] makes a trusted one.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   envelope.Digest
}

// Log is one log's identity: origin and Ed25519 note key. The zero value verifies nothing.
type Log struct {
	verifier note.Verifier
	key      ed25519.PublicKey
}

// NewLog reads a note verifier key, "<origin>+<key hash>+<base64>", of an Ed25519 key. The origin must be a bare
// host name.
func NewLog(vkey string) (*Log, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	fields := strings.SplitN(vkey, "+", 3) // base64 may hold a plus too
	b, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(b) != 1+ed25519.PublicKeySize || !validOrigin(v.Name()) {
		return nil, fmt.Errorf("%w: want an Ed25519 key and a host name as origin", ErrKey)
	}
	return &Log{v, ed25519.PublicKey(b[1:])}, nil
}

// NewLogFromKey pairs an origin with an Ed25519 key.
func NewLogFromKey(origin string, key ed25519.PublicKey) (*Log, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: not Ed25519", ErrKey)
	}
	vkey, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return NewLog(vkey)
}

// validOrigin admits lower-case host names: sigstore derives the origin from a URL's host name, so nothing else would
// verify there.
func validOrigin(s string) bool {
	return s != "" && len(s) <= maxOrigin && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

// String is the log's verifier key, as [NewLog] reads it; "" of the zero value.
func (l *Log) String() string {
	if l == nil || l.verifier == nil {
		return ""
	}
	b := append([]byte{algorithmEd25519}, l.key...)
	return fmt.Sprintf("%s+%08x+%s", l.Origin(), l.verifier.KeyHash(), base64.StdEncoding.EncodeToString(b))
}

// Origin is the log's name, the first line of its checkpoints.
func (l *Log) Origin() string { return l.verifier.Name() }

// Key is the log's public key.
func (l *Log) Key() ed25519.PublicKey { return l.key }

// ID names the log in bundles, as C2SP signed-note and Rekor v2 do: SHA-256(origin ‖ "\n" ‖ algorithm ‖ key). Its first
// four bytes are the note's key hash.
func (l *Log) ID() envelope.Digest {
	b := append([]byte(l.Origin()), '\n', algorithmEd25519)
	return envelope.Sum(append(b, l.key...))
}

// ParseCheckpoint verifies and reads a checkpoint: the log's own signature first, then at most [MaxWitnesses] lines in the
// form of cosignatures, which it does not verify ([Witnesses.Cosigned] does). Errors: [ErrCheckpoint], [ErrKey].
func (l *Log) ParseCheckpoint(text string) (Checkpoint, error) {
	cp, _, _, err := l.parse(text)
	return cp, err
}

// parse also returns the signed text and the signatures of witnesses, unverified.
func (l *Log) parse(text string) (Checkpoint, string, []signature, error) {
	bad := func(why string) (Checkpoint, string, []signature, error) {
		return Checkpoint{}, "", nil, fmt.Errorf("%w: %s", ErrCheckpoint, why)
	}
	if l == nil || l.verifier == nil {
		return Checkpoint{}, "", nil, fmt.Errorf("%w: no log key", ErrKey)
	}
	body, sigs, err := splitNote(text)
	if err != nil {
		return Checkpoint{}, "", nil, err
	}
	if own := sigs[0]; own.keyID != (keyID{l.verifier.Name(), l.verifier.KeyHash()}) || !l.verifier.Verify([]byte(body), own.sig) {
		return bad("the log's signature is missing, not the first, or does not verify")
	}
	for _, s := range sigs[1:] {
		if len(s.sig) != cosignatureSize {
			return bad("a signature that is not a cosignature")
		}
	}
	cp, err := l.parseBody(body)
	return cp, body, sigs[1:], err
}

// parseBody reads "origin\nsize\nroot\n", without extension lines.
func (l *Log) parseBody(text string) (Checkpoint, error) {
	bad := func(why string) (Checkpoint, error) { return Checkpoint{}, fmt.Errorf("%w: %s", ErrCheckpoint, why) }
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return bad("want origin, size and root")
	}
	if lines[0] != l.Origin() {
		return bad("origin is not the log's")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 1 || size > maxSize || strconv.FormatInt(size, 10) != lines[1] {
		return bad("tree size")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != sha256.Size {
		return bad("root hash")
	}
	return Checkpoint{l.Origin(), size, envelope.Digest(root)}, nil
}

// VerifyInclusion proves that body is entry p.Index of the tree in p's signed checkpoint.
func (l *Log) VerifyInclusion(body []byte, p Proof) (Checkpoint, error) {
	cp, err := l.ParseCheckpoint(p.Checkpoint)
	if err != nil {
		return cp, err
	}
	if p.Size != cp.Size {
		return Checkpoint{}, fmt.Errorf("%w: proof for size %d under a checkpoint of size %d", ErrInclusion, p.Size, cp.Size)
	}
	if len(body) == 0 || len(body) > MaxBody || p.Index < 0 || p.Index >= cp.Size || len(p.Hashes) > maxHashes {
		return Checkpoint{}, fmt.Errorf("%w: entry, index or proof out of bounds", ErrInclusion)
	}
	var path [][]byte
	for _, h := range p.Hashes {
		path = append(path, h[:])
	}
	leaf := LeafHash(body)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(p.Index), uint64(cp.Size), leaf[:], path, cp.Root[:]); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: the path does not lead to the signed root", ErrInclusion)
	}
	return cp, nil
}

// LeafHash is the RFC 6962 leaf hash of an entry.
func LeafHash(body []byte) envelope.Digest {
	return envelope.Digest(rfc6962.DefaultHasher.HashLeaf(body))
}
