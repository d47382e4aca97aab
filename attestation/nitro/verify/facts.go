// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
)

// registers says what AWS measures into which PCR.
var registers = []struct {
	index uint64
	what  string
}{
	{0, "enclave image file"},
	{1, "kernel and boot file system"},
	{2, "application"},
	{3, "IAM role of the parent instance"},
	{4, "instance id of the parent"},
	{8, "certificate that signed the image"},
}

// describe says what a document claims, before anything of it is checked.
func describe(r *attestation.Report, d *document) {
	r.Fact(attestation.AboutSigner, "module", "%q", d.ModuleID)
	r.Fact(attestation.AboutRunning, "time", "%s", when(d.time()))
	for _, p := range registers {
		if v := d.PCRs[p.index]; v != nil {
			r.Fact(attestation.AboutRunning, pcrName(p.index), "%x (%s)", v, p.what)
		}
	}
	r.Fact(attestation.AboutRunning, "user data", "%x", d.UserData)
	if len(d.Nonce) > 0 {
		r.Fact(attestation.AboutRunning, "nonce", "%x", d.Nonce)
	}
	if len(d.PublicKey) > 0 {
		r.Fact(attestation.AboutRunning, "public key", "%x", d.PublicKey)
	}
	weaknesses(r, d)
}

func weaknesses(r *attestation.Report, d *document) {
	weak := func(name, format string, args ...any) { r.Fact(attestation.AboutWeakness, name, format, args...) }
	if d.debug() {
		weak("debug", "PCR 0, 1 or 2 is zero: the enclave runs in debug mode, and its parent reads its console")
	}
	weak("one vendor", "AWS makes the hypervisor, runs the machine and signs this document: memory is kept from the parent instance and its owner, not from AWS, and no other maker's hardware vouches for it")
	weak("revocation", "AWS publishes no revocation list that verifiers are to check; certificates that were misused die of age")
	for _, p := range registers[imagePCRs:] {
		if v := d.PCRs[p.index]; v == nil || bytes.Equal(v, make([]byte, pcrSize)) {
			weak(pcrName(p.index), "it is zero: the %s is not shown", p.what)
			continue
		}
		weak(pcrName(p.index), "the %s counts only if the reference value names it", p.what)
	}
	if len(d.PublicKey) > 0 {
		weak("public key", "the document carries one, which Glovebox makes no use of")
	}
}

// describe says who signed, as the certificates have it.
func (c chain) describe(r *attestation.Report) {
	for i, x := range c {
		name := fmt.Sprintf("certificate %d", i)
		switch i {
		case 0:
			name = "root"
		case len(c) - 1:
			name = "leaf"
		}
		r.Fact(attestation.AboutSigner, name, "%q, %s to %s", x.Subject.String(), when(x.NotBefore), when(x.NotAfter))
	}
}
