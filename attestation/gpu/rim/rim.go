// SPDX-License-Identifier: Apache-2.0

// Package rim reads NVIDIA's reference integrity manifests: signed SWID tags (ISO/IEC 19770-2, XML) that list the
// measurements of a driver or of a VBIOS.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: let nothing be read from a manifest but
// what NVIDIA signed. A general XML signature library resolves references, transforms and several canonical forms, reads
// the document with one parser and its signature with another, and that is where signatures get wrapped around other
// contents. The one maintained in Go (goxmldsig) cannot verify XML's raw ECDSA signatures either. So this package accepts
// one shape, the one NVIDIA uses, reads it once, and takes values from the very tree that the digest was computed over.
package rim

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/glovebox-dev/glovebox/attestation/gpu/chain"
)

// Errors.
var (
	ErrMalformed = errors.New("rim: malformed")
	ErrSignature = errors.New("rim: signature does not verify")
	ErrContent   = errors.New("rim: signed, but it says nothing usable")
)

// Namespaces.
const (
	swid   = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
	sha384 = "http://www.w3.org/2001/04/xmlenc#sha384"
	dsig   = "http://www.w3.org/2000/09/xmldsig#"
)

// Manifest is what a verified RIM says.
type Manifest struct {
	Version      string              // of the driver ("550.90.07") or of the VBIOS ("96.00.9F.00.01")
	Product      string              // the chip, "GH100"
	Golden       map[int]Golden      // measurement index, from 0 → what it may be
	Digest       [sha256.Size]byte   // of the whole file
	Certificates []*x509.Certificate // of its signer, leaf first
}

// Golden is what one measurement may be.
type Golden struct {
	Active bool // measurements that are not are not compared
	Size   int
	Values [][]byte
}

// Verify reads a manifest that was signed under root. One call makes four signature checks with NVIDIA's chains: the
// document's and three of certificates.
func Verify(doc []byte, root chain.Pin, now int64) (*Manifest, error) {
	tree, err := parseXML(doc)
	if err != nil {
		return nil, err
	}
	certs, err := verifySignature(tree)
	if err != nil {
		return nil, err
	}
	if err := chain.Verify(certs, root, now); err != nil {
		return nil, err
	}
	m := &Manifest{Golden: map[int]Golden{}, Digest: sha256.Sum256(doc), Certificates: certs}
	return m, m.read(tree)
}

// read takes what the manifest says from the tree whose digest was signed.
func (m *Manifest) read(root *element) error {
	parts, err := root.elements()
	if err != nil {
		return err
	}
	want := []string{"Entity", "Meta", "Payload"}
	if len(parts) != len(want)+1 {
		return fmt.Errorf("%w: want %q and a signature", ErrContent, want)
	}
	for i, name := range want {
		if !parts[i].is(swid, name) {
			return fmt.Errorf("%w: element %d is %s, want %s", ErrContent, i, parts[i].local, name)
		}
	}
	m.Version, _ = parts[1].get("", "colloquialVersion")
	m.Product, _ = parts[1].get("", "product")
	if m.Version == "" || m.Product == "" || len(m.Version) > maxVersion {
		return fmt.Errorf("%w: no version or product", ErrContent)
	}
	resources, err := parts[2].elements()
	if err != nil {
		return err
	}
	active := 0
	for _, r := range resources {
		index, g, err := golden(r)
		if err != nil {
			return err
		}
		if _, twice := m.Golden[index]; twice {
			return fmt.Errorf("%w: measurement %d is there twice", ErrContent, index)
		}
		if m.Golden[index] = g; g.Active {
			active++
		}
	}
	if active == 0 {
		return fmt.Errorf("%w: no active measurement, so everything would match", ErrContent)
	}
	return nil
}

// golden reads one Resource.
func golden(r *element) (index int, g Golden, err error) {
	bad := func(what string) (int, Golden, error) {
		return 0, Golden{}, fmt.Errorf("%w: measurement with unusable %s", ErrContent, what)
	}
	if typ, _ := r.get("", "type"); !r.is(swid, "Resource") || typ != "Measurement" || len(r.children) != 0 {
		return bad("type")
	}
	number := func(name string, from, to int) int {
		s, _ := r.get("", name)
		n, err := strconv.Atoi(s)
		if err != nil || n < from || n > to || strconv.Itoa(n) != s {
			return -1
		}
		return n
	}
	index, g.Size = number("index", 0, maxIndex), number("size", 1, maxSize)
	alternatives := number("alternatives", 1, maxAlternatives)
	if index < 0 || g.Size < 0 || alternatives < 0 {
		return bad("index, size or number of alternatives")
	}
	switch s, _ := r.get("", "active"); s {
	case "True":
		g.Active = true
	case "False":
	default:
		return bad("active")
	}
	g.Values, err = hashes(r, alternatives, g.Size)
	return index, g, err
}

// hashes are exactly n values, Hash0 to Hash(n-1).
func hashes(r *element, n, size int) ([][]byte, error) {
	var out [][]byte
	for i := range n {
		s, _ := r.get(sha384, "Hash"+strconv.Itoa(i))
		v, err := hex.DecodeString(s)
		if err != nil || len(v) != size {
			return nil, fmt.Errorf("%w: measurement with unusable hash %d", ErrContent, i)
		}
		out = append(out, v)
	}
	for _, a := range r.attrs {
		if a.space == sha384 {
			n--
		}
	}
	if n != 0 {
		return nil, fmt.Errorf("%w: more hashes than alternatives", ErrContent)
	}
	return out, nil
}
