// SPDX-License-Identifier: Apache-2.0

package attestation_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
)

// TestZeroVerdictRefuses: a verdict without a passed check of each step is none.
func TestZeroVerdictRefuses(t *testing.T) {
	all := []attestation.Check{
		{Step: attestation.StepAuthenticate, Name: "a", Outcome: attestation.Pass},
		{Step: attestation.StepBind, Name: "b", Outcome: attestation.Pass},
		{Step: attestation.StepAppraise, Name: "c", Outcome: attestation.Pass},
	}
	of := func(c ...attestation.Check) *attestation.Verdict {
		return &attestation.Verdict{Parts: []attestation.PartVerdict{{Checks: c}}}
	}
	if err := of(all...).Err(); err != nil {
		t.Error(err)
	}
	for name, v := range map[string]*attestation.Verdict{
		"nil": nil, "zero": {}, "no checks": of(), "not authenticated": of(all[1], all[2]), "not bound": of(all[0], all[2]),
		"not appraised": of(all[0], all[1]), "no outcome": of(all[0], all[1], all[2], attestation.Check{Step: attestation.StepBind}),
		"a second part": {Parts: []attestation.PartVerdict{{Checks: all}, {}}},
	} {
		if v.Accepted() || !errors.Is(v.Err(), attestation.ErrEvidence) {
			t.Errorf("%s: accepted", name)
		}
	}
}

// gpu is a device's format: bound to the nested digest.
func gpu(bend func(*attestation.Report)) attestation.Format {
	return echo{attestation.PlatformGPU, func(r *attestation.Report) *attestation.Report {
		r.Assurance = attestation.AssuranceTEE
		r.Measurements = map[string]string{"driver": strings.Repeat("01", 32), "vbios": strings.Repeat("02", 32)}
		if bend != nil {
			bend(r)
		}
		return r
	}}
}

func withGPU(t *testing.T) (*attestation.Reference, *attestation.Evidence) {
	t.Helper()
	ref := reference()
	ref.Values = append(ref.Values, attestation.ReferenceValue{Name: "h100", Platform: attestation.PlatformGPU, Measurements: map[string]string{
		"driver": strings.Repeat("01", 32), "vbios": strings.Repeat("02", 32),
	}})
	ref.Policy = attestation.DefaultPolicy()
	ref.Policy.GPU.Required = true
	e := newEvidence(t, "a")
	d, err := e.Claims.Digest()
	if err != nil {
		t.Fatal(err)
	}
	n := attestation.NestedDigest(d)
	e.Nested = []attestation.Nested{{Platform: attestation.PlatformGPU, Evidence: n[:], Endorsements: []attestation.Endorsement{}, EventLogs: []attestation.EventLog{}}}
	return ref, e
}

func TestNestedGPU(t *testing.T) {
	verify := func(t *testing.T, change func(*attestation.Reference, *attestation.Evidence), bend func(*attestation.Report)) error {
		t.Helper()
		ref, e := withGPU(t)
		if change != nil {
			change(ref, e)
		}
		v, err := attestation.NewVerifier(ref, echo{attestation.PlatformTPM, nil}, gpu(bend))
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(t.Context(), encode(t, e), now)
		return err
	}
	if err := verify(t, nil, nil); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		change func(*attestation.Reference, *attestation.Evidence)
		bend   func(*attestation.Report)
		want   error
	}{
		"absent":                 {func(_ *attestation.Reference, e *attestation.Evidence) { e.Nested = nil }, nil, attestation.ErrAppraise},
		"bound to the machine's": {func(_ *attestation.Reference, e *attestation.Evidence) { e.Nested[0].Evidence = e.Evidence }, nil, attestation.ErrBind},
		"relayed":                {func(_ *attestation.Reference, e *attestation.Evidence) { e.Nested[0].Evidence = make([]byte, 32) }, nil, attestation.ErrBind},
		"a machine as device": {func(_ *attestation.Reference, e *attestation.Evidence) {
			e.Nested = append(e.Nested, nested(newEvidence(t, "b")))
		}, nil, attestation.ErrBind},
		"on its own": {func(_ *attestation.Reference, e *attestation.Evidence) {
			e.Platform, e.Nested = attestation.PlatformGPU, nil
		}, nil, attestation.ErrBind},
		"no reference value": {func(r *attestation.Reference, _ *attestation.Evidence) { r.Values = r.Values[:1] }, nil, attestation.ErrAppraise},
		"debug":              {nil, func(r *attestation.Report) { r.Debug = true }, attestation.ErrAppraise},
	} {
		if err := verify(t, c.change, c.bend); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// demanding is a platform with demands and anchors of its own.
type demanding struct {
	echo
	asks   func(*attestation.Report, *attestation.Policy) []attestation.Check
	refuse error
}

func (d demanding) Appraise(r *attestation.Report, p *attestation.Policy, _ int64) []attestation.Check {
	return d.asks(r, p)
}

func (d demanding) WithPolicy(*attestation.Policy) (attestation.Format, error) { return d, d.refuse }

// panicking is a parser with a bug.
type panicking struct{ echo }

func (panicking) Authenticate(context.Context, *attestation.Evidence, int64) (*attestation.Report, error) {
	var none []byte
	return nil, errors.New(string(none[1]))
}

func TestPlatformsOwnDemands(t *testing.T) {
	asks := func(o attestation.Outcome) func(*attestation.Report, *attestation.Policy) []attestation.Check {
		return func(*attestation.Report, *attestation.Policy) []attestation.Check {
			return []attestation.Check{{Step: attestation.StepAppraise, Name: "vmpl", Outcome: o, Seen: "1", Want: "0"}}
		}
	}
	e := encode(t, newEvidence(t, "a"))
	for o, ok := range map[attestation.Outcome]bool{attestation.Pass: true, attestation.NotApplicable: true, attestation.Fail: false, "": false} {
		v, err := attestation.NewVerifier(reference(), demanding{echo{attestation.PlatformTPM, nil}, asks(o), nil})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), e, now); ok != (err == nil) || !ok && !strings.Contains(err.Error(), `vmpl (seen "1", want "0")`) {
			t.Errorf("%q: got %v", o, err)
		}
	}
	if _, err := attestation.NewVerifier(reference(), demanding{echo{attestation.PlatformTPM, nil}, nil, errForged}); !errors.Is(err, errForged) {
		t.Errorf("a format without its anchors was taken: %v", err)
	}
}

