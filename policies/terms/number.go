// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
)

var (
	termPattern    = regexp.MustCompile(`^[a-z0-9][a-z0-9._:/-]{0,127}$`)
	integerPattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,15})$`)
	decimalPattern = regexp.MustCompile(`^([0-9]{1,16})?(\.[0-9]+)?$`)
	sizePattern    = regexp.MustCompile(`^([1-9][0-9]{0,15}) ?(B|K|KiB|M|MiB|G|GiB)?$`)
	attributeName  = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
	populationName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)
	spanPattern    = regexp.MustCompile(`^([1-9][0-9]{0,9}) ?(s|m|h|d)$`)
)

var (
	errNotFinite = errors.New("is not a finite number")
	errNegative  = errors.New("is negative")
)

func isTerm(s string) bool { return termPattern.MatchString(s) }

func sortedSet(s []string) []string {
	out := slices.Clone(s)
	slices.Sort(out)
	return slices.Compact(out)
}

// parseInteger reads a count, exactly.
func parseInteger(s string) (int64, error) {
	if !integerPattern.MatchString(s) {
		return 0, notNumber(s, "write it in digits, like 20")
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > dataset.MaxAmount {
		return 0, fmt.Errorf("%q is more than %d", s, int64(dataset.MaxAmount))
	}
	return n, nil
}

// parseDecimal reads a decimal number into units of 10^-places, exactly: no float comes near it.
func parseDecimal(s string, places int) (int64, error) {
	if !decimalPattern.MatchString(s) || strings.Trim(s, ".") == "" {
		return 0, notNumber(s, "write it like 12.50")
	}
	if _, fraction, _ := strings.Cut(s, "."); len(strings.TrimRight(fraction, "0")) > places {
		return 0, fmt.Errorf("%q has more than %d decimals", s, places)
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, notNumber(s, "write it like 12.50")
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)))
	if !r.IsInt() || !r.Num().IsInt64() || r.Num().Int64() > dataset.MaxAmount {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return r.Num().Int64(), nil
}

// notNumber says what is wrong with a number in the words of who wrote it.
func notNumber(s, hint string) error {
	switch low := strings.ToLower(strings.Trim(s, "+-.")); {
	case low == "nan" || low == "inf" || low == "infinity" || strings.Contains(s, "∞"):
		return fmt.Errorf("%q %w", s, errNotFinite)
	case strings.HasPrefix(s, "-"):
		return fmt.Errorf("%q %w", s, errNegative)
	}
	return fmt.Errorf("%q is not a number; %s", s, hint)
}

// parseSize reads a number of bytes with an optional binary unit.
func parseSize(s string) (int64, error) {
	m := sizePattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is not a size; write it like 512KiB, 16MiB or 1GiB", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	factor := map[string]int64{"": 1, "B": 1, "K": 1 << 10, "KiB": 1 << 10, "M": 1 << 20, "MiB": 1 << 20, "G": 1 << 30, "GiB": 1 << 30}[m[2]]
	if err != nil || n > dataset.MaxAmount/factor {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return n * factor, nil
}

// parseSpan reads a length of time in whole seconds.
func parseSpan(s string) (int64, error) {
	m := spanPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is not a length of time; write it like 90s, 30m, 2h or 7d", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	factor := map[string]int64{"s": 1, "m": 60, "h": 3600, "d": 86400}[m[2]]
	if err != nil || n > dataset.MaxAmount/factor {
		return 0, fmt.Errorf("%q is too long", s)
	}
	return n * factor, nil
}

// parseEnd reads when terms end: a day, which is its end in UTC, or a time with its zone.
func parseEnd(s string) (int64, error) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day.AddDate(0, 0, 1).Unix(), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a day like 2027-06-30 nor a time like 2027-06-30T12:00:00Z", s)
	}
	return t.Unix(), nil
}
