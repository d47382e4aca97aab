// SPDX-License-Identifier: Apache-2.0

package rim_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/gpu/chain"
	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/rim"
)

func replaced(from, to string) func(string) string {
	return func(d string) string {
		if !strings.Contains(d, from) {
			panic("rim_test: " + from + " is not there to be replaced")
		}
		return strings.Replace(d, from, to, 1)
	}
}

// cut returns what is between two marks, both included.
func cut(d, from, to string) string {
	i := strings.Index(d, from)
	j := strings.Index(d[i:], to)
	return d[i : i+j+len(to)]
}

const (
	sigStart = `<ds:Signature xmlns:ds`
	sigEnd   = `</ds:Signature>`
	evil     = `<ns0:Payload><ns0:Resource active="True" alternatives="1" index="0" size="1" type="Measurement" ns2:Hash0="00"></ns0:Resource></ns0:Payload>`
)

// wraps are changes to a signed document, most of them known from attacks on other verifiers.
func wraps() map[string]func(d string) string {
	return map[string]func(d string) string{
		"value changed":                   replaced(`index="1"`, `index="2"`),
		"text changed":                    replaced("\n    <ns0:Meta", "\n     <ns0:Meta"),
		"second payload":                  replaced("<ns0:Payload>", evil+"<ns0:Payload>"),
		"payload inside the signature":    replaced(`<ds:KeyInfo>`, evil+`<ds:KeyInfo>`),
		"payload in an object":            replaced(`</ds:KeyInfo>`, `</ds:KeyInfo><ds:Object>`+evil+`</ds:Object>`),
		"payload after the signature":     replaced(`</ds:Signature>`, `</ds:Signature>`+evil),
		"payload in the key info":         replaced(`<ds:X509Data>`, evil+`<ds:X509Data>`),
		"document in an object of itself": func(d string) string { return wrapped(d) },
		"signature moved first": func(d string) string {
			sig := cut(d, sigStart, sigEnd)
			return strings.Replace(strings.Replace(d, sig, "", 1), "    <ns0:Entity", sig+"    <ns0:Entity", 1)
		},
		"signature twice": func(d string) string { s := cut(d, sigStart, sigEnd); return strings.Replace(d, s, s+s, 1) },
		"signature in the payload too": func(d string) string {
			return strings.Replace(d, "<ns0:Payload>", "<ns0:Payload>"+cut(d, sigStart, sigEnd), 1)
		},
		"no signature": func(d string) string { return strings.Replace(d, cut(d, sigStart, sigEnd), "", 1) },
		"empty signature": func(d string) string {
			return strings.Replace(d, cut(d, sigStart, sigEnd), `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"></ds:Signature>`, 1)
		},
		"comment in a value":            replaced(`colloquialVersion="`, `colloquialVersion="<!-- -->`),
		"comment between elements":      replaced("<ns0:Payload>", "<ns0:Payload><!-- x -->"),
		"processing instruction":        replaced("<ns0:Payload>", "<ns0:Payload><?x y?>"),
		"document type":                 func(d string) string { return `<!DOCTYPE x [<!ENTITY a "b">]>` + d },
		"XML declaration":               func(d string) string { return `<?xml version="1.1"?>` + d },
		"entity":                        replaced(`product="GH100"`, `product="&a;"`),
		"character reference":           replaced(`product="GH100"`, `product="&#71;H100"`),
		"CDATA":                         replaced("<ns0:Payload>", "<ns0:Payload><![CDATA[ ]]>"),
		"carriage return":               replaced("\n", "\r\n"),
		"byte order mark":               func(d string) string { return "\ufeff" + d },
		"tab":                           replaced("\n    ", "\n\t"),
		"not ASCII":                     replaced("Fake Corporation", "Fäke Corporation"),
		"zero byte":                     replaced("Fake Corporation", "Fake\x00Corporation"),
		"second root":                   func(d string) string { return d + "<x/>" },
		"text after the root":           func(d string) string { return d + " " },
		"prefix bound to another":       replaced(`<ns0:Payload>`, `<ns0:Payload xmlns:ns0="urn:x">`),
		"prefix declared twice":         replaced(`xmlns:ns0="`, `xmlns:ns0="urn:x" xmlns:ns0="`),
		"unused namespace":              replaced(`<SoftwareIdentity `, `<SoftwareIdentity xmlns:x="urn:x" `),
		"xml prefix":                    replaced(`<ns0:Payload>`, `<ns0:Payload xml:space="preserve">`),
		"attribute twice":               replaced(`index="1"`, `index="1" index="2"`),
		"attribute twice by namespace":  replaced(`ns2:Hash0="`, `xmlns:q="http://www.w3.org/2001/04/xmlenc#sha384" q:Hash0="00" ns2:Hash0="`),
		"single quotes":                 replaced(`index="1"`, `index='1'`),
		"undeclared prefix":             replaced("<ns0:Payload>", "<q:Payload>"),
		"end tag of another":            replaced("</ns0:Payload>", "</ns0:Payloae>"),
		"bare >":                        replaced("<ns0:Payload>", "<ns0:Payload>>"),
		"line feed in an attribute":     replaced("Fake Corporation", "Fake\nCorporation"),
		"other digest":                  replaced("<ds:DigestValue>", "<ds:DigestValue>AAAA"),
		"other signature":               replaced("<ds:SignatureValue>", "<ds:SignatureValue>AAAA"),
		"signature not base64":          replaced("<ds:SignatureValue>", "<ds:SignatureValue>*"),
		"root with an Id":               replaced(`<SoftwareIdentity `, `<SoftwareIdentity Id="x" `),
		"deep":                          replaced("<ns0:Payload>", "<ns0:Payload>"+strings.Repeat("<ns0:a>", 50)+strings.Repeat("</ns0:a>", 50)),
		"many elements":                 replaced("<ns0:Payload>", "<ns0:Payload>"+strings.Repeat("<ns0:a/>", 2000)),
		"many attributes":               replaced("<ns0:Payload>", "<ns0:Payload"+strings.Repeat(` a="b"`, 100)+">"),
		"oversized":                     func(d string) string { return d + strings.Repeat(" ", rim.MaxRIM) },
		"empty":                         func(string) string { return "" },
		"no more than a root":           func(string) string { return "<a/>" },
		"truncated":                     func(d string) string { return d[:len(d)/2] },
		"certificates in another order": func(d string) string { return swapCertificates(d) },
		"no certificates": func(d string) string {
			return strings.Replace(d, cut(d, "<ds:X509Data>", "</ds:X509Data>"), "<ds:X509Data></ds:X509Data>", 1)
		},
		"key by value": replaced("<ds:X509Data>", "<ds:KeyValue></ds:KeyValue><ds:X509Data>"),
	}
}

