// SPDX-License-Identifier: Apache-2.0

package boot_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/boot"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func check(t *testing.T, c *tpmtest.Cloud, only ...int) (*attestation.Report, *eventlog.Log) {
	t.Helper()
	r := &attestation.Report{}
	l, err := boot.Check(r, pcrs(c, only...), logs(c.Log), boot.Required)
	if err != nil {
		t.Fatal(err)
	}
	return r, l
}

// TestFactsRestOnQuotedRegisters: what the log says of a register that was not quoted is anybody's word.
func TestFactsRestOnQuotedRegisters(t *testing.T) {
	c := tpmtest.NewCloud(t, tpmtest.ECCKey("boot"))
	c.Measure(t, 0, 8, append(text16("firmware"), 0, 0))
	c.Measure(t, 7, 0x80000001, secureBoot(1))
	for _, x := range []struct {
		only                  []int
		firmware, secure, own bool
	}{
		{[]int{0}, true, false, false},
		{[]int{7}, false, true, false},
		{[]int{quote.EnclavePCR}, false, false, true},
		{[]int{0, 1, 2, 3, 4, 5, 6, 7}, true, true, false},
		{nil, true, true, true},
	} {
		r, l := check(t, c, x.only...)
		enclave := boot.Enclave(l, pcrs(c, x.only...))
		if (said(r, "firmware") != "") != x.firmware || (said(r, "secure-boot") != "") != x.secure || (enclave != "") != x.own {
			t.Errorf("quoted %v: enclave %q, %+v", x.only, enclave, r.Facts)
		}
	}
}

// TestEnclaveIsNamedOnce: no log, no enclave and two enclaves are none.
func TestEnclaveIsNamedOnce(t *testing.T) {
	c := tpmtest.NewCloud(t, tpmtest.ECCKey("boot"))
	_, l := check(t, c)
	want := envelope.Sum([]byte("an enclave binary"))
	if d := boot.Enclave(l, pcrs(c)); d != want.Hex() {
		t.Errorf("got %q", d)
	}
	if d := boot.Enclave(nil, pcrs(c)); d != "" {
		t.Errorf("without a log: %q", d)
	}
	c.Measure(t, quote.EnclavePCR, eventlog.IPL, []byte(eventlog.EnclaveEvent))
	if _, l = check(t, c); boot.Enclave(l, pcrs(c)) != "" {
		t.Error("one of two enclaves")
	}
}

// TestSecureBootIsTheFirmwaresVariable: one of the same name under another GUID is the running system's; a second answer
// leaves none.
func TestSecureBootIsTheFirmwaresVariable(t *testing.T) {
	strange := slices.Clone(global)
	strange[0] = 0xee
	longer, wider := secureBoot(1), secureBoot(1)
	longer[16]++
	wider[24]++
	for name, x := range map[string]struct {
		data [][]byte
		want string
	}{
		"on":                      {[][]byte{secureBoot(1)}, "running: true"},
		"off":                     {[][]byte{secureBoot(0)}, "running: false; weakness: off"},
		"neither":                 {[][]byte{secureBoot(2)}, "running: false; weakness: off"},
		"another's":               {[][]byte{secureBootOf(strange, 1)}, ""},
		"off, then another's on":  {[][]byte{secureBoot(0), secureBootOf(strange, 1)}, "running: false; weakness: off"},
		"off, then on":            {[][]byte{secureBoot(0), secureBoot(1)}, "weakness: unknown"},
		"on, twice":               {[][]byte{secureBoot(1), secureBoot(1)}, "weakness: unknown"},
		"a name of other length":  {[][]byte{longer}, ""},
		"a value of other length": {[][]byte{wider}, ""},
	} {
		c := tpmtest.NewCloud(t, tpmtest.ECCKey("boot"))
		for _, d := range x.data {
			c.Measure(t, 7, 0x80000001, d)
		}
		r, _ := check(t, c)
		if got := said(r, "secure-boot"); !strings.HasPrefix(got, x.want) || (x.want == "") != (got == "") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
