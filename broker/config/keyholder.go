// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// The kinds of keyholders.
const (
	KeyholderFile   = "file"
	KeyholderVault  = "vault"
	KeyholderPKCS11 = "pkcs11"
)

// Ways to log in to Vault.
const (
	AuthAppRole = "approle"
	AuthJWT     = "jwt"
	AuthToken   = "token"
)

// Bounds and defaults of keyholders.
const (
	defaultCallTimeout = 3 * time.Second
	minCallTimeout     = 100 * time.Millisecond
	maxCallTimeout     = 30 * time.Second
	maxSessions        = 64
)

// Keyholder says what wraps the owner's data keys. Only the part that its kind names may be there; a file needs none.
// Secrets are given by file name, and those files have mode 0600.
type Keyholder struct {
	Kind   string           `json:"kind"`
	File   *FileKeyholder   `json:"file,omitempty"`
	Vault  *VaultKeyholder  `json:"vault,omitempty"`
	PKCS11 *PKCS11Keyholder `json:"pkcs11,omitempty"`
}

// FileKeyholder says how keyholder.age is locked: with keyholder.identity, or with a passphrase, which is read from
// PassphraseFile or, without one, from the file descriptor given to the broker or from the terminal.
type FileKeyholder struct {
	Passphrase     bool   `json:"passphrase"`
	PassphraseFile string `json:"passphraseFile,omitempty"`
}

// VaultKeyholder names a key of Vault's transit engine. The broker logs in by Auth, which needs to decrypt only; packing,
// rotation and shredding log in by Owner, or by Auth where there is none.
type VaultKeyholder struct {
	Address       string       `json:"address"` // https, or http on this machine
	Namespace     string       `json:"namespace,omitempty"`
	CAFile        string       `json:"caFile,omitempty"`     // PEM; none: the system's
	ServerName    string       `json:"serverName,omitempty"` // in the certificate, where it is not the address's
	Mount         string       `json:"mount"`                // of the transit engine
	Key           string       `json:"key"`                  // derived, not exportable
	TimeoutMillis int64        `json:"timeoutMillis,omitempty"`
	Auth          VaultAuth    `json:"auth"`
	Owner         *VaultAuth   `json:"owner,omitempty"`
	Anchor        *VaultAnchor `json:"anchor,omitempty"` // none: the ledger's anchor is a file
	// Plugin says that Mount is that of Glovebox's own secrets engine, which has one key and seals by itself; no Key then.
	Plugin bool `json:"plugin,omitempty"`
}

// VaultAuth is one way to log in. AppRole takes RoleIDFile and SecretIDFile, JWT takes Role and JWTFile, token takes
// TokenFile (that of a Vault agent, say).
type VaultAuth struct {
	Method       string `json:"method"`
	Mount        string `json:"mount,omitempty"` // default: the method's name
	RoleIDFile   string `json:"roleIdFile,omitempty"`
	SecretIDFile string `json:"secretIdFile,omitempty"`
	// SecretIDWrapped says that SecretIDFile holds a wrapping token, good for one login after each start.
	SecretIDWrapped bool   `json:"secretIdWrapped,omitempty"`
	Role            string `json:"role,omitempty"`
	JWTFile         string `json:"jwtFile,omitempty"`
	TokenFile       string `json:"tokenFile,omitempty"`
}

// VaultAnchor is where the ledger's anchor lies in a KV engine of version 2.
type VaultAnchor struct {
	Mount string `json:"mount"`
	Path  string `json:"path"`
}

// PKCS11Keyholder names AES keys in a token.
type PKCS11Keyholder struct {
	Module   string `json:"module"`             // the token's library
	Token    string `json:"token"`              // its label
	Key      string `json:"key"`                // the keys' label
	PINFile  string `json:"pinFile"`            // the user's PIN
	Sessions int    `json:"sessions,omitempty"` // calls at a time; default 4
}

