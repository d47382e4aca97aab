// SPDX-License-Identifier: Apache-2.0

package dcap_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
)

func levels(list ...any) func(v *dcaptest.Vendor) {
	return func(v *dcaptest.Vendor) { v.TCBInfo["tcbLevels"] = list }
}

// TestStatus: the platform's level is the first that every component reaches, and the QE lowers it as Intel's library does.
func TestStatus(t *testing.T) {
	for name, c := range map[string]struct {
		change func(v *dcaptest.Vendor)
		want   attestation.TCB
	}{
		"up to date":           {func(*dcaptest.Vendor) {}, attestation.TCB{Status: "UpToDate"}},
		"one component behind": {func(v *dcaptest.Vendor) { v.Platform.Components[15] = 4 }, attestation.TCB{Status: "SWHardeningNeeded", Advisories: []string{"INTEL-SA-00615"}}},
		"PCE behind":           {func(v *dcaptest.Vendor) { v.Platform.PCESVN = 12 }, attestation.TCB{Status: "OutOfDate", Advisories: []string{"INTEL-SA-00614"}}},
		"revoked":              {func(v *dcaptest.Vendor) { v.Platform.Components[0] = 1 }, attestation.TCB{Status: "Revoked"}},
		"ahead":                {func(v *dcaptest.Vendor) { v.Platform.Components[0] = 200 }, attestation.TCB{Status: "UpToDate"}},
		"QE behind":            {func(v *dcaptest.Vendor) { v.QEReport[258] = 6 }, attestation.TCB{Status: "OutOfDate", Advisories: []string{"INTEL-SA-00477"}}},
		"QE behind, hardening": {func(v *dcaptest.Vendor) { v.QEReport[258] = 6; v.Platform.Components[1] = 4 }, attestation.TCB{Status: "OutOfDate", Advisories: []string{"INTEL-SA-00477", "INTEL-SA-00615"}}},
		"QE revoked":           {func(v *dcaptest.Vendor) { v.QEIdentity["tcbLevels"] = []any{dcaptest.SVN(1, "Revoked")} }, attestation.TCB{Status: "Revoked"}},
		"QE behind, config":    {func(v *dcaptest.Vendor) { v.QEReport[258] = 6; levels(dcaptest.Level(1, 1, "ConfigurationNeeded"))(v) }, attestation.TCB{Status: "OutOfDateConfigurationNeeded", Advisories: []string{"INTEL-SA-00477"}}},
		"QE behind, config and": {func(v *dcaptest.Vendor) {
			v.QEReport[258] = 6
			levels(dcaptest.Level(1, 1, "ConfigurationAndSWHardeningNeeded"))(v)
		}, attestation.TCB{Status: "OutOfDateConfigurationNeeded", Advisories: []string{"INTEL-SA-00477"}}},
		"QE behind, out of date": {func(v *dcaptest.Vendor) { v.QEReport[258] = 6; v.Platform.PCESVN = 12 }, attestation.TCB{Status: "OutOfDate", Advisories: []string{"INTEL-SA-00477", "INTEL-SA-00614"}}},
		"QE hardening, config": {func(v *dcaptest.Vendor) {
			v.QEIdentity["tcbLevels"] = []any{dcaptest.SVN(1, "SWHardeningNeeded")}
			levels(dcaptest.Level(1, 1, "ConfigurationNeeded"))(v)
		}, attestation.TCB{Status: "ConfigurationAndSWHardeningNeeded"}},
		"QE hardening": {func(v *dcaptest.Vendor) { v.QEIdentity["tcbLevels"] = []any{dcaptest.SVN(1, "SWHardeningNeeded")} }, attestation.TCB{Status: "SWHardeningNeeded"}},
		"advisories, each once": {func(v *dcaptest.Vendor) {
			v.QEReport[258] = 6
			levels(dcaptest.Level(1, 1, "OutOfDate", "INTEL-SA-00999", "INTEL-SA-00477", "INTEL-SA-00001"))(v)
		}, attestation.TCB{Status: "OutOfDate", Advisories: []string{"INTEL-SA-00001", "INTEL-SA-00477", "INTEL-SA-00999"}}},
		"members that Intel adds": {func(v *dcaptest.Vendor) {
			v.TCBInfo["new"] = map[string]any{"x": []any{1, map[string]any{"x": 2}}}
			v.QEIdentity["new"] = "1"
		}, attestation.TCB{Status: "UpToDate"}},
	} {
		for _, tee := range []dcap.TEE{dcap.SGX, dcap.TDX} {
			v := dcaptest.New(tee)
			c.change(v)
			r, err := run(t, v)
			if err != nil {
				t.Errorf("%s: %v: %v", name, tee, err)
				continue
			}
			got := attestation.TCB{Status: r.TCB.Status, Advisories: r.TCB.Advisories}
			if len(got.Advisories) == 0 {
				got.Advisories = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: %v: %s", name, tee, diff)
			}
		}
	}
}