// TestVerifierPanics: a bug in a platform's parser refuses evidence, it does not end a broker.
func TestVerifierPanics(t *testing.T) {
	v, err := attestation.NewVerifier(reference(), panicking{echo{attestation.PlatformTPM, nil}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), encode(t, newEvidence(t, "a")), now); !errors.Is(err, attestation.ErrAuthenticate) {
		t.Errorf("got %v", err)
	}
}

// TestImportedEvidence can be looked at, and earns nothing.
func TestImportedEvidence(t *testing.T) {
	e := newEvidence(t, "a")
	seen := e.Evidence
	e.Claims = attestation.Binding{}
	raw := encode(t, e)
	if !strings.Contains(string(raw), `"claims":null`) {
		t.Errorf("imported evidence reads %s", raw)
	}
	if _, err := newVerifier(t, reference(), nil).Verify(t.Context(), raw, now); !errors.Is(err, attestation.ErrMalformed) {
		t.Errorf("claims for imported evidence: %v", err)
	}
	inspect := func(ref *attestation.Reference, bound []byte) *attestation.Verdict {
		t.Helper()
		i, err := attestation.NewInspector(ref, nil, echo{attestation.PlatformTPM, nil})
		if err != nil {
			t.Fatal(err)
		}
		v, err := i.Inspect(t.Context(), raw, now, bound)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	whole := inspect(reference(), nil)
	if err := whole.Err(); err != nil {
		t.Error(err)
	}
	if r := whole.EAR("test"); r.Bound || r.Submods["tpm"].Vector["instance-identity"] != 0 {
		t.Errorf("imported evidence passes for somebody's: %+v", r)
	}
	if err := inspect(reference(), seen).Err(); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"bound to something else":   inspect(reference(), make([]byte, 32)).Err(),
		"bound to the empty string": inspect(reference(), []byte{}).Err(),
		"without reference values":  inspect(nil, nil).Err(),
	} {
		if !errors.Is(err, attestation.ErrEvidence) {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := (*attestation.Inspector)(nil).Inspect(t.Context(), raw, now, nil); err == nil {
		t.Error("nobody inspected")
	}
}

// TestEAR: the shape that other verifiers' users read.
func TestEAR(t *testing.T) {
	ref, e := withGPU(t)
	i, err := attestation.NewInspector(ref, nil, echo{attestation.PlatformTPM, nil}, gpu(func(r *attestation.Report) { r.Debug = true }))
	if err != nil {
		t.Fatal(err)
	}
	v, err := i.Inspect(t.Context(), encode(t, e), now, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v.EAR("test"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Profile  string            `json:"eat_profile"`
		Issued   int64             `json:"iat"`
		Verifier map[string]string `json:"ear.verifier-id"`
		Submods  map[string]struct {
			Status string         `json:"ear.status"`
			Vector map[string]int `json:"ear.trustworthiness-vector"`
			Policy string         `json:"ear.appraisal-policy-id"`
		} `json:"submods"`
		Accepted bool `json:"glovebox.accepted"`
		Bound    bool `json:"glovebox.bound"`
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	machine, device := got.Submods["tpm"], got.Submods["gpu-1"]
	id, _ := ref.Policy.Digest()
	if !got.Bound || got.Profile == "" || got.Issued != now || got.Verifier["build"] != "test" || got.Accepted || machine.Policy != id.String() ||
		machine.Status != "affirming" || device.Status != "contraindicated" ||
		machine.Vector["executables"] != 2 || machine.Vector["hardware"] != 2 || machine.Vector["instance-identity"] != 2 ||
		device.Vector["executables"] != 2 || device.Vector["hardware"] != 99 {
		t.Errorf("%s", b)
	}
}

// TestEARNamesDoNotCollide: a stranger's name for a platform does not hide behind a nested part's.
func TestEARNamesDoNotCollide(t *testing.T) {
	_, e := withGPU(t)
	e.Platform = "gpu-1"
	i, err := attestation.NewInspector(reference(), nil, echo{attestation.PlatformTPM, nil}, gpu(nil))
	if err != nil {
		t.Fatal(err)
	}
	v, err := i.Inspect(t.Context(), encode(t, e), now, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := v.EAR("test")
	if len(r.Submods) != 2 || r.Submods["unknown-0"].Status != "contraindicated" {
		t.Errorf("%+v", r.Submods)
	}
}

// TestNestedIsBoundWhereTheMachineIs: who says what imported evidence is bound to says it of the devices too.
func TestNestedIsBoundWhereTheMachineIs(t *testing.T) {
	ref, e := withGPU(t)
	d, err := e.Claims.Digest()
	if err != nil {
		t.Fatal(err)
	}
	e.Claims = attestation.Binding{}
	i, err := attestation.NewInspector(ref, nil, echo{attestation.PlatformTPM, nil}, gpu(nil))
	if err != nil {
		t.Fatal(err)
	}
	inspect := func() error {
		v, err := i.Inspect(t.Context(), encode(t, e), now, d[:])
		if err != nil {
			t.Fatal(err)
		}
		return v.Err()
	}
	if err := inspect(); err != nil {
		t.Error(err)
	}
	e.Nested[0].Evidence = make([]byte, 32)
	if err := inspect(); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("a device of another machine: %v", err)
	}
}

// TestRefusedMachineCostsNoDevices: a broker that refuses the machine does not look at what is nested in it.
func TestRefusedMachineCostsNoDevices(t *testing.T) {
	ref, e := withGPU(t)
	asked := false
	debug := func(r *attestation.Report) *attestation.Report { r.Debug = true; return r }
	v, err := attestation.NewVerifier(ref, echo{attestation.PlatformTPM, debug}, gpu(func(*attestation.Report) { asked = true }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), encode(t, e), now); !errors.Is(err, attestation.ErrAppraise) || asked {
		t.Errorf("got %v, devices asked: %v", err, asked)
	}
}

// TestInterruptedVerification ends without a verdict.
func TestInterruptedVerification(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newVerifier(t, reference(), nil).Verify(ctx, encode(t, newEvidence(t, "a")), now); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestEveryPlatformIsPinned: no platform can be listed in reference values without pinning something that may not be zero.
func TestEveryPlatformIsPinned(t *testing.T) {
	for _, p := range attestation.Platforms() {
		ref := reference()
		ref.Values[0].Platform, ref.Values[0].Measurements = p, map[string]string{"other": strings.Repeat("ab", 32)}
		if err := ref.Validate(); err == nil || !strings.Contains(err.Error(), "does not pin") {
			t.Errorf("%s: got %v", p, err)
		}
		zero := map[string]string{}
		for _, m := range []string{
			"enclave", "mrenclave", "measurement", "hostdata", "mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid", "image", "driver", "vbios", "pcr0", "pcr1", "pcr2", "pcr4",
			"pcr7", "pcr8", "pcr9", "pcr11", "pcr12", "pcr13", "pcr14",
		} {
			zero[m] = strings.Repeat("00", 32)
		}
		ref.Values[0].Measurements = zero
		if err := ref.Validate(); err == nil || !strings.Contains(err.Error(), "to zero") {
			t.Errorf("%s: got %v", p, err)
		}
	}
}

// TestReferenceSaysHowItDiffers: the closest value and only what differs, for people.
func TestReferenceSaysHowItDiffers(t *testing.T) {
	ref := reference()
	ref.Values[0].Measurements["pcr4"] = strings.Repeat("ff", 32)
	far := attestation.ReferenceValue{Name: "far", Platform: attestation.PlatformTPM, Measurements: map[string]string{}}
	for m := range measured() {
		far.Measurements[m] = strings.Repeat("ee", 32)
	}
	ref.Values = append([]attestation.ReferenceValue{far}, ref.Values...)
	_, err := newVerifier(t, ref, nil).Verify(t.Context(), encode(t, newEvidence(t, "a")), now)
	if err == nil || !strings.Contains(err.Error(), `want "v1: pcr4=ff`) || strings.Contains(err.Error(), "far") || strings.Contains(err.Error(), "pcr7") {
		t.Errorf("got %v", err)
	}
}