var (
	vaultPath = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)
	vaultName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,126}$`)
)

// KeyholderKind is the configured kind; a file unless the configuration says otherwise.
func (c *Config) KeyholderKind() string {
	if c.Keyholder == nil {
		return KeyholderFile
	}
	return c.Keyholder.Kind
}

// Validate refuses a keyholder that is not exactly one.
func (k *Keyholder) Validate() error {
	bad := func(f string, a ...any) error {
		return fmt.Errorf("%w: keyholder: %s", ErrConfig, fmt.Sprintf(f, a...))
	}
	if (k.File != nil && k.Kind != KeyholderFile) || (k.Vault != nil) != (k.Kind == KeyholderVault) || (k.PKCS11 != nil) != (k.Kind == KeyholderPKCS11) {
		return bad("kind %q wants its own part and no other", k.Kind)
	}
	switch k.Kind {
	case KeyholderFile:
		if k.File != nil && !k.File.Passphrase && k.File.PassphraseFile != "" {
			return bad("passphraseFile without passphrase")
		}
		return nil
	case KeyholderVault:
		return k.Vault.validate(bad)
	case KeyholderPKCS11:
		p := k.PKCS11
		if p.Module == "" || p.Token == "" || p.Key == "" || p.PINFile == "" || len(p.Token) > 32 {
			return bad("pkcs11 needs module, token (at most 32 bytes), key and pinFile")
		}
		if p.Sessions < 0 || p.Sessions > maxSessions {
			return bad("%d sessions, at most %d", p.Sessions, maxSessions)
		}
		return nil
	}
	return bad("kind %q, want %q, %q or %q", k.Kind, KeyholderFile, KeyholderVault, KeyholderPKCS11)
}

func (v *VaultKeyholder) validate(bad func(string, ...any) error) error {
	switch {
	case !vaultURL(v.Address):
		return bad("vault address %q: want an https URL without a path; http is for this machine only", v.Address)
	case v.Plugin && v.Key != "":
		return bad("vault key %q: the plug-in has a key of its own", v.Key)
	case !vaultPath.MatchString(v.Mount) || (!v.Plugin && !vaultName.MatchString(v.Key)):
		return bad("vault mount %q and key %q: want a path and a name", v.Mount, v.Key)
	case v.Namespace != "" && !vaultPath.MatchString(v.Namespace):
		return bad("vault namespace %q", v.Namespace)
	case v.Timeout() < minCallTimeout || v.Timeout() > maxCallTimeout:
		return bad("vault timeoutMillis %d, want %v to %v", v.TimeoutMillis, minCallTimeout, maxCallTimeout)
	case v.Anchor != nil && (!vaultPath.MatchString(v.Anchor.Mount) || !vaultPath.MatchString(v.Anchor.Path)):
		return bad("vault anchor: mount %q and path %q: want two paths", v.Anchor.Mount, v.Anchor.Path)
	}
	for _, a := range []*VaultAuth{&v.Auth, v.Owner} {
		if a == nil {
			continue
		}
		if err := a.validate(); err != nil {
			return bad("%v", err)
		}
	}
	return nil
}

// validate wants what the method takes and nothing else: a file that is silently ignored is a misunderstanding.
func (a *VaultAuth) validate() error {
	want := VaultAuth{Method: a.Method, Mount: a.Mount}
	complete := true
	switch a.Method {
	case AuthAppRole:
		want.RoleIDFile, want.SecretIDFile, want.SecretIDWrapped = a.RoleIDFile, a.SecretIDFile, a.SecretIDWrapped
		complete = a.RoleIDFile != "" && a.SecretIDFile != ""
	case AuthJWT:
		want.Role, want.JWTFile = a.Role, a.JWTFile
		complete = vaultName.MatchString(a.Role) && a.JWTFile != ""
	case AuthToken:
		want.TokenFile = a.TokenFile
		complete = a.TokenFile != "" && a.Mount == ""
	default:
		return fmt.Errorf("vault auth method %q, want %q, %q or %q", a.Method, AuthAppRole, AuthJWT, AuthToken)
	}
	if !complete || want != *a || (a.Mount != "" && !vaultPath.MatchString(a.Mount)) {
		return fmt.Errorf("vault auth method %q: something is missing, or belongs to another method", a.Method)
	}
	return nil
}

// Timeout bounds one call to Vault.
func (v *VaultKeyholder) Timeout() time.Duration {
	if v.TimeoutMillis == 0 {
		return defaultCallTimeout
	}
	if v.TimeoutMillis < 0 || v.TimeoutMillis > maxCallTimeout.Milliseconds() {
		return -1
	}
	return time.Duration(v.TimeoutMillis) * time.Millisecond
}

// vaultURL: tokens and keys travel to it, so it is encrypted unless it stays on this machine.
func vaultURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" || (u.Path != "" && u.Path != "/") {
		return false
	}
	if u.Scheme == "http" {
		ip := net.ParseIP(u.Hostname())
		return u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
	}
	return u.Scheme == "https"
}

// FileUnlock is what opens the directory's key file. prompt is asked where the configuration names no passphrase file;
// nil means that nobody can be asked.
func (c *Config) FileUnlock(prompt func() (keyholder.Unlock, error)) (keyholder.Unlock, error) {
	k := c.Keyholder
	switch {
	case c.KeyholderKind() != KeyholderFile:
		return keyholder.Unlock{}, fmt.Errorf("%w: the keyholder is a %s", ErrConfig, c.KeyholderKind())
	case k == nil || k.File == nil || !k.File.Passphrase:
		return keyholder.IdentityFile(c.layout.KeyholderIdentity())
	case k.File.PassphraseFile != "":
		return keyholder.PassphraseFile(c.Path(k.File.PassphraseFile))
	case prompt != nil:
		return prompt()
	}
	return keyholder.Unlock{}, fmt.Errorf("%w: keyholder.age has a passphrase, and nobody to ask for it", keyholder.ErrAuth)
}

// OpenFileKeyholder opens the directory's key file.
func (c *Config) OpenFileKeyholder(prompt func() (keyholder.Unlock, error)) (*keyholder.File, error) {
	u, err := c.FileUnlock(prompt)
	if err != nil {
		return nil, err
	}
	return keyholder.OpenFile(c.layout.Keyholder(), u)
}

// ErrChanged means that a wrapped key is not the one that was read before.
var ErrChanged = errors.New("config: the wrapped key was replaced meanwhile")

// WrappedKey is one wrapped key in the directory.
type WrappedKey struct {
	Package envelope.Digest // zero for a contributor's, and a pack's
	Unit    *grant.UnitRef  // the contributor; nil for others
	Pack    string          // name of a pack that is not complete; "" for others
	Context []byte
	Wrapped []byte
	path    string
}

// name says whose key it is.
func (w *WrappedKey) name() string {
	if w.Unit != nil {
		return "unit " + w.Unit.ID.String()
	}
	if w.Pack != "" {
		return "unfinished pack of " + w.Pack
	}
	return "package " + w.Package.String()
}

// WrappedKeys reads every wrapped key in the directory: packages' by their digests, those of unfinished packs, contributors'.
func (c *Config) WrappedKeys() ([]WrappedKey, error) {
	ids, err := c.PackageIDs()
	if err != nil {
		return nil, err
	}
	var out []WrappedKey
	for _, id := range ids {
		w, err := c.WrappedKey(id)
		if err != nil {
			return nil, err
		}
		out = append(out, WrappedKey{Package: id, Context: keyholder.Context(id), Wrapped: w, path: filepath.Join(c.layout.Package(id), wrapFile)})
	}
	packs, err := c.wrappedPacks()
	if err != nil {
		return nil, err
	}
	units, err := c.wrappedUnits()
	return slices.Concat(out, packs, units), err
}

// Rewrap moves one wrapped key to the keyholder's latest version. The new one replaces the old one only after it was seen
// to open to the same key, and only if it is still the one that was read ([ErrChanged], [ErrShredded]); a running broker
// finds one or the other. The caller holds [Layout.LockKeys] since [Config.WrappedKeys].
func (w *WrappedKey) Rewrap(ctx context.Context, r keyholder.Retirer, k keyholder.Keyholder) error {
	moved, err := r.Rewrap(ctx, w.Context, w.Wrapped)
	if err != nil {
		return fmt.Errorf("%s: %w", w.name(), err)
	}
	keys, err := keyholder.UnwrapAll(ctx, k, []keyholder.Item{{Context: w.Context, Wrapped: w.Wrapped}, {Context: w.Context, Wrapped: moved}})
	defer keyholder.Wipe(keys)
	if err != nil {
		return fmt.Errorf("%s: %w", w.name(), err)
	}
	if subtle.ConstantTimeCompare(keys[0], keys[1]) != 1 {
		return fmt.Errorf("%s: %w: rewrapping gave another key; nothing was changed", w.name(), keyholder.ErrUnwrap)
	}
	if err := w.unchanged(); err != nil {
		return fmt.Errorf("%s: %w", w.name(), err)
	}
	if err := WriteFile(w.path, moved); err != nil {
		return err
	}
	w.Wrapped = moved
	return nil
}

// unchanged checks that the file still holds what was read from it: a list from before somebody was erased, or was wrapped
// anew, must bring nothing back.
func (w *WrappedKey) unchanged() error {
	b, err := readFile(w.path, keyholder.MaxWrapped)
	if w.Unit != nil {
		b, err = readUnit(strings.TrimSuffix(w.path, wrapSuffix))
	}
	if err != nil {
		return err
	}
	if !bytes.Equal(b, w.Wrapped) {
		return ErrChanged
	}
	return nil
}
