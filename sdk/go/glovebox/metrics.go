// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"errors"
	"io"
	"math"
	"sort"
	"strconv"
)

// MetricsName is the file that [Metrics.Write] writes; declare it with --output metrics.json:metrics.
const MetricsName = "metrics.json"

// ErrMetric is wrapped by errors about a metric.
var ErrMetric = errors.New("metric")

const (
	maxMetrics    = 256
	maxMetricName = 64
)

// Metrics are the numbers a job reports, and nothing else: one flat JSON object of names and numbers, names ascending,
// at most 256 of them. The zero value is empty.
type Metrics struct{ values map[string]float64 }

// Set sets one number. Whole numbers up to 2^53 are written in full and others with nine significant digits.
func (m *Metrics) Set(name string, v float64) {
	if m.values == nil {
		m.values = map[string]float64{}
	}
	m.values[name] = v
}

// Write writes /out/metrics.json. It refuses, with [ErrMetric], names that are not of 1 to 64 letters, digits, dots,
// dashes and underscores, and values that are not finite.
func (m *Metrics) Write() error {
	o, err := Create(MetricsName)
	if err != nil {
		return err
	}
	return errors.Join(m.Encode(o), o.Close())
}

// Encode writes the object, and a newline, to w.
func (m *Metrics) Encode(w io.Writer) error {
	names := make([]string, 0, len(m.values))
	for n, v := range m.values {
		switch {
		case !validMetric(n):
			return wrap(ErrMetric, strconv.Quote(n)+" has another name than letters, digits, dots, dashes and underscores")
		case math.IsNaN(v) || math.IsInf(v, 0):
			return wrap(ErrMetric, n+" is not a finite number")
		}
		names = append(names, n)
	}
	if len(names) > maxMetrics {
		return wrap(ErrMetric, "number "+strconv.Itoa(maxMetrics+1)+" is too many")
	}
	sort.Strings(names)
	b := []byte{'{'}
	for i, n := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, n...)
		b = append(b, '"', ':')
		b = append(b, number(m.values[n])...)
	}
	_, err := w.Write(append(b, '}', '\n'))
	return err
}

func validMetric(n string) bool {
	for i := range len(n) {
		switch c := n[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return n != "" && len(n) <= maxMetricName
}

// number is a finite number in JSON.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) <= 1<<53 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 9, 64)
}
