// SPDX-License-Identifier: Apache-2.0

package endorsements_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/endorsements"
	"github.com/glovebox-dev/glovebox/attestation/endorsements/endorsementstest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
)

// gpuEvidence is a fake GPU's report with its chain.
func gpuEvidence(v *gputest.Vendor) *attestation.Evidence {
	e := imported(attestation.PlatformGPU, v.Sign(gputest.NewReport([32]byte{1})))
	for _, c := range gputest.Certs(v.Device) {
		e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: attestation.CertificateType, Body: c})
	}
	return e
}

// responder answers as NVIDIA's does.
func responder(t *testing.T, g *gputest.Vendor, status int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		b, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Error(err, r.Header)
		}
		q, err := ocsp.ParseRequest(b)
		if err != nil {
			t.Errorf("the request cannot be read: %v", err)
			return false
		}
		for _, chain := range [][]*gputest.Authority{g.Device, g.RIM} {
			for i, a := range chain {
				if a.Cert.SerialNumber.Cmp(q.SerialNumber) == 0 && i < len(chain)-1 {
					w.Write(gputest.OCSP(chain, i, gputest.Answer{Status: status, From: gputest.Now - 100, To: gputest.Now + 1000}))
					return true
				}
			}
		}
		return false
	}
}

func manifests(t *testing.T, v *endorsementstest.Vendor, g *gputest.Vendor, report []byte) (driver, vbios string) {
	t.Helper()
	r, err := spdm.Parse(report)
	if err != nil {
		t.Fatal(err)
	}
	o := &r.Opaque
	driver = "NV_GPU_DRIVER_GH100_" + o.Driver
	vbios = strings.ToUpper(fmt.Sprintf("NV_GPU_VBIOS_%s_%s_%s_%s", o.Project, o.ProjectSKU, o.ChipSKU, strings.ReplaceAll(o.VBIOS, ".", "")))
	for id, m := range map[string]*gputest.Manifest{driver: gputest.DriverManifest(), vbios: gputest.VBIOSManifest()} {
		doc := g.SignManifest(m)
		v.Set("/v1/rim/"+id, endorsementstest.Answer{
			Body: fmt.Appendf(nil, `{"id":%q,"rim":%q,"sha256":"%x"}`, id, base64.StdEncoding.EncodeToString(doc), sha256.Sum256(doc)),
		})
	}
	return driver, vbios
}

func gpuConfig(v *endorsementstest.Vendor) endorsements.Config {
	c := config(v)
	c.Timing(5*time.Second, time.Millisecond, func() time.Time { return time.Unix(gputest.Now, 0) }, func(context.Context, time.Duration) error { return nil })
	return c
}

// TestFillGPU: manifests, and the status of every certificate that a verifier asks about. Under a CPU's evidence too.
func TestFillGPU(t *testing.T) {
	v, g := endorsementstest.New(t), gputest.New(gputest.Options{})
	e := gpuEvidence(g)
	driver, _ := manifests(t, v, g, e.Evidence)
	v.Before(responder(t, g, ocsp.Good))
	c := gpuConfig(v)
	c.Cache = openCache(t, t.TempDir())
	if _, err := fetcher(t, c).Fill(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if n := len(e.Find(attestation.OCSPType)); n != 3+3 {
		t.Errorf("%d answers, want 3 about the device's chain and 3 about the manifests'", n)
	}
	if len(e.Find(attestation.DriverRIMType)) != 1 || len(e.Find(attestation.VBIOSRIMType)) != 1 {
		t.Errorf("%q", types(e))
	}
	asked := len(v.Asked())
	again := gpuEvidence(g)
	r, err := fetcher(t, c).Fill(t.Context(), again) // each request has another nonce, and is the same in the cache
	if err != nil || len(v.Asked()) != asked || !r.Fetched[0].Cached {
		t.Errorf("again: %d more requests, %v", len(v.Asked())-asked, err)
	}

	v.Set("/v1/rim/"+driver, endorsementstest.Answer{Body: []byte(`{"id":"another","rim":"eA=="}`)})
	c.Cache = nil
	if _, err := fetcher(t, c).Fill(t.Context(), gpuEvidence(g)); !errors.Is(err, endorsements.ErrContent) || !strings.Contains(err.Error(), "driver-rim") {
		t.Errorf("another manifest: %v", err)
	}
	v.Set("/v1/rim/"+driver, endorsementstest.Answer{Body: fmt.Appendf(nil, `{"id":%q,"rim":"eA=="}`, driver)})
	if _, err := fetcher(t, c).Fill(t.Context(), gpuEvidence(g)); !errors.Is(err, endorsements.ErrContent) || !strings.Contains(err.Error(), "not a SWID tag") {
		t.Errorf("no manifest: %v", err)
	}
}

// TestOCSP: a revoked certificate's answer is kept, for the verifier to refuse by; no answer is an error.
func TestOCSP(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		want   error
	}{"revoked": {ocsp.Revoked, nil}, "unknown": {ocsp.Unknown, endorsements.ErrContent}} {
		v, g := endorsementstest.New(t), gputest.New(gputest.Options{})
		e := gpuEvidence(g)
		manifests(t, v, g, e.Evidence)
		v.Before(responder(t, g, c.status))
		if _, err := fetcher(t, gpuConfig(v)).Fill(t.Context(), e); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	v, g, other := endorsementstest.New(t), gputest.New(gputest.Options{}), gputest.New(gputest.Options{})
	e := gpuEvidence(g)
	manifests(t, v, g, e.Evidence)
	v.Before(responder(t, other, ocsp.Good))
	if _, err := fetcher(t, gpuConfig(v)).Fill(t.Context(), e); !errors.Is(err, endorsements.ErrContent) || !strings.Contains(err.Error(), "no OCSP answer about this certificate") {
		t.Errorf("answers signed by another: %v", err)
	}
}
