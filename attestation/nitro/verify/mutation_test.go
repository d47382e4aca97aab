// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"math/big"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/nitro/verify"
)

// inParallel calls f with 0 to n-1, on every core.
func inParallel(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}

// Steps between the bits that are flipped. Seven is at least one bit of each byte, and all eight in turn.
const (
	everyThird = 3
	everyByte  = 7
	everyBlock = 61
)

// flipBits refuses doc's bits, one in step, the other way round. There is no byte outside the signature: the protected header
// and the payload are signed, certificates are in the payload, the rest has one spelling. With -short there are few.
func flipBits(t *testing.T, f attestation.Format, doc []byte, now int64, step int) int {
	bits := len(doc) * 8
	if testing.Short() {
		step = everyBlock
	}
	var refused atomic.Int64
	inParallel((bits+step-1)/step, func(n int) {
		i := n * step
		bad := bytes.Clone(doc)
		bad[i/8] ^= 1 << (i % 8)
		if r, err := f.Authenticate(t.Context(), evidence(bad), now); err == nil {
			t.Errorf("bit %d of byte %d does not matter: %+v", i%8, i/8, r)
			return
		}
		refused.Add(1)
	})
	return int(refused.Load())
}

func TestEveryByteOfADocument(t *testing.T) {
	doc, f := newFake(make([]byte, 32)).build(t)
	t.Logf("%d of %d bits of a fake document refused", flipBits(t, f, doc, stamp.Unix(), everyByte), len(doc)*8)
}

func TestBitsOfARealDocument(t *testing.T) {
	v := vectors()[0]
	e, f := load(t, v)
	t.Logf("%d of %d bits of a real document refused", flipBits(t, f, e.Evidence, v.at.Unix(), everyThird), len(e.Evidence)*8)
}

// TestEveryByteOfACRL: a list that came along and was touched is refused, not left out. One bit of each byte; with -short
// of each fifth.
func TestEveryByteOfACRL(t *testing.T) {
	fake := newFake(make([]byte, 32))
	doc, f := fake.build(t)
	list := crl(t, fake, 0, stamp.Add(-time.Hour), 77)
	var refused atomic.Int64
	step := 1
	if testing.Short() {
		step = 5
	}
	inParallel((len(list)+step-1)/step, func(n int) {
		i := n * step
		bad := bytes.Clone(list)
		bad[i] ^= 1 << (i % 8)
		e := evidence(doc)
		e.Endorsements = []attestation.Endorsement{{Type: attestation.CRLType, Body: bad}}
		if _, err := f.Authenticate(t.Context(), e, stamp.Unix()); err == nil {
			t.Errorf("bit %d of byte %d does not matter", i%8, i)
			return
		}
		refused.Add(1)
	})
	t.Logf("%d of %d bytes of a CRL refused", refused.Load(), len(list))
}

// TestTruncated: no beginning of a document is one.
func TestTruncated(t *testing.T) {
	doc, f := newFake(make([]byte, 32)).build(t)
	for n := range doc {
		if _, err := f.Authenticate(t.Context(), evidence(doc[:n]), stamp.Unix()); err == nil {
			t.Errorf("%d bytes are enough", n)
		}
	}
}

// TestOutsideTheSignature lists what can be changed without its key: the tag before it, and ECDSA's twin of it. Neither
// changes what is said, and evidence is used once, by its nonce, not by its digest.
func TestOutsideTheSignature(t *testing.T) {
	doc, f := newFake(make([]byte, 32)).build(t)
	twin := bytes.Clone(doc)
	s := new(big.Int).SetBytes(twin[len(twin)-48:])
	s.Sub(elliptic.P384().Params().N, s).FillBytes(twin[len(twin)-48:])
	for name, b := range map[string][]byte{"tag 18": append([]byte{0xd2}, doc...), "twin": twin} {
		if _, err := f.Authenticate(t.Context(), evidence(b), stamp.Unix()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestManyAtOnce: good and bad documents, mixed, under one format.
func TestManyAtOnce(t *testing.T) {
	good, f := newFake(make([]byte, 32)).build(t)
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				doc := [][]byte{good, bad}[i%2]
				if _, err := f.Authenticate(context.Background(), evidence(doc), stamp.Unix()); (err == nil) != (i%2 == 0) {
					t.Errorf("goroutine %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzAuthenticate: whatever is accepted says exactly what the enclave signed.
func FuzzAuthenticate(f *testing.F) {
	good, format := newFake(make([]byte, 32)).build(f)
	debug := newFake(nil)
	debug.pcrs()[0] = pcr(0)
	second, _ := debug.build(f)
	seeds := [][]byte{good, second, append([]byte{0xd2}, good...), good[:len(good)/2], {0x84}, {0xa0}, bytes.Repeat([]byte{0x81}, 300)}
	for _, s := range seeds {
		f.Add(s)
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		r, err := format.Authenticate(t.Context(), evidence(b), stamp.Unix())
		if time.Since(start) > 30*time.Second {
			t.Errorf("took %s", time.Since(start))
		}
		body := func(b []byte) []byte { return bytes.TrimPrefix(b, []byte{0xd2})[:len(good)-96] }
		if err == nil && (len(b) < len(good) || !bytes.Equal(body(b), body(good))) {
			t.Errorf("%x was accepted: %+v", b, r)
		}
	})
}

// FuzzImport: what is imported is a document, and importing it again changes nothing.
func FuzzImport(f *testing.F) {
	good, _ := newFake(make([]byte, 32)).build(f)
	f.Add(good)
	f.Add(append(append([]byte{0, 2, byte(len(good)<<2 | 1), byte(len(good) >> 6)}, good...), make([]byte, 1+64+1)...))
	f.Add([]byte(`{"document":"hA=="}`))
	f.Add([]byte("8444a1013822a0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := verify.Import(attestation.Raw{Report: b})
		if err != nil {
			return
		}
		again, err := verify.Import(attestation.Raw{Report: e.Evidence})
		if err != nil || !bytes.Equal(again.Evidence, e.Evidence) {
			t.Errorf("%x: %v", b, err)
		}
	})
}

// BenchmarkVerify is one whole verification; BenchmarkSignatures the bare ECDSA checks that are in it, under one key.
func BenchmarkVerify(b *testing.B) {
	doc, f := newFake(make([]byte, 32)).build(b)
	for b.Loop() {
		if _, err := f.Authenticate(b.Context(), evidence(doc), stamp.Unix()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignatures(b *testing.B) {
	k := newKey(elliptic.P384()).(*ecdsa.PrivateKey)
	h := sha512.Sum384([]byte("document"))
	sig, err := k.Sign(rand.Reader, h[:], crypto.SHA384)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for range verify.SignatureChecks {
			if !ecdsa.VerifyASN1(&k.PublicKey, h[:], sig) {
				b.Fatal("bad signature")
			}
		}
	}
}
