// SPDX-License-Identifier: Apache-2.0

// Package endorsements fetches what vendors say about evidence: certificates, revocation lists, patch levels, reference
// manifests.
//
// Trust domain: whoever prepares evidence, mostly operators; never the enclave, and never a verifier. Its one job: fill
// an envelope with statements, so that verification needs no network. Nothing is trusted here: an answer is looked at so
// that a wrong page is not kept, and whether it is genuine is decided by verifiers. Addresses come from this package and
// its [Config]; those that certificates name are asked only if they are the vendor's.
package endorsements

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors.
var (
	ErrConfig      = errors.New("endorsements: configuration refused")
	ErrNeeds       = errors.New("endorsements: what this evidence needs cannot be told")
	ErrUnavailable = errors.New("endorsements: service unavailable")
	ErrUnknown     = errors.New("endorsements: the service does not know it")
	ErrContent     = errors.New("endorsements: not what was asked for")
	ErrOffline     = errors.New("endorsements: not in the cache")
	ErrCorrupt     = errors.New("endorsements: damaged cache entry")
)

// Config says whom to ask. The zero value of a base URL is the vendor's own.
type Config struct {
	KDS       string            // AMD's key distribution service
	PCS       string            // Intel's provisioning certification service
	PCCS      string            // a cache of it; everything of Intel is then asked there
	RootCRL   string            // Intel's root CRL, at a host of its own; unused with PCCS
	RIM       string            // NVIDIA's reference manifests
	OCSP      string            // NVIDIA's OCSP responder
	Cache     *Cache            // nil: nothing is kept
	Offline   bool              // use the cache only
	UserAgent string            // default "glovebox"
	Transport http.RoundTripper // default: one that verifies TLS and has timeouts

	timeout time.Duration
	backoff time.Duration
	now     func() time.Time
	sleep   func(context.Context, time.Duration) error
	plain   bool // tests only: do not insist on https
}

// The vendors' services.
const (
	amdKDS       = "https://kdsintf.amd.com"
	intelPCS     = "https://api.trustedservices.intel.com"
	intelRootCRL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
	nvidiaRIM    = "https://rim.attestation.nvidia.com"
	nvidiaOCSP   = "https://ocsp.ndis.nvidia.com"
)

// Fetcher fetches endorsements. It may be used by several goroutines.
type Fetcher struct {
	cfg    Config
	client *http.Client
}

