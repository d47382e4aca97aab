// SPDX-License-Identifier: Apache-2.0

package redact

import "testing"

// TestDates: a date is moved in the form in which it is written.
func TestDates(t *testing.T) {
	for text, want := range map[string]string{
		"2021-03-04":                      "2021-03-14",
		"2021/12/30":                      "2022/01/09",
		"20211230":                        "20220109",
		"2021-03-04T10:11:12.5Z":          "2021-03-14T10:11:12.5Z",
		"2021-03-04 10:11:12+02:00":       "2021-03-14 10:11:12+02:00",
		"03/04/2021":                      "03/14/2021",
		"3/4/21":                          "3/14/21",
		"25/12/2020":                      "04/01/2021",
		"04.03.2021":                      "14.03.2021",
		"12/31/99":                        "01/10/00",
		"12 May 1990":                     "22 May 1990",
		"May 12, 1990":                    "May 22, 1990",
		"May 22nd, 1990":                  "June 1st, 1990",
		"2nd of MAY 1990":                 "12th of MAY 1990",
		"Sat, 12 May 1990 10:11:12 +0200": "Tue, 22 May 1990 10:11:12 +0200",
		"Saturday, May 12, 1990 10:30 pm": "Tuesday, May 22, 1990 10:30 pm",
		"12-May-1990":                     "22-May-1990",
		"25. Dezember 2020":               "4. Januar 2021",
		"12. April 2020":                  "22. April 2020",
		"25 décembre 2020":                "4 janvier 2021",
		"25 de diciembre de 2020":         "4 de enero de 2021",
		"28 feb 2020":                     "9 mar 2020",
		"May 12":                          "May 22",
		"12 May":                          "22 May",
		"June 1990":                       "June 1990",
		"10:30 2021-03-04":                "10:30 2021-03-14",
	} {
		d, ok := parseDate([]byte(text), "")
		if !ok {
			t.Errorf("%q is no date", text)
			continue
		}
		if got, ok := d.appendShifted(nil, 10); !ok || string(got) != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{
		"", "yesterday", "Monday", "31.02.2021", "00/00/0000", "2021-13-01", "10:30", "1 2 3 4", "12 May 1990 Jane", "May", "99999-01-01",
		"12 May 1990 at the house of Jane", "3/4", "\xff", "20211330",
	} {
		if d, ok := parseDate([]byte(text), ""); ok {
			t.Errorf("%q was read as a date: %+v", text, d)
		}
	}
	if d, ok := parseDate([]byte("03/04/2021"), orderDMY); !ok || d.day.value != 3 {
		t.Errorf("the order of days and months: %+v", d)
	}
	if d, ok := parseDate([]byte("9999-12-31"), ""); ok {
		if _, ok := d.appendShifted(nil, 10); ok {
			t.Error("a date beyond the year 9999")
		}
	}
}

func FuzzDate(f *testing.F) {
	for _, s := range []string{"2021-03-04T10:11:12Z", "May 12th, 1990", "Sat, 12 May 1990 10:11:12 +0200", "3/4/21", "12. März 2001", "20210304", "5 pm", "1:", "de 5 pm mai"} {
		f.Add([]byte(s), 7)
	}
	f.Fuzz(func(t *testing.T, text []byte, days int) {
		d, ok := parseDate(text, "")
		if !ok {
			return
		}
		days %= maxDays
		out, ok := d.appendShifted(nil, days)
		if !ok {
			return
		}
		back, ok := parseDate(out, "")
		if len(out) <= maxDate && !ok {
			t.Fatalf("%q became %q, which is no date", text, out)
		}
		if !ok || d.day.is() != back.day.is() || d.year.is() != back.year.is() {
			return
		}
	})
}