// wrapped puts the signed document into an object of a new document's signature.
func wrapped(d string) string {
	inner := strings.Replace(d, cut(d, sigStart, sigEnd), "", 1)
	return strings.Replace(strings.Replace(d, `index="1"`, `index="9"`, 1), sigEnd, "<ds:Object>"+inner+"</ds:Object>"+sigEnd, 1)
}

func swapCertificates(d string) string {
	c := strings.SplitAfter(cut(d, "<ds:X509Data>", "</ds:X509Data>"), "</ds:X509Certificate>")
	first := strings.TrimPrefix(c[0], "<ds:X509Data>")
	return strings.Replace(strings.Replace(d, first, "", 1), c[1], c[1]+first, 1)
}

// infos are changes to what is signed about the document: its signer could make them, but a verifier must not follow.
func infos() map[string]func(info string) string {
	return map[string]func(info string) string{
		"reference to a part":         replaced(`URI=""`, `URI="#x"`),
		"reference to elsewhere":      replaced(`URI=""`, `URI="http://example.com/"`),
		"no URI":                      replaced(` URI=""`, ``),
		"two references":              func(i string) string { r := cut(i, "<ds:Reference", "</ds:Reference>"); return i + r },
		"no reference":                func(i string) string { return strings.Replace(i, cut(i, "<ds:Reference", "</ds:Reference>"), "", 1) },
		"XPath transform":             replaced("http://www.w3.org/2000/09/xmldsig#enveloped-signature", "http://www.w3.org/TR/1999/REC-xpath-19991116"),
		"XSLT transform":              replaced("http://www.w3.org/2000/09/xmldsig#enveloped-signature", "http://www.w3.org/TR/1999/REC-xslt-19991116"),
		"exclusive canonicalisation":  replaced("http://www.w3.org/2006/12/xml-c14n11", "http://www.w3.org/2001/10/xml-exc-c14n#"),
		"canonicalisation + comments": replaced("http://www.w3.org/2006/12/xml-c14n11", "http://www.w3.org/2006/12/xml-c14n11#WithComments"),
		"SHA-1 digest":                replaced("http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2000/09/xmldsig#sha1"),
		"HMAC":                        replaced("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
		"another transform":           replaced("</ds:Transforms>", `<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"></ds:Transform></ds:Transforms>`),
		"comment in the digest":       replaced("<ds:DigestValue>", "<ds:DigestValue><!-- x -->"),
		"element in the digest":       replaced("<ds:DigestValue>", "<ds:DigestValue><ds:x></ds:x>"),
	}
}

// TestSignatureWrapping: nothing is read that was not signed, and nothing signed is read another way.
func TestSignatureWrapping(t *testing.T) {
	v := gputest.New(gputest.Options{})
	try := func(name string, m *gputest.Manifest) {
		got, err := rim.Verify(v.SignManifest(m), gputest.Pin(v.RIM), gputest.Now)
		if err == nil || !known(err) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	for name, f := range wraps() {
		m := gputest.DriverManifest()
		m.Signed = f
		try(name, m)
	}
	for name, f := range infos() {
		m := gputest.DriverManifest()
		m.Info = f
		try(name, m)
	}
	t.Logf("refused %d changed documents and %d changed signatures", len(wraps()), len(infos()))
}

func known(err error) bool {
	for _, e := range []error{rim.ErrMalformed, rim.ErrSignature, rim.ErrContent, chain.ErrChain} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// TestSameDocument: what canonicalisation ignores is no change: the same document in other bytes, with another digest.
func TestSameDocument(t *testing.T) {
	v := gputest.New(gputest.Options{})
	for name, f := range map[string]func(string) string{
		"as signed":             func(d string) string { return d },
		"line feed at the end":  func(d string) string { return d + "\n" },
		"empty-element tags":    func(d string) string { return strings.ReplaceAll(d, "></ns0:Resource>", "/>") },
		"attributes reordered":  replaced(`active="False" alternatives="1"`, `alternatives="1" active="False"`),
		"space in a tag":        replaced("<ns0:Payload>", "<ns0:Payload \n >"),
		"redundant declaration": replaced("<ns0:Payload>", `<ns0:Payload xmlns:ns0="http://standards.iso.org/iso/19770/-2/2015/schema.xsd">`),
		"certificates in lines": replaced("<ds:X509Certificate>MII", "<ds:X509Certificate>MI\nI"),
	} {
		m := gputest.DriverManifest()
		m.Signed = f
		got, err := rim.Verify(v.SignManifest(m), gputest.Pin(v.RIM), gputest.Now)
		if err != nil || got.Version != gputest.Driver || len(got.Golden) != 64 || len(got.Golden[0].Values) != 2 || !got.Golden[0].Active || got.Golden[1].Active {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBitFlips: no byte of a manifest can change, not even of the certificates in it. One bit of each byte stands for all
// eight: bytes take turns in which.
func TestBitFlips(t *testing.T) {
	v := gputest.New(gputest.Options{})
	m := gputest.DriverManifest()
	m.Golden = m.Golden[:6]
	doc, n := v.SignManifest(m), 0
	step := 1
	if testing.Short() {
		step = 19
	}
	for i := 0; i < len(doc); i += step {
		b := bytes.Clone(doc)
		b[i] ^= 1 << (i % 8)
		if _, err := rim.Verify(b, gputest.Pin(v.RIM), gputest.Now); err == nil {
			t.Errorf("byte %d bit %d of %q", i, i%8, doc[max(0, i-10):min(len(doc), i+10)])
		}
		n++
	}
	t.Logf("refused %d bit flips", n)
}

// FuzzVerify: a changed manifest is never accepted with another content.
func FuzzVerify(f *testing.F) {
	v := gputest.New(gputest.Options{})
	doc := v.SignManifest(gputest.DriverManifest())
	seeds := [][]byte{doc, []byte("<a/>"), []byte(`<a xmlns="b" c="d">e<f/></a>`), []byte(base64.StdEncoding.EncodeToString(doc))}
	for name, change := range wraps() {
		if name != "oversized" {
			seeds = append(seeds, []byte(change(string(doc))))
		}
	}
	if len(seeds) < 50 {
		f.Fatalf("%d seeds", len(seeds))
	}
	for _, s := range seeds {
		f.Add(s)
	}
	want, err := rim.Verify(doc, gputest.Pin(v.RIM), gputest.Now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		m, err := rim.Verify(b, gputest.Pin(v.RIM), gputest.Now)
		if time.Since(start) > 30*time.Second {
			t.Error("too slow")
		}
		if err == nil && (m.Version != want.Version || len(m.Golden) != len(want.Golden)) {
			t.Errorf("accepted another manifest: %s", b)
		}
	})
}