// TestModule: the TDX module's version decides whose word counts, and its level lowers the platform's.
func TestModule(t *testing.T) {
	for name, c := range map[string]struct {
		change func(v *dcaptest.Vendor)
		want   string // status
		err    error
	}{
		"version 1, current":    {func(*dcaptest.Vendor) {}, "UpToDate", nil},
		"version 3, current":    {func(v *dcaptest.Vendor) { v.Body[1] = 3 }, "UpToDate", nil},
		"version 1, behind":     {func(v *dcaptest.Vendor) { v.Body[0] = 4 }, "OutOfDate", nil},
		"version 1, too old":    {func(v *dcaptest.Vendor) { v.Body[0] = 1 }, "", dcap.ErrTCB},
		"version 2, unknown":    {func(v *dcaptest.Vendor) { v.Body[1] = 2 }, "", dcap.ErrTCB},
		"version 0, current":    {func(v *dcaptest.Vendor) { v.Body[1] = 0; atLeast(v, 1, 0) }, "UpToDate", nil},
		"version 0, behind":     {func(v *dcaptest.Vendor) { v.Body[0], v.Body[1] = 4, 0; atLeast(v, 1, 0) }, "SWHardeningNeeded", nil},
		"component 2 behind":    {func(v *dcaptest.Vendor) { v.Body[2] = 4 }, "SWHardeningNeeded", nil},
		"components too low":    {func(v *dcaptest.Vendor) { v.Body[9] = 0 }, "", dcap.ErrTCB},
		"MRSIGNERSEAM":          {func(v *dcaptest.Vendor) { v.Body[64] = 1 }, "", dcap.ErrTCB},
		"SEAMATTRIBUTES":        {func(v *dcaptest.Vendor) { v.Body[112] = 1 }, "", dcap.ErrTCB},
		"module revoked":        {module("TDX_01", dcaptest.SVN(1, "Revoked")), "Revoked", nil},
		"module, new status":    {module("TDX_01", dcaptest.SVN(1, "Splendid")), "", dcap.ErrMalformed},
		"module without levels": {module("TDX_01"), "", dcap.ErrTCB},
		"no module, version 0":  {func(v *dcaptest.Vendor) { v.Body[1] = 0; atLeast(v, 1, 0); delete(v.TCBInfo, "tdxModule") }, "", dcap.ErrMalformed},
		"no TDX components":     {func(v *dcaptest.Vendor) { delete(first(v)["tcb"].(map[string]any), "tdxtcbcomponents") }, "", dcap.ErrMalformed},
		"fifteen SGX components": {func(v *dcaptest.Vendor) {
			tcb := first(v)["tcb"].(map[string]any)
			tcb["sgxtcbcomponents"] = tcb["sgxtcbcomponents"].([]any)[1:]
		}, "", dcap.ErrMalformed},
		"component without SVN": {func(v *dcaptest.Vendor) {
			first(v)["tcb"].(map[string]any)["tdxtcbcomponents"].([]any)[4] = map[string]any{}
		}, "", dcap.ErrMalformed},
		"level without PCE SVN": {func(v *dcaptest.Vendor) { delete(first(v)["tcb"].(map[string]any), "pcesvn") }, "", dcap.ErrMalformed},
		"level without date":    {func(v *dcaptest.Vendor) { delete(first(v), "tcbDate") }, "", dcap.ErrMalformed},
	} {
		v := dcaptest.New(dcap.TDX)
		c.change(v)
		r, err := run(t, v)
		if !errors.Is(err, c.err) || (err == nil && r.TCB.Status != c.want) {
			t.Errorf("%s: %+v, %v", name, r.TCB, err)
		}
	}
}

// TestRevokedPlatformUnderTDX: the SGX components alone lead to a revoked level, whatever the TDX components lead to.
func TestRevokedPlatformUnderTDX(t *testing.T) {
	v := dcaptest.New(dcap.TDX)
	levels(dcaptest.Level(5, 13, "Revoked"), dcaptest.Level(1, 1, "UpToDate"))(v)
	first(v)["tcb"].(map[string]any)["tdxtcbcomponents"].([]any)[7] = map[string]any{"svn": 9}
	if r, err := run(t, v); err != nil || r.TCB.Status != attestation.Revoked {
		t.Errorf("%+v, %v", r.TCB, err)
	}
}

