// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

var (
	measured = strings.Repeat("ab", 32)
	rootKey  = []byte("the root of the test platform")
	testTime = time.UnixMilli(1_800_000_000_000)
)

// platform is a root of trust for these tests: a MAC over what an enclave measured and bound.
type platform struct{}

type quote struct {
	Bound       []byte `json:"bound"`
	Measurement string `json:"measurement"`
	MAC         []byte `json:"mac"`
}

func (q quote) mac() []byte {
	m := hmac.New(sha256.New, rootKey)
	q.MAC = nil
	b, _ := json.Marshal(q)
	m.Write(b)
	return m.Sum(nil)
}

func (platform) Platform() attestation.Platform { return attestation.PlatformSimulated }

func (platform) Authenticate(_ context.Context, e *attestation.Evidence, _ int64) (*attestation.Report, error) {
	var q quote
	if err := json.Unmarshal(e.Evidence, &q); err != nil {
		return nil, err
	}
	if !hmac.Equal(q.mac(), q.MAC) {
		return nil, errors.New("forged quote")
	}
	return &attestation.Report{
		Platform: attestation.PlatformSimulated, Assurance: attestation.AssuranceSimulated, Bound: q.Bound,
		Measurements: map[string]string{"enclave": q.Measurement}, Root: "test root",
	}, nil
}

func (platform) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if !bytes.Equal(r.Bound, d[:]) {
		return errors.New("bound to something else")
	}
	return nil
}

// engine is one mounted engine with its owner.
type engine struct {
	t         *testing.T
	b         *backend
	storage   logical.Storage
	broker    *envelope.Signer
	reference *envelope.Signer
	now       time.Time
	manifest  envelope.Digest
	job       envelope.Digest
}

func signer(t *testing.T, r envelope.Role) *envelope.Signer {
	t.Helper()
	s, err := envelope.GenerateSigner(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{
		t: t, b: newBackend(), storage: &logical.InmemStorage{}, broker: signer(t, envelope.RoleBroker),
		reference: signer(t, envelope.RoleReference), now: testTime, manifest: envelope.Sum([]byte("manifest")), job: envelope.Sum([]byte("job")),
	}
	e.b.now = func() time.Time { return e.now }
	e.b.testOnlyFormats = []attestation.Format{platform{}}
	if err := e.b.Setup(t.Context(), &logical.BackendConfig{StorageView: e.storage}); err != nil {
		t.Fatal(err)
	}
	e.must("config", e.config(1))
	return e
}

func (e *engine) config(version int64) map[string]any {
	e.t.Helper()
	signed, err := attestation.SignReference(&attestation.Reference{
		Version: version, NotAfter: e.now.Add(48 * time.Hour).Unix(),
		Values: []attestation.ReferenceValue{{
			Name: "test", Platform: attestation.PlatformSimulated, Measurements: map[string]string{"enclave": measured},
		}},
	}, e.reference)
	if err != nil {
		e.t.Fatal(err)
	}
	return map[string]any{
		"broker": e.broker.Public().String(), "reference_key": e.reference.Public().String(), "reference": b64(signed),
	}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func (e *engine) do(path string, data map[string]any) (map[string]any, error) {
	e.t.Helper()
	r, err := e.b.HandleRequest(e.t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: path, Data: data, Storage: e.storage})
	if err == nil && r != nil {
		err = r.Error()
	}
	if err != nil || r == nil {
		return nil, err
	}
	return r.Data, nil
}

func (e *engine) must(path string, data map[string]any) map[string]any {
	e.t.Helper()
	out, err := e.do(path, data)
	if err != nil {
		e.t.Fatalf("%s: %v", path, err)
	}
	return out
}

func (e *engine) wrap(context, key []byte) []byte {
	e.t.Helper()
	w, err := base64.StdEncoding.DecodeString(e.must("wrap", map[string]any{"context": b64(context), "key": b64(key)})["wrapped"].(string))
	if err != nil {
		e.t.Fatal(err)
	}
	return w
}

// enclave has keys and evidence that answers a challenge.
type enclave struct {
	key      hpke.PrivateKey
	binding  attestation.Binding
	d        envelope.Digest
	evidence []byte
}

func (e *engine) enclave(change func(*attestation.Binding), spoil func(*quote)) *enclave {
	e.t.Helper()
	var nonce envelope.Nonce
	text := e.must("challenge", map[string]any{"manifest": e.manifest.String(), "job": e.job.String()})["nonce"].(string)
	if err := nonce.UnmarshalText([]byte(text)); err != nil {
		e.t.Fatal(err)
	}
	k, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		e.t.Fatal(err)
	}
	n := &enclave{key: k, binding: attestation.Binding{
		Owners: []attestation.Owner{
			{Audience: signer(e.t, envelope.RoleBroker).Public(), Nonce: envelope.NewNonce(), Manifest: envelope.Sum([]byte("code"))},
			{Audience: e.broker.Public(), Nonce: nonce, Manifest: e.manifest},
		},
		HPKEKey: k.PublicKey().Bytes(), SigningKey: signer(e.t, envelope.RoleEnclave).Public(), LeaseID: envelope.NewNonce(), Job: e.job,
		Runtime: job.RuntimeWASM, Configuration: envelope.Sum([]byte("c")), SelfTest: envelope.Sum([]byte("s")), Engine: envelope.Sum([]byte("e")),
	}}
	if change != nil {
		change(&n.binding)
	}
	if n.d, err = n.binding.Digest(); err != nil {
		e.t.Fatal(err)
	}
	q := quote{Bound: n.d[:], Measurement: measured}
	if spoil != nil {
		spoil(&q)
	}
	if q.MAC == nil {
		q.MAC = q.mac()
	}
	raw, _ := json.Marshal(q)
	ev := attestation.Evidence{
		Version: 1, Platform: attestation.PlatformSimulated, Evidence: raw, Endorsements: []attestation.Endorsement{},
		EventLogs: []attestation.EventLog{}, Claims: n.binding, Nested: []attestation.Nested{},
	}
	if n.evidence, err = ev.Encode(); err != nil {
		e.t.Fatal(err)
	}
	return n
}