// New refuses addresses that are not https with [ErrConfig].
func New(c Config) (*Fetcher, error) {
	for _, x := range []struct {
		p *string
		d string
	}{{&c.KDS, amdKDS}, {&c.PCS, intelPCS}, {&c.RootCRL, intelRootCRL}, {&c.RIM, nvidiaRIM}, {&c.OCSP, nvidiaOCSP}, {&c.UserAgent, "glovebox"}} {
		if *x.p == "" {
			*x.p = x.d
		}
	}
	c.PCCS = strings.TrimSuffix(strings.TrimSuffix(c.PCCS, "/"), "/sgx/certification/v4")
	for _, u := range []*string{&c.KDS, &c.PCS, &c.PCCS, &c.RootCRL, &c.RIM, &c.OCSP} {
		*u = strings.TrimSuffix(*u, "/")
		if *u == "" || c.plain {
			continue
		}
		if err := secure(*u); err != nil {
			return nil, err
		}
	}
	if c.Offline && c.Cache == nil {
		return nil, fmt.Errorf("%w: offline without a cache", ErrConfig)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.sleep == nil {
		c.sleep = sleep
	}
	if c.timeout == 0 {
		c.timeout = attemptTime
	}
	if c.backoff == 0 {
		c.backoff = time.Second
	}
	return &Fetcher{c, newClient(c.Transport)}, nil
}

// request is one thing to ask a service for.
type request struct {
	name     string // as in reports of verifiers, e.g. "pck-crl"
	url      string
	post     []byte // nil: GET
	postType string
	id       []byte // what is posted, without what changes each time
	hint     string // when the service does not know it
	// read checks that an answer is plausibly what was asked for, and makes endorsements of it.
	read func(a *answer, now time.Time) (*statement, error)
	// then is what the answer itself needs; nil: nothing.
	then func(s *statement) ([]request, error)
}

// statement is a plausible answer.
type statement struct {
	endorsements []attestation.Endorsement
	issued       time.Time // the latest of its parts
	expires      time.Time // the earliest of its parts
}

func (r *request) key() string {
	if r.post == nil {
		return r.url
	}
	return r.url + " " + envelope.Sum(r.id).String()
}

// Fetched is one statement that a fetch used.
type Fetched struct {
	Name    string          `json:"name"`
	URL     string          `json:"url"`
	Cached  bool            `json:"cached"` // it was in the cache
	Expires int64           `json:"expires"`
	Digest  envelope.Digest `json:"digest"` // of the answer
}

// Result is what a fetch did.
type Result struct {
	Fetched []Fetched                 `json:"fetched"`
	Notes   []string                  `json:"notes"` // for people: what cannot be fetched, what was damaged
	Added   []attestation.Endorsement `json:"-"`     // of the evidence itself, for a collector to hand out with the next
}

// Fill fetches what e and its nested devices need and puts it into e, in place of older statements about the same thing.
// On an error e is as it was; what was fetched before it stays in the cache. What e is bound to never changes, its digest
// does.
func (f *Fetcher) Fill(ctx context.Context, e *attestation.Evidence) (*Result, error) {
	if e == nil {
		return nil, fmt.Errorf("%w: there is none", ErrNeeds)
	}
	if f.cfg.Cache != nil {
		f.cfg.Cache.sweep(f.cfg.now())
	}
	out := &Result{Fetched: []Fetched{}, Notes: []string{}}
	whole := attestation.Nested{Platform: e.Platform, Evidence: e.Evidence, Endorsements: e.Endorsements, EventLogs: e.EventLogs}
	parts := append([]attestation.Nested{whole}, e.Nested...)
	var failed []error
	for i := range parts {
		got, err := f.part(ctx, &parts[i], out)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		parts[i].Endorsements = merge(parts[i].Endorsements, got)
		if i == 0 {
			out.Added = got
		}
	}
	if err := errors.Join(failed...); err != nil {
		return out, err
	}
	filled := *e
	filled.Endorsements, filled.Nested = parts[0].Endorsements, parts[1:]
	b, err := filled.Encode()
	if err == nil {
		_, err = attestation.ParseImported(b)
	}
	if err != nil {
		return out, fmt.Errorf("with its endorsements: %w", err)
	}
	*e = filled
	return out, nil
}

func (f *Fetcher) part(ctx context.Context, p *attestation.Nested, out *Result) (got []attestation.Endorsement, err error) {
	n, err := f.needs(p)
	if err != nil {
		return nil, err
	}
	out.Notes = append(out.Notes, n.notes...)
	var failed []error
	for todo := n.requests; len(todo) > 0; {
		r := todo[0]
		todo = todo[1:]
		s, err := f.statement(ctx, &r, out)
		if err == nil && r.then != nil {
			var more []request
			more, err = r.then(s)
			todo = append(more, todo...)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", r.name, err))
			continue
		}
		got = append(got, s.endorsements...)
	}
	return merge(nil, got), errors.Join(failed...)
}

// needs is what one part of an envelope has to be endorsed with.
type needs struct {
	requests []request
	notes    []string
}

func (f *Fetcher) needs(p *attestation.Nested) (*needs, error) {
	switch p.Platform {
	case attestation.PlatformSNP, attestation.PlatformAzureSNP:
		return f.needsAMD(p)
	case attestation.PlatformSGX, attestation.PlatformTDX, attestation.PlatformAzureTDX:
		return f.needsIntel(p)
	case attestation.PlatformNitro, attestation.PlatformGCE:
		return f.needsCRLs(p)
	case attestation.PlatformGPU:
		return f.needsNVIDIA(p)
	case attestation.PlatformOIDC:
		return nil, fmt.Errorf("%w: the keys of a token's issuer are the relying party's choice and belong into her policy: glovebox operator endorsements keys", ErrNeeds)
	case attestation.PlatformTPM, attestation.PlatformSimulated:
		return nil, fmt.Errorf("%w: nobody but an owner's broker endorses %s evidence", ErrNeeds, p.Platform)
	}
	return nil, fmt.Errorf("%w: unknown platform %q", ErrNeeds, p.Platform)
}

// statement answers a request from the cache or from the service.
func (f *Fetcher) statement(ctx context.Context, r *request, out *Result) (*statement, error) {
	if s := f.cached(r, out); s != nil {
		return s, nil
	}
	if f.cfg.Offline {
		return nil, fmt.Errorf("%w: %s", ErrOffline, r.url)
	}
	s, e, err := f.ask(ctx, r, out)
	if err == nil && f.cfg.Cache != nil {
		if err := f.cfg.Cache.put(e); err != nil {
			out.Notes = append(out.Notes, fmt.Sprintf("%s was not kept: %v", r.name, err))
		}
	}
	return s, err
}

// ask has the service answer a request, whatever the cache has, and keeps nothing.
func (f *Fetcher) ask(ctx context.Context, r *request, out *Result) (*statement, *Entry, error) {
	a, err := f.get(ctx, r)
	if err != nil {
		if errors.Is(err, ErrUnknown) && r.hint != "" {
			return nil, nil, fmt.Errorf("%w: %s", err, r.hint)
		}
		return nil, nil, err
	}
	now := f.cfg.now()
	s, err := r.read(a, now)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrContent, host(r.url), err)
	}
	if now.After(s.expires) {
		return nil, nil, fmt.Errorf("%w: %s answers with what expired at %s", ErrContent, host(r.url), stamp(s.expires))
	}
	if s.issued.After(now.Add(5 * time.Minute)) {
		return nil, nil, fmt.Errorf("%w: %s answers with what holds from %s; is this machine's clock right?", ErrContent, host(r.url), stamp(s.issued))
	}
	e := Entry{
		Version: 1, Name: r.name, URL: r.url, Key: r.key(), Fetched: now.Unix(), Expires: keepUntil(s.expires, a.Header["Cache-Control"], now).Unix(),
		Digest: envelope.Sum(a.Body), Header: maps.Clone(a.Header), Body: a.Body,
	}
	out.Fetched = append(out.Fetched, Fetched{r.name, r.url, false, e.Expires, e.Digest})
	return s, &e, nil
}

