// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ekTemplate is the TCG's default P-256 endorsement key, the one its certificate is for.
func ekTemplate() tpm2.TPMTPublic { return tpm2.ECCEKTemplate }

// akTemplate is what [quote.CheckAK] demands.
func akTemplate() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
			NoDA: true, Restricted: true, SignEncrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
	}
}

// primary is a loaded primary key of the endorsement hierarchy; flush it.
type primary struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public []byte
}

func createPrimary(t transport.TPM, template tpm2.TPMTPublic) (*primary, error) {
	r, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		InPublic:      tpm2.New2B(template),
	}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("create primary key: %w", err)
	}
	return &primary{r.ObjectHandle, r.Name, r.OutPublic.Bytes()}, nil
}

func (p *primary) flush(t transport.TPM) error {
	_, err := tpm2.FlushContext{FlushHandle: p.handle}.Execute(t)
	return err
}

func publicOf(t transport.TPM, template tpm2.TPMTPublic) ([]byte, error) {
	p, err := createPrimary(t, template)
	if err != nil {
		return nil, err
	}
	return p.public, p.flush(t)
}

func selection(pcrs []int) tpm2.TPMLPCRSelection {
	var u []uint
	for _, i := range pcrs {
		u = append(u, uint(i))
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
		{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(u...)},
	}}
}

// quoteOver makes a quote and reads the PCRs it is over. An extend between the two makes it try again.
func quoteOver(t transport.TPM, d envelope.Digest) (e quote.Evidence, err error) {
	ak, err := createPrimary(t, akTemplate())
	if err != nil {
		return e, err
	}
	defer func() { err = errors.Join(err, ak.flush(t)) }()
	for range pcrAttempts {
		q, qerr := tpm2.Quote{
			SignHandle:     tpm2.AuthHandle{Handle: ak.handle, Name: ak.name, Auth: tpm2.PasswordAuth(nil)},
			QualifyingData: tpm2.TPM2BData{Buffer: d[:]},
			InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
			PCRSelect:      selection(quote.PCRs()),
		}.Execute(t)
		if qerr != nil {
			return e, fmt.Errorf("quote: %w", qerr)
		}
		pcrs, rerr := readPCRs(t)
		if rerr != nil {
			return e, rerr
		}
		e = quote.Evidence{AKPublic: ak.public, PCRs: pcrs, Quote: q.Quoted.Bytes(), Signature: tpm2.Marshal(q.Signature)}
		if _, err = e.Verify(); !errors.Is(err, quote.ErrPCRs) {
			return e, err
		}
	}
	return e, err
}

// readPCRs reads the registers that platform tpm quotes.
func readPCRs(t transport.TPM) (map[string]string, error) { return readValues(t, quote.PCRs()) }

// readValues reads registers one by one: a TPM returns at most eight at a time, and says which.
func readValues(t transport.TPM, pcrs []int) (map[string]string, error) {
	out := map[string]string{}
	for _, pcr := range pcrs {
		sel := selection([]int{pcr})
		r, err := tpm2.PCRRead{PCRSelectionIn: sel}.Execute(t)
		if err != nil {
			return nil, fmt.Errorf("read PCR %d: %w", pcr, err)
		}
		digests := r.PCRValues.Digests
		if len(digests) != 1 || len(digests[0].Buffer) != sha256.Size || !bytes.Equal(tpm2.Marshal(r.PCRSelectionOut), tpm2.Marshal(sel)) {
			return nil, fmt.Errorf("read PCR %d: no SHA-256 bank", pcr)
		}
		out[quote.Name(pcr)] = hex.EncodeToString(digests[0].Buffer)
	}
	return out, nil
}

// ekPolicy satisfies the endorsement key's policy, knowledge of the hierarchy's (empty) authorisation.
func ekPolicy(t transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
	_, err := tpm2.PolicySecret{
		AuthHandle:    tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)},
		PolicySession: session, NonceTPM: nonce,
	}.Execute(t)
	return err
}

// activate opens a credential made for the attestation key's Name and the endorsement key.
func activate(t transport.TPM, credential, secret []byte) (out []byte, err error) {
	ek, err := createPrimary(t, ekTemplate())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ek.flush(t)) }()
	ak, err := createPrimary(t, akTemplate())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ak.flush(t)) }()
	r, err := tpm2.ActivateCredential{
		ActivateHandle: tpm2.AuthHandle{Handle: ak.handle, Name: ak.name, Auth: tpm2.PasswordAuth(nil)},
		KeyHandle:      tpm2.AuthHandle{Handle: ek.handle, Name: ek.name, Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, ekPolicy)},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: credential},
		Secret:         tpm2.TPM2BEncryptedSecret{Buffer: secret},
	}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("activate credential: %w", err)
	}
	return r.CertInfo.Buffer, nil
}