// TestRevokedPlatformIsNotRelaunched: the same with a module that is behind, which alone would only want a relaunch.
func TestRevokedPlatformIsNotRelaunched(t *testing.T) {
	for name, status := range map[string]string{"Revoked": "Revoked", "OutOfDate": "OutOfDate", "OutOfDateConfigurationNeeded": "OutOfDate"} {
		v := dcaptest.New(dcap.TDX)
		v.SetVersion(5)
		v.Body = dcaptest.TDBody(648)
		v.Body[0] = 4 // behind when it started
		levels(dcaptest.Level(5, 13, name), dcaptest.Level(1, 1, "UpToDate"))(v)
		v.Body[7] = 4 // so that the TDX components lead to the second level
		if r, err := run(t, v); err != nil || r.TCB.Status != status {
			t.Errorf("%s: %+v, %v", name, r.TCB, err)
		}
	}
}

// TestQEForbidsRelaunch: while the QE is behind, a relaunch would not help, and the platform's configuration is not the matter.
func TestQEForbidsRelaunch(t *testing.T) {
	for name, c := range map[string]struct {
		qe   any
		want string
	}{
		"current":     {dcaptest.SVN(1, "UpToDate"), "TDRelaunchAdvisedConfigurationNeeded"},
		"out of date": {dcaptest.SVN(1, "OutOfDate"), "OutOfDate"},
		"revoked":     {dcaptest.SVN(1, "Revoked"), "Revoked"},
	} {
		v := dcaptest.New(dcap.TDX)
		v.SetVersion(5)
		v.Body = dcaptest.TDBody(648)
		v.Body[0], v.Body[7] = 4, 4 // module behind when it started; the TDX components lead to the second level
		levels(dcaptest.Level(5, 13, "ConfigurationNeeded"), dcaptest.Level(1, 1, "OutOfDate"))(v)
		v.QEIdentity["tcbLevels"] = []any{c.qe}
		if r, err := run(t, v); err != nil || r.TCB.Status != c.want {
			t.Errorf("%s: %+v, %v", name, r.TCB, err)
		}
	}
}

// TestSEAMAttributesAsListed: zero is not enough where Intel lists other attributes, and bits outside the mask must be zero.
func TestSEAMAttributesAsListed(t *testing.T) {
	for name, c := range map[string]struct {
		attributes, mask string
		seam             byte
		want             error
	}{
		"as listed":         {"0000000000000000", "FFFFFFFFFFFFFFFF", 0, nil},
		"others listed":     {"0100000000000000", "FFFFFFFFFFFFFFFF", 0, dcap.ErrTCB},
		"others, not asked": {"0100000000000000", "FEFFFFFFFFFFFFFF", 0, nil},
		"not asked":         {"0000000000000000", "0000000000000000", 1, dcap.ErrTCB},
		"as listed, not 0":  {"0100000000000000", "FFFFFFFFFFFFFFFF", 1, dcap.ErrTCB},
		"short mask":        {"0000000000000000", "FF", 0, dcap.ErrTCB},
	} {
		v := dcaptest.New(dcap.TDX)
		id := v.TCBInfo["tdxModuleIdentities"].([]any)[0].(map[string]any)
		id["attributes"], id["attributesMask"], v.Body[112] = c.attributes, c.mask, c.seam
		r, err := run(t, v)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || (err != nil && !only(r, "tdx-module")) {
			t.Errorf("%s: %v, failed %q", name, err, failed(r))
		}
	}
}

func first(v *dcaptest.Vendor) map[string]any {
	return v.TCBInfo["tcbLevels"].([]any)[0].(map[string]any)
}

// atLeast sets what every level asks of one TDX component.
func atLeast(v *dcaptest.Vendor, component, svn int) {
	for _, l := range v.TCBInfo["tcbLevels"].([]any) {
		l.(map[string]any)["tcb"].(map[string]any)["tdxtcbcomponents"].([]any)[component] = map[string]any{"svn": svn}
	}
}

func module(id string, levels ...any) func(v *dcaptest.Vendor) {
	return func(v *dcaptest.Vendor) {
		v.TCBInfo["tdxModuleIdentities"] = []any{map[string]any{
			"id": id, "mrsigner": fmt.Sprintf("%096d", 0), "attributes": "0000000000000000", "attributesMask": "FFFFFFFFFFFFFFFF", "tcbLevels": levels,
		}}
	}
}