// cached is nil when the service has to be asked.
func (f *Fetcher) cached(r *request, out *Result) *statement {
	if f.cfg.Cache == nil {
		return nil
	}
	e, err := f.cfg.Cache.get(r.key())
	if e == nil && err == nil {
		return nil
	}
	now := f.cfg.now()
	if err == nil && (now.Unix() >= e.Expires || now.Unix() < e.Fetched) {
		return nil
	}
	var s *statement
	if err == nil {
		if s, err = r.read(&answer{Header: e.Header, Body: e.Body, kept: true}, now); err == nil && now.After(s.expires) {
			return nil
		}
	}
	if err != nil {
		again := "it is fetched again"
		if f.cfg.Offline {
			again = "fetch it without --offline"
		}
		out.Notes = append(out.Notes, fmt.Sprintf("%s in the cache cannot be used (%v): %s", r.name, err, again))
		return nil
	}
	out.Fetched = append(out.Fetched, Fetched{r.name, r.url, true, e.Expires, e.Digest})
	return s
}

// keepUntil is the end of what was signed, or earlier if the service says so.
func keepUntil(signed time.Time, control string, now time.Time) time.Time {
	for d := range strings.SplitSeq(control, ",") {
		name, v, _ := strings.Cut(strings.ToLower(strings.TrimSpace(d)), "=")
		switch name {
		case "no-store", "no-cache":
			return now
		case "max-age":
			age, err := time.ParseDuration(strings.Trim(v, `"`) + "s")
			if t := now.Add(age); err == nil && age >= 0 && t.Before(signed) {
				signed = t
			}
		}
	}
	return signed
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
