// SPDX-License-Identifier: Apache-2.0

package endorsements_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/endorsements"
	"github.com/glovebox-dev/glovebox/attestation/endorsements/endorsementstest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
)

// TestKeysNeverCached: whoever can write to the cache chooses no trust anchors, and keys leave nothing in it.
func TestKeysNeverCached(t *testing.T) {
	const issuer = "https://issuer.example"
	discovery := `{"issuer":"` + issuer + `","jwks_uri":"` + issuer + `/keys"}`
	v := endorsementstest.New(t)
	v.Set("/.well-known/openid-configuration", endorsementstest.Answer{Body: []byte(discovery)})
	v.Set("/keys", endorsementstest.Answer{Body: []byte(`{"keys":[{"kid":"genuine"}]}`)})
	c := config(v)
	c.Cache = openCache(t, filepath.Join(t.TempDir(), "cache"))
	if _, r, err := fetcher(t, c).Keys(t.Context(), issuer); err != nil || len(r.Fetched) != 2 {
		t.Fatal(r, err)
	}
	if kept, bad, err := c.Cache.Entries(); err != nil || len(kept)+len(bad) != 0 {
		t.Errorf("kept %v %v, %v", kept, bad, err)
	}
	for addr, body := range map[string]string{issuer + "/.well-known/openid-configuration": discovery, issuer + "/keys": `{"keys":[{"kid":"planted"}]}`} {
		if err := c.Cache.Put(addr, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	asked := len(v.Asked())
	keys, r, err := fetcher(t, c).Keys(t.Context(), issuer)
	if err != nil || !strings.Contains(string(keys), "genuine") || len(v.Asked()) != asked+2 || r.Fetched[0].Cached || r.Fetched[1].Cached {
		t.Errorf("with a poisoned cache: %s, %+v, %v", keys, r, err)
	}
	c.Offline = true
	if keys, _, err := fetcher(t, c).Keys(t.Context(), issuer); !errors.Is(err, endorsements.ErrConfig) || keys != nil {
		t.Errorf("offline: %s, %v", keys, err)
	}
}

// TestCacheOfOthers: a directory that somebody else can write to is not used.
func TestCacheOfOthers(t *testing.T) {
	for mode, want := range map[os.FileMode]error{
		0o700: nil, 0o755: nil, 0o770: endorsements.ErrConfig, 0o775: endorsements.ErrConfig, 0o702: endorsements.ErrConfig, 0o777: endorsements.ErrConfig,
		0o777 | os.ModeSticky: endorsements.ErrConfig,
	} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := endorsements.OpenCache(dir); !errors.Is(err, want) {
			t.Errorf("%s: %v", mode, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "new")
	openCache(t, dir)
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("a new one: %v, %v", st, err)
	}
	another := "/"
	if os.Geteuid() == 0 {
		another = t.TempDir()
		if err := os.Chown(another, 65534, 65534); err != nil {
			t.Skip("SKIP 1: nobody's directory cannot be made here: ", err)
		}
	}
	if _, err := endorsements.OpenCache(another); !errors.Is(err, endorsements.ErrConfig) || !strings.Contains(err.Error(), "another user") {
		t.Errorf("of another user: %v", err)
	}
}

// TestMisnamedManifest: a genuine manifest under another name than was asked for is not what was asked for.
func TestMisnamedManifest(t *testing.T) {
	v, g := endorsementstest.New(t), gputest.New(gputest.Options{})
	e := gpuEvidence(g)
	driver, vbios := manifests(t, v, g, e.Evidence)
	v.Before(responder(t, g, ocsp.Good))
	v.Set("/v1/rim/"+driver, endorsementstest.Answer{
		Body: fmt.Appendf(nil, `{"id":%q,"rim":%q}`, vbios, base64.StdEncoding.EncodeToString(g.SignManifest(gputest.DriverManifest()))),
	})
	if _, err := fetcher(t, gpuConfig(v)).Fill(t.Context(), e); !errors.Is(err, endorsements.ErrContent) || !strings.Contains(err.Error(), "the manifest \""+vbios) {
		t.Errorf("%v", err)
	}
}

// TestIssuerOfAnother: what is found at an issuer's address has to have the issuer's name.
func TestIssuerOfAnother(t *testing.T) {
	const path = "/032bf9d39db4fa06aade/ca.crt"
	v := endorsementstest.New(t)
	root := v.PKI.Issue(t, "root", nil, nil)
	leaf := v.PKI.Issue(t, "leaf", root, func(c *certificate) {
		c.IssuingCertificateURL = []string{"http://privateca-content-" + someUUID + ".storage.googleapis.com" + path}
	})
	for name, c := range map[string]struct {
		body []byte
		want error
	}{
		"the issuer":  {root.Cert.Raw, nil},
		"another":     {v.PKI.Issue(t, "other", nil, nil).Cert.Raw, endorsements.ErrContent},
		"the subject": {leaf.Cert.Raw, endorsements.ErrContent},
		"a web page":  {[]byte("<html>"), endorsements.ErrContent},
	} {
		v.Set(path, endorsementstest.Answer{Body: c.body})
		e := imported(attestation.PlatformGCE, []byte("x"))
		e.Endorsements = []attestation.Endorsement{{Type: attestation.CertificateType, Body: leaf.Cert.Raw}}
		if _, err := fetcher(t, config(v)).Fill(t.Context(), e); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