// TestRelaunch: a TD that started under an old module and now runs under a current one, which only a TD report 1.5 can say.
func TestRelaunch(t *testing.T) {
	for name, c := range map[string]struct {
		change func(v *dcaptest.Vendor)
		size   int
		want   string
	}{
		"relaunch":                    {func(*dcaptest.Vendor) {}, 648, "TDRelaunchAdvised"},
		"TD report 1.0":               {func(*dcaptest.Vendor) {}, 584, "OutOfDate"},
		"still the old module":        {func(v *dcaptest.Vendor) { v.Body[584] = 4 }, 648, "OutOfDate"},
		"SEAM loader behind":          {func(v *dcaptest.Vendor) { v.Body[586] = 4 }, 648, "OutOfDate"},
		"now version 3":               {func(v *dcaptest.Vendor) { v.Body[585] = 3 }, 648, "TDRelaunchAdvised"},
		"QE behind":                   {func(v *dcaptest.Vendor) { v.QEReport[258] = 6 }, 648, "OutOfDate"},
		"platform behind":             {func(v *dcaptest.Vendor) { v.Platform.PCESVN = 12 }, 648, "OutOfDate"},
		"platform revoked":            {func(v *dcaptest.Vendor) { v.Platform.Components[0] = 1 }, 648, "Revoked"},
		"platform needs hardening":    {func(v *dcaptest.Vendor) { v.Platform.Components[0] = 4 }, 648, "TDRelaunchAdvised"},
		"platform needs configuring":  {func(v *dcaptest.Vendor) { first(v)["tcbStatus"] = "ConfigurationNeeded" }, 648, "TDRelaunchAdvisedConfigurationNeeded"},
		"module behind and platform":  {func(v *dcaptest.Vendor) { v.Body[2] = 3 }, 648, "TDRelaunchAdvised"},
		"module is current":           {func(v *dcaptest.Vendor) { v.Body[0] = 5 }, 648, "UpToDate"},
		"module revoked, now current": {module("TDX_01", dcaptest.SVN(5, "UpToDate"), dcaptest.SVN(1, "Revoked")), 648, "Revoked"},
	} {
		v := dcaptest.New(dcap.TDX)
		v.SetVersion(5)
		v.Body = dcaptest.TDBody(c.size)
		v.Body[0] = 4 // behind when it started
		c.change(v)
		if r, err := run(t, v); err != nil || r.TCB.Status != c.want {
			t.Errorf("%s: %+v, %v", name, r.TCB, err)
		}
	}
	v := dcaptest.New(dcap.TDX)
	v.SetVersion(5)
	v.Body = dcaptest.TDBody(648)
	v.Body[0], v.Body[585] = 4, 9
	if _, err := run(t, v); !errors.Is(err, dcap.ErrTCB) {
		t.Errorf("now a module that nobody knows: %v", err)
	}
}

// TestChip: the PPID, which all certificates of a platform share.
func TestChip(t *testing.T) {
	v := dcaptest.New(dcap.SGX)
	r, err := run(t, v)
	if err != nil || r.Chip != fmt.Sprintf("%x", v.Platform.PPID) {
		t.Errorf("%q, %v", r.Chip, err)
	}
	v.Platform.PPID = [16]byte{}
	if r, err = run(t, v); err != nil || r.Chip != "" {
		t.Errorf("no PPID: %q, %v", r.Chip, err)
	}
	p := attestation.DefaultPolicy()
	p.Chips = []string{"00000000000000000000000000000000"}
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
}

func TestEnclaveReport(t *testing.T) {
	b := dcaptest.EnclaveBody()
	x, err := dcap.ParseEnclaveReport(b)
	if err != nil || x.Debug() || x.Reserved() || x.SVN != 2 || x.ProductID != 7 || !bytes.Equal(x.MREnclave[:], b[64:96]) {
		t.Errorf("%+v, %v", x, err)
	}
	for _, at := range []int{20, 31, 96, 127, 160, 191, 262, 303} {
		c := bytes.Clone(b)
		c[at] = 1
		if x, err := dcap.ParseEnclaveReport(c); err != nil || !x.Reserved() {
			t.Errorf("byte %d is reserved: %v", at, err)
		}
	}
	for _, n := range []int{0, 383, 385} {
		if _, err := dcap.ParseEnclaveReport(make([]byte, n)); !errors.Is(err, dcap.ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
