// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// akSubject names the subject of an AK endorsement: the hash in the AK's Name.
const akSubject = "tpm-ak"

// Endorsement is a broker's AK endorsement that [ParseEndorsement] accepted.
type Endorsement struct {
	grant.AKEndorsement
	ID envelope.Digest
}

// SignEndorsement signs e with a broker's key after the checks that every reader makes.
func SignEndorsement(e grant.AKEndorsement, s *envelope.Signer) ([]byte, error) {
	ak, err := validate(&e)
	if err != nil {
		return nil, err
	}
	signed, _, err := envelope.Sign(s, envelope.AKEndorsementType, subjects(ak), e)
	return signed, err
}

// ParseEndorsement verifies the signature of broker and every field but the time, see [Endorsement.ValidAt].
func ParseEndorsement(signed []byte, broker envelope.PublicKey) (*Endorsement, error) {
	if len(signed) > maxEndorsement {
		return nil, fmt.Errorf("%w: %d bytes", ErrEndorsed, len(signed))
	}
	v, err := envelope.Verify[grant.AKEndorsement](signed, envelope.Expect{
		Role: envelope.RoleBroker, Key: broker, PayloadType: envelope.PayloadType, PredicateType: envelope.AKEndorsementType,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEndorsed, err)
	}
	ak, err := validate(&v.Predicate)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(v.Subject, subjects(ak)) {
		return nil, fmt.Errorf("%w: subject is not the key's Name", ErrEndorsed)
	}
	return &Endorsement{v.Predicate, v.ID}, nil
}

// ValidAt checks the endorsement's time against now in Unix seconds.
func (e *Endorsement) ValidAt(now int64) error {
	issued, expires := e.Issued/1000, e.Expires/1000
	if now < issued-int64(clockSkew.Seconds()) || now >= expires {
		return fmt.Errorf("%w: issued at %d, expires at %d, now %d", ErrExpired, issued, expires, now)
	}
	return nil
}

func subjects(ak *quote.Key) []envelope.Subject {
	return []envelope.Subject{{Name: akSubject, Digest: envelope.DigestSet{SHA256: hex.EncodeToString(ak.Name()[2:])}}}
}

// validate recomputes the Name from the public area and refuses anything missing.
func validate(e *grant.AKEndorsement) (*quote.Key, error) {
	ak, err := quote.CheckAK(e.AKPublic)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEndorsed, err)
	}
	switch {
	case e.AKName != ak.NameHex():
		return nil, fmt.Errorf("%w: Name is not that of the public area", ErrOtherKey)
	case e.EKCert.IsZero() || e.Root.IsZero():
		return nil, fmt.Errorf("%w: certificate or root missing", ErrEndorsed)
	case !knownAssurance(attestation.Assurance(e.Assurance)):
		return nil, fmt.Errorf("%w: assurance %q is not a TPM's", ErrEndorsed, e.Assurance)
	case e.Issued <= 0 || e.Expires <= e.Issued || e.Expires-e.Issued > maxLife.Milliseconds():
		return nil, fmt.Errorf("%w: issued or expires", ErrEndorsed)
	}
	return ak, nil
}

// knownAssurance caps what a TPM can earn: its host reads the enclave's memory.
func knownAssurance(a attestation.Assurance) bool {
	return a == attestation.AssuranceSoftwareTPM || a == attestation.AssuranceTPM
}

// verdict is what the endorsements of an evidence amount to.
type verdict struct {
	assurance attestation.Assurance
	root      string
}

// endorsement finds those that an accepted broker signed for this key and that are valid now. Others are for other
// relying parties and are passed over; of several, the weakest assurance counts. The first fault of an accepted broker's
// endorsement is the error if none is good.
func (f *Format) endorsement(list []attestation.Endorsement, akPublic []byte, now int64) (*verdict, error) {
	if len(list) > maxEndorsed {
		return nil, fmt.Errorf("%w: %d endorsements, at most %d", ErrEndorsed, len(list), maxEndorsed)
	}
	var good *verdict
	fault := error(ErrEndorsed)
	for _, x := range list {
		e, broker := f.signed(x)
		if e == nil {
			continue
		}
		err := e.ValidAt(now)
		if !bytes.Equal(e.AKPublic, akPublic) {
			err = ErrOtherKey
		}
		if err != nil {
			if fault == ErrEndorsed {
				fault = err
			}
			continue
		}
		if a := attestation.Assurance(e.Assurance); good == nil || !a.AtLeast(good.assurance) {
			good = &verdict{a, fmt.Sprintf("EK root %s, vouched for by broker %s", e.Root, broker)}
		}
	}
	if good == nil {
		return nil, fault
	}
	return good, nil
}

// signed returns the endorsement if an accepted broker signed it.
func (f *Format) signed(x attestation.Endorsement) (*Endorsement, envelope.PublicKey) {
	if x.Type != envelope.AKEndorsementType {
		return nil, envelope.PublicKey{}
	}
	for _, b := range f.cfg.Brokers {
		if e, err := ParseEndorsement(x.Body, b); err == nil {
			return e, b
		}
	}
	return nil, envelope.PublicKey{}
}
