// SPDX-License-Identifier: Apache-2.0

package rim_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/rim"
)

// TestSignedOddities: documents whose signature holds over what two parsers could read in two ways. Each is refused for its
// form, since nothing else is wrong with it.
func TestSignedOddities(t *testing.T) {
	v := gputest.New(gputest.Options{})
	const entity = `tagCreator"></ns0:Entity>`
	for name, c := range map[string]struct {
		from, to string
		want     error
		words    string
	}{
		"second signature elsewhere": {entity, `tagCreator"><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"></ds:Signature></ns0:Entity>`, rim.ErrMalformed, "want one signature"},
		"bare > in text":             {entity, `tagCreator">a > b</ns0:Entity>`, rim.ErrMalformed, "bare >"},
		"prefix xmlx":                {`<ns0:Entity `, `<ns0:Entity xmlns:xmlx="urn:x" `, rim.ErrMalformed, "reserved"},
		"prefix declared to nothing": {`<ns0:Entity `, `<ns0:Entity xmlns:q="" `, rim.ErrMalformed, "to nothing"},
		"text in a Resource":         {`"></ns0:Resource>`, `"> </ns0:Resource>`, rim.ErrContent, "type"},
		"element in a Resource":      {`"></ns0:Resource>`, `"><ns0:x></ns0:x></ns0:Resource>`, rim.ErrContent, "type"},
	} {
		m := gputest.DriverManifest()
		m.Doc = replaced(c.from, c.to)
		refusedFor(t, name, v, m, c.want, c.words)
	}
	m := gputest.DriverManifest()
	m.Doc = replaced(entity, `tagCreator">a b<ns0:x></ns0:x></ns0:Entity>`)
	if _, err := rim.Verify(v.SignManifest(m), gputest.Pin(v.RIM), gputest.Now); err != nil {
		t.Errorf("the tests above refuse more than they mean to: %v", err)
	}
}

func refusedFor(t *testing.T, name string, v *gputest.Vendor, m *gputest.Manifest, want error, words string) {
	t.Helper()
	if _, err := rim.Verify(v.SignManifest(m), gputest.Pin(v.RIM), gputest.Now); !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: got %v, want %v with %q", name, err, want, words)
	}
}

// TestAttributesOfTheSignature: elements of a signature have the attributes that are looked at, and no others, whether
// they are signed or not: an Id could make a reference mean them.
func TestAttributesOfTheSignature(t *testing.T) {
	v := gputest.New(gputest.Options{})
	for name, f := range map[string]func(string) string{
		"reference":            replaced(`<ds:Reference URI=""`, `<ds:Reference Id="x" URI=""`),
		"digest method":        replaced(`<ds:DigestMethod Algorithm`, `<ds:DigestMethod A="x" Algorithm`),
		"signature method":     replaced(`<ds:SignatureMethod Algorithm`, `<ds:SignatureMethod A="x" Algorithm`),
		"transforms":           replaced(`<ds:Transforms>`, `<ds:Transforms Id="x">`),
		"digest value":         replaced(`<ds:DigestValue>`, `<ds:DigestValue Id="x">`),
		"child of a transform": replaced(`enveloped-signature"></ds:Transform>`, `enveloped-signature"><ds:x></ds:x></ds:Transform>`),
		"text of a method":     replaced(`ecdsa-sha384"></ds:SignatureMethod>`, `ecdsa-sha384"> </ds:SignatureMethod>`),
	} {
		m := gputest.DriverManifest()
		m.Info = f
		refusedFor(t, name, v, m, rim.ErrMalformed, "")
	}
	for _, e := range []string{"KeyInfo", "X509Data", "X509Certificate", "SignatureValue"} {
		m := gputest.DriverManifest()
		m.Signed = replaced("<ds:"+e+">", "<ds:"+e+` Id="x">`)
		refusedFor(t, e, v, m, rim.ErrMalformed, e)
	}
	m := gputest.DriverManifest()
	m.Signed = replaced("<ds:Signature ", `<ds:Signature Id="x" `)
	refusedFor(t, "signature", v, m, rim.ErrMalformed, "attributes of Signature")
}

// TestStrictBase64: the same bytes have one encoding, but for line feeds.
func TestStrictBase64(t *testing.T) {
	for range 50 { // until a certificate has a length that leaves bits over
		v := gputest.New(gputest.Options{})
		for _, c := range gputest.Certs(v.RIM) {
			s := base64.StdEncoding.EncodeToString(c)
			body := strings.TrimRight(s, "=")
			if body == s {
				continue
			}
			loose := body[:len(body)-1] + string(body[len(body)-1]+1) + s[len(body):]
			if b, err := base64.StdEncoding.DecodeString(loose); err != nil || string(b) != string(c) {
				continue // the next letter is of another kind
			}
			m := gputest.DriverManifest()
			m.Signed = replaced(s, loose)
			refusedFor(t, "bits left over", v, m, rim.ErrMalformed, "not base64")
			m.Signed = replaced(s, s[:8]+" "+s[8:])
			refusedFor(t, "space", v, m, rim.ErrMalformed, "not base64")
			return
		}
	}
	t.Fatal("no certificate leaves bits over")
}

// scopes is a small document with many elements that each have up to per·depth namespaces in scope.
func scopes(per, depth, elements int) string {
	var b, end strings.Builder
	b.WriteString(`<SoftwareIdentity xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"`)
	for d := range depth {
		if d > 0 {
			b.WriteString("<a")
			end.WriteString("</a>")
		}
		for i := range per {
			fmt.Fprintf(&b, ` xmlns:b%dx%d="u"`, d, i)
		}
		b.WriteString(">")
	}
	b.WriteString(strings.Repeat(`<a xmlns:q="u"/>`, elements))
	return b.String() + end.String() + "</SoftwareIdentity>"
}

// TestManyScopes: what every element may have to copy and sort is bounded, so that a few kilobytes do not cost seconds.
func TestManyScopes(t *testing.T) {
	const most = 16
	for name, c := range map[string]struct {
		doc   string
		words string
	}{
		"79 on each of 8 levels": {scopes(79, 8, 1010), "namespaces in scope"},
		"many on one element":    {scopes(most, 1, 1), "namespaces in scope"},
		"a few on each level":    {scopes(3, 6, 100), "namespaces in scope"},
		"as many as there may":   {scopes(most-2, 1, 500), "no element at"},
		"too many elements":      {scopes(most-2, 1, 512), "elements"},
	} {
		doc := c.doc
		if c.words == "no element at" { // the namespaces are accepted: what is refused is at the end
			doc, c.words = strings.TrimSuffix(doc, "</SoftwareIdentity>")+"</x>", "end tag"
		}
		_, err := rim.Verify([]byte(doc), [32]byte{}, gputest.Now)
		if !errors.Is(err, rim.ErrMalformed) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
