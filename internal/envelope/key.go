// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Role says what a key may sign. One key has one role; [PredicateRole] says which role signs which statement.
type Role string

// The roles. A zero Role signs and verifies nothing.
const (
	RoleOwner     Role = "owner"     // creator of a dataset, or buyer as owner of her code: manifests, revocations
	RoleBuyer     Role = "buyer"     // who submits and pays: jobs
	RoleBroker    Role = "broker"    // an owner's broker: challenges, tickets, grants, allowances, commits
	RoleEnclave   Role = "enclave"   // one lease of one enclave: heartbeats, usage attestations
	RoleReference Role = "reference" // who vouches for measurements: reference values
)

// roleHeader is the PEM header of a key file that names the key's role.
const roleHeader = "Glovebox-Role"

// didPrefix opens a did:key identifier in base58btc; p256Multicodec is varint(0x1200), p256-pub.
const didPrefix = "did:key:z"

var p256Multicodec = []byte{0x80, 0x24}

// PublicKey is a P-256 public key, written as a did:key identifier. The zero value verifies nothing.
type PublicKey struct{ k *ecdsa.PublicKey }

// NewPublicKey wraps k, which must be a point on P-256.
func NewPublicKey(k crypto.PublicKey) (PublicKey, error) {
	e, ok := k.(*ecdsa.PublicKey)
	if !ok || e == nil || e.Curve != elliptic.P256() {
		return PublicKey{}, fmt.Errorf("%w: want ECDSA P-256", ErrKey)
	}
	if _, err := e.ECDH(); err != nil { // refuses points off the curve
		return PublicKey{}, fmt.Errorf("%w: %v", ErrKey, err)
	}
	return PublicKey{e}, nil
}

// ParsePublicKey reads a did:key identifier of a P-256 key (W3C did:key, multicodec 0x1200, compressed point).
func ParsePublicKey(s string) (PublicKey, error) {
	t, ok := strings.CutPrefix(s, didPrefix)
	if !ok || len(t) > 64 {
		return PublicKey{}, fmt.Errorf("%w: want %s…", ErrKey, didPrefix)
	}
	b, err := base58Decode(t)
	if err != nil {
		return PublicKey{}, err
	}
	if len(b) != 35 || b[0] != p256Multicodec[0] || b[1] != p256Multicodec[1] {
		return PublicKey{}, fmt.Errorf("%w: not a P-256 did:key", ErrKey)
	}
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), b[2:])
	if x == nil {
		return PublicKey{}, fmt.Errorf("%w: not a point on P-256", ErrKey)
	}
	raw := make([]byte, 65) // 4 ‖ x ‖ y
	raw[0] = 4
	x.FillBytes(raw[1:33])
	y.FillBytes(raw[33:])
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%w: %v", ErrKey, err)
	}
	p := PublicKey{k}
	if p.String() != s {
		return PublicKey{}, fmt.Errorf("%w: not in canonical form", ErrKey)
	}
	return p, nil
}

// IsZero reports whether p holds no key.
func (p PublicKey) IsZero() bool { return p.k == nil }

// Equal reports whether both hold the same key. Two zero values are not equal: neither is a key.
func (p PublicKey) Equal(q PublicKey) bool { return p.k != nil && q.k != nil && p.k.Equal(q.k) }

// ECDSA is the key for libraries that need the standard type; nil for the zero value.
func (p PublicKey) ECDSA() *ecdsa.PublicKey { return p.k }

// SPKI is the DER SubjectPublicKeyInfo (RFC 5280); nil for the zero value.
func (p PublicKey) SPKI() []byte {
	if p.k == nil {
		return nil
	}
	b, err := x509.MarshalPKIXPublicKey(p.k)
	if err != nil {
		panic("envelope: P-256 key does not marshal: " + err.Error())
	}
	return b
}

// ID is the SHA-256 of the SPKI.
func (p PublicKey) ID() Digest { return Sum(p.SPKI()) }

// String is the did:key identifier, or "" for the zero value.
func (p PublicKey) String() string {
	if p.k == nil {
		return ""
	}
	raw, err := p.k.Bytes() // 4 ‖ x ‖ y
	if err != nil {
		panic("envelope: P-256 key has no encoding: " + err.Error())
	}
	c := append(append([]byte{}, p256Multicodec...), 2|raw[64]&1) // compressed: the sign of y, then x
	return didPrefix + base58Encode(append(c, raw[1:33]...))
}

