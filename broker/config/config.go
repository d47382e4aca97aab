// SPDX-License-Identifier: Apache-2.0

// Package config is the directory of one owner: keys, broker configuration, packages and revocations.
//
// Trust domain: the owner's side; shared by the broker, which reads it, and the command line, which writes it. It brings
// neither policy engine nor database. Its one job: what is in the directory is complete, private and well formed.
package config

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of this package.
var (
	ErrConfig  = errors.New("broker/config: invalid configuration")
	ErrExists  = errors.New("broker/config: already there")
	ErrPackage = errors.New("broker/config: unusable package")
	ErrUnknown = errors.New("broker/config: no such package")
)

// Bounds and defaults.
const (
	maxConfig               = 64 << 10
	maxEKRoots              = 64
	DefaultHeartbeatTimeout = 2 * time.Minute // longer than an enclave's and a relay's patience with one broker
	minHeartbeatTimeout     = 100 * time.Millisecond
	maxHeartbeatTimeout     = 24 * time.Hour
)

// Config is broker.json. It is strict: an unknown field is an error. File names in it are relative to its directory.
type Config struct {
	Listen       string              `json:"listen"`       // host:port; port 0 takes a free one
	Address      string              `json:"address"`      // the URL that manifests carry
	Owner        envelope.PublicKey  `json:"owner"`        // whose packages these are
	Buyer        *envelope.PublicKey `json:"buyer"`        // whose jobs may use this owner's code; null for a creator
	Reference    string              `json:"reference"`    // file of the signed reference values
	ReferenceKey envelope.PublicKey  `json:"referenceKey"` // signs them
	EKRoots      []EKRoot            `json:"ekRoots"`      // TPM makers whose chips are enrolled; none: no TPM is
	// SimulatedRoot signs simulated evidence. Absent in production; builds without the simulated platform refuse it.
	SimulatedRoot          *envelope.PublicKey `json:"simulatedRoot,omitempty"`
	HeartbeatTimeoutMillis int64               `json:"heartbeatTimeoutMillis"` // silence after which a lease is lost
	LogURL                 string              `json:"logURL,omitempty"`       // host whose log gets the signed records; none: they stay here
	Log                    *Log                `json:"log,omitempty"`          // where grants must be seen before commits; none: commits are unwitnessed
	Store                  string              `json:"store,omitempty"`        // bucket with the sealed blobs, as s3://…; none: the folder blobs
	Keyholder              *Keyholder          `json:"keyholder,omitempty"`    // what wraps the data keys; none: keyholder.age, with its identity
	Policy                 *Policy             `json:"policy,omitempty"`       // rules of the owner's own; none: those in the folder policy, if it is there
	Witness                *Witness            `json:"witness,omitempty"`      // logs to cosign; none: this broker is no witness

	layout Layout
}

// EKRoot is a certificate authority of TPM endorsement keys, and what its certificates are worth.
type EKRoot struct {
	CertFile  string                `json:"certFile"` // PEM or DER
	Assurance attestation.Assurance `json:"assurance"`
}

// Load reads and checks a configuration file.
func Load(path string) (*Config, error) {
	b, err := readFile(path, maxConfig)
	if err != nil {
		return nil, err
	}
	var c Config
	if err := envelope.DecodeStrict(b, maxConfig, &c); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfig, path, err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	c.layout = Layout{dir}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

// Write validates c and replaces the configuration in dir atomically.
func Write(dir string, c *Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	b, err := indented(c)
	if err != nil {
		return err
	}
	return WriteFile(Layout{dir}.Config(), b)
}

// Validate refuses a configuration that leaves open whom the broker serves or trusts.
func (c *Config) Validate() error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(f, a...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return bad("listen %q is not host:port", c.Listen)
	}
	if !httpURL(c.Address) {
		return bad("address %q is not an http or https URL", c.Address)
	}
	if c.LogURL != "" && !httpURL(c.LogURL) {
		return bad("logURL %q is not an http or https URL", c.LogURL)
	}
	if c.Store != "" && !strings.HasPrefix(c.Store, "s3://") {
		return bad("store %q is not an address like s3://bucket/prefix", c.Store)
	}
	keys := []envelope.PublicKey{c.Owner, c.ReferenceKey}
	for _, k := range []*envelope.PublicKey{c.Buyer, c.SimulatedRoot} {
		if k != nil {
			keys = append(keys, *k)
		}
	}
	if err := envelope.Distinct(keys...); err != nil {
		return bad("owner, buyer, referenceKey and simulatedRoot: %v", err)
	}
	if c.Reference == "" {
		return bad("no reference file")
	}
	if t := c.HeartbeatTimeout(); t < minHeartbeatTimeout || t > maxHeartbeatTimeout {
		return bad("heartbeatTimeoutMillis %d, want %v to %v", c.HeartbeatTimeoutMillis, minHeartbeatTimeout, maxHeartbeatTimeout)
	}
	if c.Keyholder != nil {
		if err := c.Keyholder.Validate(); err != nil {
			return err
		}
	}
	if c.Policy != nil {
		if err := c.Policy.validate(); err != nil {
			return err
		}
	}
	if c.Witness != nil {
		if _, err := c.Witness.Parse(); err != nil {
			return err
		}
	}
	return errors.Join(c.validateRoots(), c.validateLog())
}

func (c *Config) validateRoots() error {
	if len(c.EKRoots) > maxEKRoots {
		return fmt.Errorf("%w: %d ekRoots, at most %d", ErrConfig, len(c.EKRoots), maxEKRoots)
	}
	for _, r := range c.EKRoots {
		if r.CertFile == "" || (r.Assurance != attestation.AssuranceTPM && r.Assurance != attestation.AssuranceSoftwareTPM) {
			return fmt.Errorf("%w: an ekRoot needs a certFile and assurance %q or %q", ErrConfig, attestation.AssuranceTPM, attestation.AssuranceSoftwareTPM)
		}
	}
	return nil
}

func httpURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.Fragment == ""
}

// Layout is the directory the configuration was loaded from.
func (c *Config) Layout() Layout { return c.layout }

// Path resolves a file name in the configuration.
func (c *Config) Path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.layout.Dir, name)
}

// HeartbeatTimeout is the silence after which a lease is lost.
func (c *Config) HeartbeatTimeout() time.Duration {
	if c.HeartbeatTimeoutMillis < 0 || c.HeartbeatTimeoutMillis > maxHeartbeatTimeout.Milliseconds() {
		return -1
	}
	return time.Duration(c.HeartbeatTimeoutMillis) * time.Millisecond
}

// Certificate reads one of the EKRoots.
func (c *Config) Certificate(r EKRoot) (*x509.Certificate, error) {
	b, err := readFile(c.Path(r.CertFile), maxConfig)
	if err != nil {
		return nil, err
	}
	if p, _ := pem.Decode(b); p != nil {
		b = p.Bytes
	}
	cert, err := x509.ParseCertificate(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is not a certificate", ErrConfig, r.CertFile)
	}
	return cert, nil
}

// readFile reads at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %s", envelope.ErrTooLarge, path)
	}
	return b, nil
}