var (
	grantID = envelope.Sum([]byte("grant"))
	testKey = bytes.Repeat([]byte{0x5a}, dataset.KeySize)
)

func (e *engine) request(n *enclave, wrapped []byte) map[string]any {
	return map[string]any{
		"manifest": e.manifest.String(), "job": e.job.String(), "grant": grantID.String(), "evidence": b64(n.evidence),
		"items": []any{map[string]any{"context": b64(keyholder.Context(e.manifest)), "wrapped": b64(wrapped)}},
	}
}

func (n *enclave) open(t *testing.T, sealed string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	const encSize = 1120
	r, err := hpke.NewRecipient(b[:encSize], n.key, hpke.HKDFSHA256(), hpke.AES256GCM(), n.d[:])
	if err != nil {
		t.Fatal(err)
	}
	key, err := r.Open(grantID[:], b[encSize:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSeal(t *testing.T) {
	e := newEngine(t)
	w := e.wrap(keyholder.Context(e.manifest), testKey)
	if bytes.Contains(w, testKey) {
		t.Error("the wrapped key shows the key")
	}
	n := e.enclave(nil, nil)
	for range 2 { // a retry with the same evidence is answered too
		out := e.must("seal", e.request(n, w))
		if got := n.open(t, out["sealed"].(string)); !bytes.Equal(got, testKey) {
			t.Fatal("another key was sealed")
		}
	}
}

// TestSealUnits: keys of contributors go along, each under its identity.
func TestSealUnits(t *testing.T) {
	e := newEngine(t)
	unit, other := envelope.Sum([]byte("unit")), bytes.Repeat([]byte{7}, dataset.KeySize)
	context := keyholder.UnitContext([16]byte{1}, unit)
	n := e.enclave(nil, nil)
	r := e.request(n, e.wrap(keyholder.Context(e.manifest), testKey))
	r["items"] = append(r["items"].([]any), map[string]any{"context": b64(context), "wrapped": b64(e.wrap(context, other)), "unit": unit.String()})
	if _, err := e.do("seal", r); err == nil {
		t.Error("units of a package without any")
	}
	r["by_contributor"] = true
	keys, err := dataset.ParseKeys(n.open(t, e.must("seal", r)["sealed"].(string)), true, []envelope.Digest{unit})
	if err != nil || !bytes.Equal(keys.Package.Bytes(), testKey) || !bytes.Equal(keys.Units[0].Key.Bytes(), other) {
		t.Errorf("keys: %v", err)
	}
}

// TestNothingIsSealed: whatever is wrong with evidence, challenge or wrapped key, no sealed byte comes out.
func TestNothingIsSealed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*attestation.Binding)
		spoil  func(*quote)
		edit   func(e *engine, r map[string]any)
	}{
		"another measurement": {spoil: func(q *quote) { q.Measurement = strings.Repeat("cd", 32) }},
		"forged quote":        {spoil: func(q *quote) { q.MAC = []byte("forged") }},
		"bound to another":    {spoil: func(q *quote) { q.Bound = bytes.Repeat([]byte{1}, 32) }},
		"nonce made up":       {change: func(b *attestation.Binding) { b.Owners[1].Nonce = envelope.NewNonce() }},
		"another broker": {change: func(b *attestation.Binding) {
			s, _ := envelope.GenerateSigner(envelope.RoleBroker)
			b.Owners[1].Audience = s.Public()
		}},
		"another package":  {change: func(b *attestation.Binding) { b.Owners[1].Manifest = envelope.Sum([]byte("other")) }},
		"another job":      {change: func(b *attestation.Binding) { b.Job = envelope.Sum([]byte("other")) }},
		"no HPKE key":      {change: func(b *attestation.Binding) { b.HPKEKey = bytes.Repeat([]byte{0xff}, len(b.HPKEKey)) }},
		"nonce expired":    {edit: func(e *engine, _ map[string]any) { e.now = e.now.Add(nonceLife) }},
		"another manifest": {edit: func(_ *engine, r map[string]any) { r["manifest"] = envelope.Sum([]byte("x")).String() }},
		"no manifest":      {edit: func(_ *engine, r map[string]any) { delete(r, "manifest") }},
		"no grant":         {edit: func(_ *engine, r map[string]any) { delete(r, "grant") }},
		"no evidence":      {edit: func(_ *engine, r map[string]any) { delete(r, "evidence") }},
		"no items":         {edit: func(_ *engine, r map[string]any) { r["items"] = []any{} }},
		"another context": {edit: func(_ *engine, r map[string]any) {
			r["items"].([]any)[0].(map[string]any)["context"] = b64([]byte("another package"))
		}},
		"altered key": {edit: func(_ *engine, r map[string]any) {
			it := r["items"].([]any)[0].(map[string]any)
			w, _ := base64.StdEncoding.DecodeString(it["wrapped"].(string))
			w[len(w)-1] ^= 1
			it["wrapped"] = b64(w)
		}},
		"another engine's key": {edit: func(e *engine, r map[string]any) {
			o := newEngine(e.t)
			r["items"].([]any)[0].(map[string]any)["wrapped"] = b64(o.wrap(keyholder.Context(e.manifest), testKey))
		}},
		"reference values expired": {edit: func(e *engine, _ map[string]any) { e.now = e.now.Add(49 * time.Hour) }},
		"not configured": {edit: func(e *engine, _ map[string]any) {
			if err := e.storage.Delete(e.t.Context(), storedConfig); err != nil {
				e.t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			w := e.wrap(keyholder.Context(e.manifest), testKey)
			r := e.request(e.enclave(c.change, c.spoil), w)
			if c.edit != nil {
				c.edit(e, r)
			}
			if out, err := e.do("seal", r); err == nil || out["sealed"] != nil {
				t.Errorf("sealed: %v", err)
			}
		})
	}
}

// TestReplayedEvidence: a nonce answers one binding.
func TestReplayedEvidence(t *testing.T) {
	e := newEngine(t)
	w := e.wrap(keyholder.Context(e.manifest), testKey)
	first := e.enclave(nil, nil)
	e.must("seal", e.request(first, w))
	second := e.enclave(func(b *attestation.Binding) { b.Owners[1].Nonce = first.binding.Owners[1].Nonce }, nil)
	if _, err := e.do("seal", e.request(second, w)); err == nil {
		t.Error("one nonce, two enclaves")
	}
}

// TestNoPathShowsKeys: nothing but seal, wrap and rewrap answers with bytes, and those are not the key.
func TestNoPathShowsKeys(t *testing.T) {
	e := newEngine(t)
	e.wrap(keyholder.Context(e.manifest), testKey)
	for _, p := range []string{"unwrap", "decrypt", "export", "keys", "keys/1", storedKeys, "config"} {
		for _, op := range []logical.Operation{logical.ReadOperation, logical.ListOperation} {
			r, err := e.b.HandleRequest(t.Context(), &logical.Request{Operation: op, Path: p, Storage: e.storage})
			if err != nil || r == nil {
				continue
			}
			b, _ := json.Marshal(r.Data)
			var kept ring
			if _, err := get(t.Context(), e.storage, storedKeys, &kept); err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(b, []byte(b64(testKey))) || bytes.Contains(b, []byte(b64(kept.Keys[1]))) {
				t.Errorf("%s %s shows a key", op, p)
			}
		}
	}
}

func TestRotateAndRetire(t *testing.T) {
	e := newEngine(t)
	context := keyholder.Context(e.manifest)
	old := e.wrap(context, testKey)
	e.must("rotate", nil)
	n := e.enclave(nil, nil)
	e.must("seal", e.request(n, old))
	again, err := base64.StdEncoding.DecodeString(e.must("rewrap", map[string]any{"context": b64(context), "wrapped": b64(old)})["wrapped"].(string))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []int{0, 3, -1} {
		if _, err := e.do("retire", map[string]any{"oldest": v}); err == nil {
			t.Errorf("retired below %d of 2", v)
		}
	}
	e.must("retire", map[string]any{"oldest": 2})
	e.must("seal", e.request(n, again))
	if _, err := e.do("seal", e.request(n, old)); err == nil {
		t.Error("a shredded version opens")
	}
}

// TestReferenceRollback: reference values only go forward.
func TestReferenceRollback(t *testing.T) {
	e := newEngine(t)
	e.must("config", e.config(7))
	if _, err := e.do("config", e.config(6)); err == nil {
		t.Error("older reference values were taken")
	}
}

// TestChallengesAreForgotten: those never answered do not pile up.
func TestChallengesAreForgotten(t *testing.T) {
	e := newEngine(t)
	for range 50 {
		e.must("challenge", map[string]any{"manifest": e.manifest.String(), "job": e.job.String()})
	}
	e.now = e.now.Add(3 * nonceLife)
	if err := e.b.tidy(t.Context(), &logical.Request{Storage: e.storage}); err != nil {
		t.Fatal(err)
	}
	left, err := e.storage.List(t.Context(), storedNonces)
	if err != nil || len(left) != 0 {
		t.Errorf("%d left, %v", len(left), err)
	}
}
