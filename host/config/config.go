// SPDX-License-Identifier: Apache-2.0

// Package config is host.json, the host's configuration file.
//
// Trust domain: the operator's; shared by the host, which reads it, and the command line, which writes it. It brings
// neither database nor log. Its one job: what is in the file is complete and well formed.
package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// ErrConfig means that host.json cannot be used.
var ErrConfig = errors.New("host/config: invalid configuration")

// FileName is the configuration's name in the operator's directory, which is also the host's state directory.
const FileName = "host.json"

// MaxRelayTimeout bounds how long one question to a broker may take. An enclave waits meanwhile and asks nothing else.
const MaxRelayTimeout = 10 * time.Second

const (
	maxConfig   = 64 << 10
	maxEnclaves = 256
	maxMillis   = 24 * 3600 * 1000
)

// Config is host.json. It is strict: an unknown field is an error. File names in it are relative to its directory. A
// limit that is 0 or absent takes the host's default.
type Config struct {
	Listen  string  `json:"listen"` // host:port; port 0 takes a free one
	Origin  string  `json:"origin"` // of the log: a bare host name, fixed when the log is made
	Enclave Enclave `json:"enclave"`
	Limits  Limits  `json:"limits"`

	// RelayProxy is the URL of an HTTP proxy on the way to brokers; "" is none, whatever the environment says. The proxy
	// connects in the host's place, so it must refuse what the host would: metadata services and link-local addresses.
	RelayProxy string `json:"relayProxy,omitempty"`

	// Witnesses cosign the log's checkpoints. All are asked; a checkpoint counts as cosigned once WitnessThreshold of them
	// have signed it. A broker that demands cosignatures is served only as soon as those it believes are among them.
	Witnesses        []Witness `json:"witnesses,omitempty"`
	WitnessThreshold int       `json:"witnessThreshold,omitempty"`

	// Store is the bucket with the sealed blobs, as s3://…; "" is the folder blobs beside this file.
	Store string `json:"store,omitempty"`

	dir string
}

// Enclave says what the launcher starts.
type Enclave struct {
	Binary string `json:"binary"` // file; "" is glovebox-enclave beside the host's own binary
	Config string `json:"config"` // file given to it as --config
	Count  int    `json:"count"`  // how many to keep running; 0 starts none
}

// Witness is where a witness answers (C2SP tlog-witness), and its verifier key of type cosignature/v1.
type Witness struct {
	URL string `json:"url"` // submission prefix: http or https
	Key string `json:"key"`
}

// Limits bound what the host accepts and how long it tries.
type Limits struct {
	MaxBlobBytes       int64 `json:"maxBlobBytes,omitempty"`
	MaxQueued          int   `json:"maxQueued,omitempty"`
	MaxDeaths          int   `json:"maxDeaths,omitempty"` // attempts of a job that end with a dead enclave
	MaxWaits           int   `json:"maxWaits,omitempty"`  // attempts of a job that end with "try again"
	RetryMinMillis     int64 `json:"retryMinMillis,omitempty"`
	RetryMaxMillis     int64 `json:"retryMaxMillis,omitempty"`
	RelayTimeoutMillis int64 `json:"relayTimeoutMillis,omitempty"`
	CheckpointMillis   int64 `json:"checkpointMillis,omitempty"` // between checkpoints of the log, at least 100
	BundleWaitMillis   int64 `json:"bundleWaitMillis,omitempty"` // a run's bundle waits for witnesses, before it is made without
}

// Load reads and checks a configuration file.
func Load(path string) (*Config, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxConfig {
		return nil, fmt.Errorf("%w: %s is not a file of at most %d bytes", ErrConfig, path, maxConfig)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var c Config
	if err := envelope.DecodeStrict(b, maxConfig, &c); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrConfig, path, err)
	}
	if c.dir, err = filepath.Abs(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

// Write validates c and puts it into dir as [FileName], replacing what was there in one step.
func Write(dir string, c *Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, FileName)
	f, err := os.CreateTemp(dir, FileName+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Validate refuses a configuration that a host could not run with.
func (c *Config) Validate() error {
	bad := func(f string, a ...any) error { return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(f, a...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return bad("listen %q is not host:port", c.Listen)
	}
	l := &c.Limits
	switch {
	case c.Store != "" && !strings.HasPrefix(c.Store, "s3://"):
		return bad("store %q is not an address like s3://bucket/prefix", c.Store)
	case c.Origin == "":
		return bad("no origin")
	case c.Enclave.Count < 0 || c.Enclave.Count > maxEnclaves:
		return bad("enclave count %d, want 0 to %d", c.Enclave.Count, maxEnclaves)
	case c.Enclave.Count > 0 && c.Enclave.Config == "":
		return bad("enclaves without a configuration file")
	case min(l.MaxBlobBytes, int64(l.MaxQueued), int64(l.MaxDeaths), int64(l.MaxWaits)) < 0:
		return bad("negative limit")
	}
	if _, err := c.Proxy(); err != nil {
		return bad("relay proxy: %v", err)
	}
	if err := c.validateWitnesses(); err != nil {
		return bad("witnesses: %v", err)
	}
	if l.RelayTimeoutMillis > MaxRelayTimeout.Milliseconds() {
		return bad("relay timeout of %d ms, want at most %d", l.RelayTimeoutMillis, MaxRelayTimeout.Milliseconds())
	}
	for _, ms := range []int64{l.RetryMinMillis, l.RetryMaxMillis, l.RelayTimeoutMillis, l.CheckpointMillis, l.BundleWaitMillis} {
		if ms < 0 || ms > maxMillis {
			return bad("time of %d ms, want at most a day", ms)
		}
	}
	return nil
}

func (c *Config) validateWitnesses() error {
	if len(c.Witnesses) == 0 && c.WitnessThreshold == 0 {
		return nil
	}
	var keys []string
	for _, w := range c.Witnesses {
		u, err := url.Parse(w.URL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("%q is not the URL of a witness", w.URL)
		}
		keys = append(keys, w.Key)
	}
	_, err := tlog.NewWitnesses(c.WitnessThreshold, keys...)
	return err
}

// Dir is the state directory: where the file was.
func (c *Config) Dir() string { return c.dir }

// Proxy is the relay's proxy, or nil.
func (c *Config) Proxy() (*url.URL, error) {
	if c.RelayProxy == "" {
		return nil, nil
	}
	u, err := url.Parse(c.RelayProxy)
	if err != nil {
		return nil, err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of an HTTP proxy", u.Redacted())
	}
	return u, nil
}

// EnclaveBinary is the file to start.
func (c *Config) EnclaveBinary() (string, error) {
	if c.Enclave.Binary != "" {
		return c.path(c.Enclave.Binary), nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(self), "glovebox-enclave"), nil
}

// EnclaveConfig is the enclave's configuration file.
func (c *Config) EnclaveConfig() string { return c.path(c.Enclave.Config) }

func (c *Config) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.dir, p)
}

// Millis is a limit as a duration.
func Millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
