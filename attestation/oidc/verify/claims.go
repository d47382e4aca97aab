// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// claims are those that are looked at. Google adds others as it goes; they are ignored, but no name may come twice, in any
// object and whatever its case, or two readers would read two tokens.
type claims struct {
	Issuer, Audience, Subject string
	IssuedAt, NotBefore       int64
	Expires                   int64
	Nonces                    []string
	Hardware, Software        string
	SoftwareVersion           []string
	Debug                     string
	SecureBoot                bool
	OEM                       int64
	Attester                  []string // whose hardware the attestation's root of trust is
	TCBStatus, TCBDate        string   // of a TD, as Google appraised it
	Support                   []string
	ImageReference            string
	ImageDigest, ImageID      string // lower-case hex
	Restart                   string
	Args, ArgsOverride        []string
	Env, EnvOverride          map[string]string
	Project, Zone, Instance   string
}

// object is one JSON object of a token. Names are matched exactly, as RFC 7519 wants it and encoding/json does not do.
type object map[string]json.RawMessage

var digestClaim = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// parseClaims reads the payload. What is missing, null or of another type is refused where it decides something.
func parseClaims(b []byte) (*claims, error) {
	var o object
	if err := envelope.DecodeStrict(b, maxToken, &o); err != nil {
		return nil, fmt.Errorf("%w: payload: %w", ErrToken, err)
	}
	c := &claims{}
	p := parser{}
	p.need(o, "iss", &c.Issuer)
	p.need(o, "aud", &c.Audience)
	p.need(o, "exp", &c.Expires)
	p.need(o, "nbf", &c.NotBefore)
	p.need(o, "iat", &c.IssuedAt)
	p.need(o, "hwmodel", &c.Hardware)
	p.need(o, "swname", &c.Software)
	p.need(o, "dbgstat", &c.Debug)
	p.need(o, "secboot", &c.SecureBoot)
	p.may(o, "sub", &c.Subject)
	p.may(o, "oemid", &c.OEM)
	p.may(o, "swversion", &c.SoftwareVersion)
	p.may(o, "attester_tcb", &c.Attester)
	tdx := p.object(o, "tdx")
	p.may(tdx, "gcp_attester_tcb_status", &c.TCBStatus)
	p.may(tdx, "gcp_attester_tcb_date", &c.TCBDate)
	p.nonces(o, c)
	p.submods(p.object(o, "submods"), c)
	if p.err != nil {
		return nil, p.err
	}
	return c, c.check()
}

func (p *parser) submods(o object, c *claims) {
	space, gce := p.object(o, "confidential_space"), p.object(o, "gce")
	p.may(space, "support_attributes", &c.Support)
	p.may(gce, "project_id", &c.Project)
	p.may(gce, "zone", &c.Zone)
	p.may(gce, "instance_name", &c.Instance)
	box := p.object(o, "container")
	if box == nil { // not Confidential Space; what it is, is told by its own check
		return
	}
	p.need(box, "image_digest", &c.ImageDigest)
	p.may(box, "image_reference", &c.ImageReference)
	p.may(box, "image_id", &c.ImageID)
	p.may(box, "restart_policy", &c.Restart)
	p.may(box, "args", &c.Args)
	p.may(box, "env", &c.Env)
	p.may(box, "cmd_override", &c.ArgsOverride)
	p.may(box, "env_override", &c.EnvOverride)
	for _, d := range []*string{&c.ImageDigest, &c.ImageID} {
		if *d != "" && !digestClaim.MatchString(*d) {
			p.fail("image_digest and image_id", "sha256: and 64 lower-case hexadecimal digits")
		}
		*d = strings.TrimPrefix(*d, "sha256:")
	}
}

// parser keeps the first thing that is wrong.
type parser struct{ err error }

func (p *parser) fail(name, want string) {
	if p.err == nil {
		p.err = fmt.Errorf("%w: claim %s: want %s", ErrClaims, name, want)
	}
}

func (p *parser) need(o object, name string, v any) {
	if raw := string(o[name]); raw == "" || raw == "null" || raw == `""` {
		p.fail(name, "it, but it is missing or empty")
		return
	}
	p.may(o, name, v)
}

// may reads a claim that can be absent, which null is too.
func (p *parser) may(o object, name string, v any) {
	raw, ok := o[name]
	if !ok || string(raw) == "null" {
		return
	}
	if json.Unmarshal(raw, v) != nil {
		p.fail(name, fmt.Sprintf("%T", v)[1:])
		return
	}
	switch v := v.(type) {
	case *string:
		if len(*v) > maxText {
			p.fail(name, "at most 1024 bytes")
		}
	case *[]string:
		if len(*v) > maxList {
			p.fail(name, "at most 256 entries")
		}
	case *map[string]string:
		if len(*v) > maxList {
			p.fail(name, "at most 256 entries")
		}
	}
}

func (p *parser) object(o object, name string) object {
	var v object
	p.may(o, name, &v)
	return v
}

// nonces reads eat_nonce, which is a string where there is one, and a list where there are several (RFC 9711, section 4.1).
func (p *parser) nonces(o object, c *claims) {
	raw, ok := o["eat_nonce"]
	if !ok {
		return // bound to nothing, which binding refuses
	}
	if one := ""; strings.HasPrefix(string(raw), `"`) {
		p.may(o, "eat_nonce", &one)
		c.Nonces = []string{one}
	} else {
		p.may(o, "eat_nonce", &c.Nonces)
	}
	if len(c.Nonces) > maxNonces {
		p.fail("eat_nonce", "at most six")
	}
	for _, n := range c.Nonces {
		if n == "" || len(n) > maxText {
			p.fail("eat_nonce", "1 to 1024 bytes each")
		}
	}
}

func (c *claims) check() error {
	if c.IssuedAt <= 0 || c.NotBefore <= 0 || c.NotBefore > c.IssuedAt+int64(maxSkew/time.Second) || c.Expires <= c.IssuedAt || c.Expires-c.IssuedAt > maxTokenLife {
		return fmt.Errorf("%w: iat %d, nbf %d, exp %d make no sense, or a token of more than a day", ErrClaims, c.IssuedAt, c.NotBefore, c.Expires)
	}
	return nil
}

func (c *claims) issued() time.Time { return time.Unix(c.IssuedAt, 0) }
