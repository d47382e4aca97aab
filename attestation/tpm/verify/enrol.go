// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// Errors of enrolment. [ErrBusy] means: try again later.
var (
	ErrEnrol  = errors.New("tpm: enrolment refused")
	ErrEKCert = fmt.Errorf("%w: endorsement key certificate", ErrEnrol)
	ErrEK     = fmt.Errorf("%w: endorsement key", ErrEnrol)
	ErrToken  = fmt.Errorf("%w: token is unknown, used or expired", ErrEnrol)
	ErrSecret = fmt.Errorf("%w: credential was not activated", ErrEnrol)
	ErrBusy   = errors.New("tpm: too many enrolments under way")
)

// EnrollerConfig is fixed for the life of an [Enroller].
type EnrollerConfig struct {
	Roots  []EKRoot         // not empty
	Signer *envelope.Signer // role broker
	Life   time.Duration    // of an endorsement; 0 means a day
}

// Enroller endorses attestation keys for one broker. Enrolments under way live in memory: after a restart the enclave
// begins again. Safe for concurrent use.
type Enroller struct {
	cfg EnrollerConfig

	mu      sync.Mutex
	pending map[envelope.Nonce]*enrolment
}

// enrolment is one credential that waits to be activated.
type enrolment struct {
	ak      []byte
	ekCert  envelope.Digest
	root    *checkedRoot
	secret  [secretSize]byte
	expires time.Time
}

// NewEnroller refuses an empty list of roots, and a root that claims more than it can ([CheckRoot]).
func NewEnroller(cfg EnrollerConfig) (*Enroller, error) {
	if cfg.Signer == nil || cfg.Signer.Role() != envelope.RoleBroker {
		return nil, fmt.Errorf("%w: enrolment needs the broker's key", ErrConfig)
	}
	if cfg.Life == 0 {
		cfg.Life = defaultLife
	}
	if cfg.Life < time.Minute || cfg.Life > maxLife {
		return nil, fmt.Errorf("%w: endorsement life %v", ErrConfig, cfg.Life)
	}
	if len(cfg.Roots) == 0 || len(cfg.Roots) > maxRoots {
		return nil, fmt.Errorf("%w: %d EK roots", ErrConfig, len(cfg.Roots))
	}
	for _, r := range cfg.Roots {
		if err := CheckRoot(r); err != nil {
			return nil, err
		}
	}
	return &Enroller{cfg: cfg, pending: map[envelope.Nonce]*enrolment{}}, nil
}

// Begin checks the endorsement key's certificate and both public areas, and makes a credential that only the TPM holding
// both keys can open.
func (e *Enroller) Begin(r grant.EnrollRequest, now time.Time) (grant.EnrollReply, error) {
	cert, root, err := checkEKCert(r.EKCert, e.cfg.Roots, now)
	if err != nil {
		return grant.EnrollReply{}, err
	}
	ek, err := quote.CheckEK(r.EKPublic)
	if err != nil {
		return grant.EnrollReply{}, fmt.Errorf("%w: %w", ErrEK, err)
	}
	if certified, err := envelope.NewPublicKey(cert.PublicKey); err != nil || !ek.Public.Equal(certified) {
		return grant.EnrollReply{}, fmt.Errorf("%w: not the one in the certificate", ErrEK)
	}
	ak, err := quote.CheckAK(r.AKPublic)
	if err != nil {
		return grant.EnrollReply{}, fmt.Errorf("%w: %w", ErrEnrol, err)
	}
	p := &enrolment{ak: bytes.Clone(r.AKPublic), ekCert: envelope.Sum(r.EKCert), root: root, expires: now.Add(tokenLife)}
	if _, err := rand.Read(p.secret[:]); err != nil {
		return grant.EnrollReply{}, err
	}
	credential, secret, err := makeCredential(r.EKPublic, ak.Name(), p.secret[:])
	if err != nil {
		return grant.EnrollReply{}, err
	}
	token := envelope.NewNonce()
	if err := e.add(token, p, now); err != nil {
		return grant.EnrollReply{}, err
	}
	return grant.EnrollReply{Token: token, Credential: credential, Secret: secret}, nil
}

// Finish consumes the token, whatever comes of it, compares the secret and signs the endorsement.
func (e *Enroller) Finish(r grant.ActivateRequest, now time.Time) ([]byte, error) {
	p := e.take(r.Token, now)
	if p == nil {
		return nil, ErrToken
	}
	defer clear(p.secret[:])
	if subtle.ConstantTimeCompare(r.Secret, p.secret[:]) != 1 {
		return nil, ErrSecret
	}
	ak, err := quote.CheckAK(p.ak)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnrol, err)
	}
	return SignEndorsement(grant.AKEndorsement{
		AKName: ak.NameHex(), AKPublic: p.ak, EKCert: p.ekCert, Assurance: string(p.root.assurance), Root: p.root.digest,
		Issued: now.UnixMilli(), Expires: now.Add(e.cfg.Life).UnixMilli(),
	}, e.cfg.Signer)
}

// makeCredential is TPM2_MakeCredential in software: ekPublic has passed [quote.CheckEK].
func makeCredential(ekPublic, akName, value []byte) (credential, secret []byte, err error) {
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](ekPublic)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEK, err)
	}
	key, err := tpm2.ImportEncapsulationKey(public)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEK, err)
	}
	credential, secret, err = tpm2.CreateCredential(rand.Reader, key, akName, value)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: make credential: %w", ErrEnrol, err)
	}
	return credential, secret, nil
}

// add keeps p, after dropping what expired and, if one endorsement key has too many, its oldest.
func (e *Enroller) add(token envelope.Nonce, p *enrolment, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var oldest envelope.Nonce
	same := 0
	for t, q := range e.pending {
		switch {
		case !now.Before(q.expires):
			delete(e.pending, t)
		case q.ekCert == p.ekCert:
			same++
			if oldest.IsZero() || q.expires.Before(e.pending[oldest].expires) {
				oldest = t
			}
		}
	}
	if same >= maxPerEK {
		delete(e.pending, oldest)
	}
	if len(e.pending) >= maxPending {
		return ErrBusy
	}
	e.pending[token] = p
	return nil
}

func (e *Enroller) take(token envelope.Nonce, now time.Time) *enrolment {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.pending[token]
	delete(e.pending, token)
	if p == nil || !now.Before(p.expires) {
		return nil
	}
	return p
}
