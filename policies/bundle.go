// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// ErrBundle means that a bundle is not what was signed for this broker, or is older than what it has seen.
var ErrBundle = fmt.Errorf("%w: bundle", ErrCreator)

// Bounds of a bundle.
const (
	MaxBundle    = 1 << 20 // bytes as packed
	maxUnpacked  = 4 << 20
	bundleKey    = "creator"
	bundleMethod = "ES256"

	signaturesFile = ".signatures.json"
)

// Bundle is an OPA bundle (tar.gz) with rules of the creator's own, signed by her fleet's key. docs/spec/policy.md says
// how to make one with opa build.
type Bundle struct {
	Content     []byte
	Key         []byte // public key, PEM: ECDSA P-256; pinned
	Scope       string // that the signature must state, so that a bundle for another fleet is none for this one
	MinRevision int64  // the lowest revision that is accepted
}

// open verifies signature, scope, files and revision.
func (b *Bundle) open() (*source, error) {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: "+f, append([]any{ErrBundle}, a...)...) }
	if len(b.Content) == 0 || len(b.Content) > MaxBundle || b.Scope == "" || b.MinRevision < 1 {
		return nil, bad("no content, more than %d bytes, no scope, or no lowest revision from 1", MaxBundle)
	}
	signatures, err := unpack(b.Content)
	if err != nil {
		return nil, bad("%w", err)
	}
	if err := strictHashes(signatures); err != nil {
		return nil, bad("%w", err)
	}
	if err := p256(b.Key); err != nil {
		return nil, bad("%w", err)
	}
	keys := map[string]*bundle.KeyConfig{bundleKey: {Key: string(b.Key), Algorithm: bundleMethod, Scope: b.Scope}}
	read, err := bundle.NewReader(bytes.NewReader(b.Content)).
		WithBundleVerificationConfig(bundle.NewVerificationConfig(keys, bundleKey, b.Scope, nil)).
		WithSizeLimitBytes(maxUnpacked).WithRegoVersion(ast.RegoV1).WithCapabilities(creatorCapabilities()).Read()
	if err != nil {
		return nil, bad("%w", err)
	}
	return b.source(&read)
}

// source takes rules and data out of a verified bundle.
func (b *Bundle) source(read *bundle.Bundle) (*source, error) {
	m := &read.Manifest
	revision, err := strconv.ParseInt(m.Revision, 10, 64)
	switch {
	case err != nil || revision < 1 || strconv.FormatInt(revision, 10) != m.Revision:
		return nil, fmt.Errorf("%w: revision %q, want a number from 1", ErrBundle, m.Revision)
	case revision < b.MinRevision:
		return nil, fmt.Errorf("%w: revision %d is older than %d", ErrBundle, revision, b.MinRevision)
	case m.Roots == nil || !slices.Equal(*m.Roots, []string{creatorPolicy}):
		return nil, fmt.Errorf("%w: want the one root %q", ErrBundle, creatorPolicy)
	case len(read.WasmModules)+len(read.PlanModules)+len(m.WasmResolvers) > 0 || read.Type() != bundle.SnapshotBundleType:
		return nil, fmt.Errorf("%w: want Rego and data only", ErrBundle)
	case m.RegoVersion != nil && *m.RegoVersion != 1 || len(m.FileRegoVersions) > 0:
		return nil, fmt.Errorf("%w: want Rego version 1", ErrBundle)
	}
	s := &source{files: map[string]string{}, data: read.Data, revision: revision}
	total := 0
	for _, f := range read.Modules {
		total += len(f.Raw)
		s.files[path.Clean(strings.TrimPrefix(f.Path, "/"))] = string(f.Raw)
	}
	if total > maxRuleBytes || len(s.files) != len(read.Modules) || len(s.files) > maxRuleFiles {
		return nil, fmt.Errorf("%w: more than %d files or %d bytes of rules", ErrBundle, maxRuleFiles, maxRuleBytes)
	}
	data, err := json.Marshal(read.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	s.digest = s.sum([]byte("bundle"), []byte(m.Revision), data)
	return s, nil
}

// unpack reads the signatures file of a bundle. It refuses one that is larger than it may be once unpacked, or that
// has a file twice, so that everybody sees the same files.
func unpack(packed []byte) (signatures []byte, err error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	limited := &io.LimitedReader{R: z, N: maxUnpacked}
	for tr := tar.NewReader(limited); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) && limited.N > 0 {
			return signatures, nil
		} else if err != nil {
			return nil, fmt.Errorf("unpack, at most %d bytes: %w", maxUnpacked, err)
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if seen[name] {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		if seen[name] = true; h.Typeflag != tar.TypeDir && !bundled(name) {
			return nil, fmt.Errorf("%s is neither rules nor data", name)
		}
		if name != signaturesFile {
			continue
		}
		if signatures, err = io.ReadAll(tr); err != nil {
			return nil, err
		}
	}
}

// bundled reports whether a file is one that is read; one that were passed over could be a rule that nobody asks.
func bundled(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(base, ".rego") || slices.Contains([]string{"data.json", "data.yaml", "data.yml"}, base) || name == ".manifest" || name == signaturesFile
}

func p256(pemKey []byte) error {
	block, rest := pem.Decode(pemKey)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 || block.Type != "PUBLIC KEY" {
		return errors.New("the key is not one PEM block PUBLIC KEY")
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	if e, ok := k.(*ecdsa.PublicKey); !ok || e.Curve != elliptic.P256() {
		return errors.New("the key is not ECDSA P-256")
	}
	return nil
}

// strictHashes refuses file hashes that OPA would take and that no longer hold, and other verifiers than OPA's own.
func strictHashes(signatures []byte) error {
	var s bundle.SignaturesConfig
	if err := json.Unmarshal(signatures, &s); err != nil {
		return fmt.Errorf("%s: %w", signaturesFile, err)
	}
	if s.Plugin != "" && s.Plugin != "_default" || len(s.Signatures) != 1 {
		return errors.New("want one signature, and no plug-in")
	}
	parts := strings.Split(s.Signatures[0], ".")
	if len(parts) != 3 {
		return errors.New("signature is no compact JWS")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var signed bundle.DecodedSignature
	if err := json.Unmarshal(payload, &signed); err != nil {
		return err
	}
	for _, f := range signed.Files {
		if !slices.Contains([]string{"SHA-256", "SHA-384", "SHA-512"}, f.Algorithm) {
			return fmt.Errorf("%s is hashed with %q", f.Name, f.Algorithm)
		}
	}
	return nil
}