// MarshalText implements encoding.TextMarshaler. The zero value does not marshal.
func (p PublicKey) MarshalText() ([]byte, error) {
	if p.k == nil {
		return nil, fmt.Errorf("%w: none", ErrKey)
	}
	return []byte(p.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *PublicKey) UnmarshalText(b []byte) error {
	v, err := ParsePublicKey(string(b))
	if err == nil {
		*p = v
	}
	return err
}

// Distinct returns [ErrKeyReuse] when a key is missing or appears twice: one key, one role.
func Distinct(keys ...PublicKey) error {
	seen := map[string]bool{}
	for _, k := range keys {
		if k.IsZero() {
			return fmt.Errorf("%w: none", ErrKey)
		}
		if seen[k.String()] {
			return fmt.Errorf("%w: %s", ErrKeyReuse, k)
		}
		seen[k.String()] = true
	}
	return nil
}

// Signer signs statements of one role. It has no String, and its private key is never printed.
type Signer struct {
	role Role
	key  crypto.Signer
	pub  PublicKey
}

// NewSigner pairs a role with a P-256 key.
func NewSigner(role Role, key crypto.Signer) (*Signer, error) {
	if role == "" || key == nil {
		return nil, fmt.Errorf("%w: no role or no key", ErrKey)
	}
	pub, err := NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return &Signer{role, key, pub}, nil
}

// GenerateSigner makes a fresh key for role.
func GenerateSigner(role Role) (*Signer, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return NewSigner(role, k)
}

// Public is the verification key.
func (s *Signer) Public() PublicKey { return s.pub }

// Role is what s may sign.
func (s *Signer) Role() Role { return s.role }

func (s *Signer) sign(pae []byte) ([]byte, error) {
	h := sha256.Sum256(pae)
	return s.key.Sign(rand.Reader, h[:], crypto.SHA256)
}

// Wipe overwrites the private scalar where the key is held in this process. The signer is unusable afterwards.
func (s *Signer) Wipe() {
	//lint:ignore SA1019 the field is deprecated for arithmetic; nothing else reaches the bytes to overwrite
	if k, ok := s.key.(*ecdsa.PrivateKey); ok && k.D != nil {
		clear(k.D.Bits()) //lint:ignore SA1019 as above
	}
	s.key = nil
	s.role = ""
}

// CreateKeyFile makes a key for role and writes it to path as PKCS #8 PEM with mode 0600. It never overwrites, and leaves
// no file behind when it fails.
func CreateKeyFile(path string, role Role) (*Signer, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	s, err := NewSigner(role, k)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Headers: map[string]string{roleHeader: string(role)}, Bytes: der})
	defer clear(text)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, werr := f.Write(text)
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return s, nil
}

// LoadKeyFile reads a key made by [CreateKeyFile]. It refuses files that others can read and keys made for another role.
func LoadKeyFile(path string, role Role) (*Signer, error) {
	b, err := ReadSecretFile(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" || len(rest) != 0 {
		return nil, fmt.Errorf("%w: %s is not one PKCS #8 PEM block", ErrKey, filepath.Base(path))
	}
	if got := block.Headers[roleHeader]; role == "" || got != string(role) {
		return nil, fmt.Errorf("%w: %s was made for role %q, not %q", ErrRole, filepath.Base(path), got, role)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	clear(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %s does not parse", ErrKey, filepath.Base(path))
	}
	e, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s is not ECDSA", ErrKey, filepath.Base(path))
	}
	return NewSigner(role, e)
}

// ReadSecretFile reads at most limit bytes of a regular file that only its owner can read ([ErrKeyMode] otherwise).
func ReadSecretFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0) // a named pipe must not hang its reader
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %v, want 0600", ErrKeyMode, path, fs.FileMode(st.Mode().Perm()))
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %s", ErrTooLarge, path)
	}
	return b, nil
}

// Nonce is 32 random bytes, written as hexadecimal. The zero value is refused when read.
type Nonce [32]byte

// NewNonce draws a nonce from the system's random source.
func NewNonce() Nonce {
	var n Nonce
	rand.Read(n[:]) //nolint:errcheck // never fails since Go 1.24
	return n
}

func (n Nonce) String() string { return hex.EncodeToString(n[:]) }

// IsZero reports whether n was never drawn.
func (n Nonce) IsZero() bool { return n == Nonce{} }

// MarshalText implements encoding.TextMarshaler.
func (n Nonce) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Nonce) UnmarshalText(b []byte) error {
	var v Nonce
	if len(b) != 2*len(v) || strings.ToLower(string(b)) != string(b) {
		return fmt.Errorf("%w: nonce must be 64 lower-case hex digits", ErrMalformed)
	}
	if _, err := hex.Decode(v[:], b); err != nil {
		return fmt.Errorf("%w: nonce: %v", ErrMalformed, err)
	}
	if v.IsZero() {
		return fmt.Errorf("%w: nonce is all zero", ErrMalformed)
	}
	*n = v
	return nil
}
