// SPDX-License-Identifier: Apache-2.0

package rim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation/gpu/chain"
)

// The algorithms NVIDIA uses. There is no choice: a document that names others is refused.
const (
	algCanonical = "http://www.w3.org/2006/12/xml-c14n11"
	algEnveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
	algSignature = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
	algDigest    = "http://www.w3.org/2001/04/xmldsig-more#sha384"
)

const signatureSize = 96 // r ‖ s, P-384

// verifySignature checks that the root element, all of it but the signature, is what the leaf of the certificates inside
// signed. They are not verified yet.
func verifySignature(root *element) ([]*x509.Certificate, error) {
	if !root.is(swid, "SoftwareIdentity") {
		return nil, malformed("root element is %s, want SoftwareIdentity", root.local)
	}
	parts, err := root.elements()
	if err != nil {
		return nil, err
	}
	if len(parts) == 0 || !parts[len(parts)-1].is(dsig, "Signature") || root.count(dsig) != parts[len(parts)-1].count(dsig) {
		return nil, malformed("want one signature, as the last child of the root")
	}
	sig := parts[len(parts)-1]
	in, err := sig.exactly("SignedInfo", "SignatureValue", "KeyInfo")
	if err != nil {
		return nil, err
	}
	want, err := signedDigest(in[0])
	if err != nil {
		return nil, err
	}
	if got := sha512.Sum384(root.canonical(sig)); !bytes.Equal(got[:], want) {
		return nil, fmt.Errorf("%w: the document is not what was signed", ErrSignature)
	}
	certs, err := keyInfo(in[2])
	if err != nil {
		return nil, err
	}
	return certs, checkSigned(in[0], in[1], certs[0])
}

// checkSigned checks the signature over SignedInfo.
func checkSigned(info, value *element, signer *x509.Certificate) error {
	raw, err := decode(value)
	if err != nil {
		return err
	}
	key, ok := signer.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() || len(raw) != signatureSize {
		return fmt.Errorf("%w: want ECDSA P-384", ErrSignature)
	}
	digest := sha512.Sum384(info.canonical(nil))
	r, s := new(big.Int).SetBytes(raw[:signatureSize/2]), new(big.Int).SetBytes(raw[signatureSize/2:])
	if !ecdsa.Verify(key, digest[:], r, s) {
		return ErrSignature
	}
	return nil
}

// signedDigest is the digest that SignedInfo gives for the whole document. Its shape leaves nothing to choose: one
// reference, to the document that it is in, through the transforms that leave its signature out.
func signedDigest(info *element) ([]byte, error) {
	parts, err := info.exactly("CanonicalizationMethod", "SignatureMethod", "Reference")
	if err != nil {
		return nil, err
	}
	ref := parts[2]
	if uri, ok := ref.get("", "URI"); !ok || uri != "" || len(ref.attrs) != 1 {
		return nil, malformed(`reference: want URI="" and nothing else`)
	}
	in, err := ref.named("Transforms", "DigestMethod", "DigestValue")
	if err != nil {
		return nil, err
	}
	transforms, err := in[0].exactly("Transform", "Transform")
	if err != nil {
		return nil, err
	}
	for _, x := range []struct {
		e   *element
		alg string
	}{{parts[0], algCanonical}, {parts[1], algSignature}, {transforms[0], algEnveloped}, {transforms[1], algCanonical}, {in[1], algDigest}} {
		if alg, ok := x.e.get("", "Algorithm"); !ok || alg != x.alg || len(x.e.attrs) != 1 || len(x.e.children) != 0 {
			return nil, malformed("%s: want algorithm %s", x.e.local, x.alg)
		}
	}
	return decode(in[2])
}

func keyInfo(e *element) ([]*x509.Certificate, error) {
	data, err := e.exactly("X509Data")
	if err != nil {
		return nil, err
	}
	list, err := data[0].elements()
	if err != nil || len(data[0].attrs) != 0 {
		return nil, malformed("want certificates and no attributes in X509Data")
	}
	var ders [][]byte
	for _, c := range list {
		if !c.is(dsig, "X509Certificate") {
			return nil, malformed("%s among the certificates", c.local)
		}
		der, err := decode(c)
		if err != nil {
			return nil, err
		}
		ders = append(ders, der)
	}
	return chain.Parse(ders)
}

// exactly are the children of an element without attributes, which must be these, of the signature's namespace.
func (e *element) exactly(names ...string) ([]*element, error) {
	if len(e.attrs) != 0 {
		return nil, malformed("attributes of %s", e.local)
	}
	return e.named(names...)
}

func (e *element) named(names ...string) ([]*element, error) {
	out, err := e.elements()
	if err != nil {
		return nil, err
	}
	ok := len(out) == len(names)
	for i := 0; ok && i < len(out); i++ {
		ok = out[i].is(dsig, names[i])
	}
	if !ok {
		return nil, malformed("%s: want %q and nothing else", e.local, names)
	}
	return out, nil
}

// count is how many elements of a namespace there are in e, itself included.
func (e *element) count(space string) int {
	n := 0
	if e.space == space {
		n++
	}
	for _, c := range e.children {
		if c.element != nil {
			n += c.element.count(space)
		}
	}
	return n
}

// decode reads strict base64, in lines.
func decode(e *element) ([]byte, error) {
	s, err := e.content()
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(strings.ReplaceAll(s, "\n", ""))
	if err != nil {
		return nil, malformed("%s: not base64", e.local)
	}
	return b, nil
}
