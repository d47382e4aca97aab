// SPDX-License-Identifier: Apache-2.0

package parquet

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/glovebox-dev/glovebox/internal/source"
)

// value is one value as it is stored; which member counts is the physical type's to say.
type value struct {
	n int64
	f float64
	b []byte
}

// formatter appends a value as JSON.
type formatter func(dst []byte, v value) ([]byte, error)

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", source.ErrValue, fmt.Sprintf(format, args...))
}

// formatOf is how a column's values are written, and its type's name. A type that is not known is refused: its values would be
// numbers or bytes that mean something else.
func formatOf(p *schema.PrimitiveNode) (formatter, string, error) {
	unknown := func(t fmt.Stringer) (formatter, string, error) {
		return nil, "", fmt.Errorf("%w: of the type %s; cast it to one that has a text, or leave it out", source.ErrType, t)
	}
	switch t := p.LogicalType().(type) {
	case schema.NoLogicalType, schema.UnknownLogicalType, nil:
		if p.ConvertedType() != schema.ConvertedTypes.None && p.ConvertedType() != schema.ConvertedTypes.NA {
			return unknown(p.ConvertedType())
		}
		return plainFormat(p)
	case schema.StringLogicalType, schema.EnumLogicalType:
		return formatString, "string", nil
	case schema.JSONLogicalType:
		return formatJSON, "json", nil
	case schema.BSONLogicalType:
		return formatBytes, "bson", nil
	case schema.UUIDLogicalType:
		return formatUUID, "uuid", nil
	case schema.IntLogicalType:
		return intFormat(t)
	case *schema.DecimalLogicalType:
		return decimalFormat(p, t.Precision(), t.Scale())
	case schema.DecimalLogicalType:
		return decimalFormat(p, t.Precision(), t.Scale())
	case schema.DateLogicalType:
		return formatDate, "date", nil
	case schema.TimeLogicalType:
		return timeFormat(t.TimeUnit(), t.IsAdjustedToUTC())
	case *schema.TimestampLogicalType:
		return timestampFormat(t.TimeUnit(), t.IsAdjustedToUTC())
	case schema.TimestampLogicalType:
		return timestampFormat(t.TimeUnit(), t.IsAdjustedToUTC())
	case schema.Float16LogicalType:
		return formatHalf, "float16", nil
	case schema.NullLogicalType:
		return func([]byte, value) ([]byte, error) { return nil, refused("a value where all are null") }, "null", nil
	default:
		return unknown(t)
	}
}

// plainFormat is for types without an annotation.
func plainFormat(p *schema.PrimitiveNode) (formatter, string, error) {
	switch p.PhysicalType() {
	case parquet.Types.Boolean:
		return formatBool, "boolean", nil
	case parquet.Types.Int32, parquet.Types.Int64:
		return formatInt, "integer", nil
	case parquet.Types.Int96:
		return formatInt96, "timestamp-int96", nil
	case parquet.Types.Float:
		return floatFormat(32), "float", nil
	case parquet.Types.Double:
		return floatFormat(64), "double", nil
	case parquet.Types.ByteArray, parquet.Types.FixedLenByteArray:
		return formatBytes, "binary", nil
	}
	return nil, "", fmt.Errorf("%w: of a physical type that is not known", source.ErrType)
}

func formatBool(dst []byte, v value) ([]byte, error) { return strconv.AppendBool(dst, v.n != 0), nil }
func formatInt(dst []byte, v value) ([]byte, error)  { return strconv.AppendInt(dst, v.n, 10), nil }

func formatBytes(dst []byte, v value) ([]byte, error) {
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v.b), '"'), nil
}

func formatString(dst []byte, v value) ([]byte, error) {
	if !utf8.Valid(v.b) {
		return nil, refused("a string that is not UTF-8; declare the column as binary, and it is packed in base64")
	}
	return appendString(dst, v.b), nil
}

const hexDigits = "0123456789abcdef"

// appendString writes JSON with no more escapes than it needs (RFC 8259, section 7).
func appendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// formatJSON writes a document of a column's as it is, on one line.
func formatJSON(dst []byte, v value) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	if !utf8.Valid(v.b) || json.Compact(b, v.b) != nil {
		return nil, refused("a value that is no JSON in a column of JSON")
	}
	return b.Bytes(), nil
}

func formatUUID(dst []byte, v value) ([]byte, error) {
	if len(v.b) != 16 {
		return nil, damaged("a UUID that is not 16 bytes long")
	}
	dst = append(dst, '"')
	for i, n := 0, 0; i < 16; i += n {
		n = 2
		if i == 0 {
			n = 4
		} else {
			dst = append(dst, '-')
		}
		if i == 10 {
			n = 6
		}
		dst = hex.AppendEncode(dst, v.b[i:i+n])
	}
	return append(dst, '"'), nil
}

func intFormat(t schema.IntLogicalType) (formatter, string, error) {
	bits := int(t.BitWidth())
	name := "int" + strconv.Itoa(bits)
	if t.IsSigned() {
		least, most := int64(-1)<<(bits-1), int64(1)<<(bits-1)-1
		return func(dst []byte, v value) ([]byte, error) {
			if v.n < least || v.n > most {
				return nil, damaged("an integer that its type has no room for")
			}
			return formatInt(dst, v)
		}, name, nil
	}
	return func(dst []byte, v value) ([]byte, error) {
		n := uint64(v.n)
		if bits < 64 {
			if n = uint64(uint32(v.n)); n>>bits != 0 { // 32 bits are stored, signed
				return nil, damaged("an integer that its type has no room for")
			}
		}
		return strconv.AppendUint(dst, n, 10), nil
	}, "u" + name, nil
}

func floatFormat(bits int) formatter {
	return func(dst []byte, v value) ([]byte, error) {
		if math.IsNaN(v.f) || math.IsInf(v.f, 0) {
			return nil, refused("NaN or an infinity, which JSON has not; make it null, or leave the row out")
		}
		form := byte('f')
		if abs := math.Abs(v.f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
			form = 'e'
		}
		return strconv.AppendFloat(dst, v.f, form, -1, bits), nil
	}
}

// formatHalf writes a float of 16 bits (IEEE 754 binary16), little-endian.
func formatHalf(dst []byte, v value) ([]byte, error) {
	if len(v.b) != 2 {
		return nil, damaged("a float of 16 bits that has others")
	}
	h := binary.LittleEndian.Uint16(v.b)
	exp, frac := int(h>>10&31), float64(h&1023)
	f := math.Ldexp(frac, -24)
	switch {
	case exp == 31:
		f = math.Inf(1)
	case exp > 0:
		f = math.Ldexp(1024+frac, exp-25)
	}
	if h>>15 != 0 {
		f = math.Copysign(f, -1)
	}
	return floatFormat(32)(dst, value{f: f})
}

// decimalFormat writes all digits, as a string: readers of JSON would make a float of a number.
func decimalFormat(p *schema.PrimitiveNode, precision, scale int32) (formatter, string, error) {
	if precision < 1 || precision > 1000 || scale < 0 || scale > precision {
		return nil, "", fmt.Errorf("%w: a decimal of %d digits, %d of them after the point", source.ErrType, precision, scale)
	}
	name := fmt.Sprintf("decimal(%d,%d)", precision, scale)
	inBytes := p.PhysicalType() == parquet.Types.ByteArray || p.PhysicalType() == parquet.Types.FixedLenByteArray
	return func(dst []byte, v value) ([]byte, error) {
		n := big.NewInt(v.n)
		if inBytes {
			if len(v.b) == 0 || len(v.b) > 512 {
				return nil, damaged("a decimal without digits, or with too many")
			}
			if n.SetBytes(v.b); v.b[0]&0x80 != 0 { // two's complement, big-endian
				n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(v.b))))
			}
		}
		digits := new(big.Int).Abs(n).Append(nil, 10)
		if n.Sign() == 0 {
			digits = digits[:0]
		}
		if len(digits) > int(precision) {
			return nil, damaged("a decimal with more digits than its type has")
		}
		for len(digits) <= int(scale) {
			digits = append([]byte{'0'}, digits...)
		}
		dst = append(dst, '"')
		if n.Sign() < 0 {
			dst = append(dst, '-')
		}
		whole := len(digits) - int(scale)
		if dst = append(dst, digits[:whole]...); scale > 0 {
			dst = append(append(dst, '.'), digits[whole:]...)
		}
		return append(dst, '"'), nil
	}, name, nil
}

const secondsADay = 24 * 3600

// appendTime writes a time of the years that RFC 3339 has.
func appendTime(dst []byte, sec, nanos int64, layout string) ([]byte, error) {
	t := time.Unix(sec, nanos).UTC()
	if y := t.Year(); y < 0 || y > 9999 || sec > 1<<40 || sec < -(1<<40) {
		return nil, refused("a date outside the years 0 to 9999")
	}
	return append(t.AppendFormat(append(dst, '"'), layout), '"'), nil
}

func formatDate(dst []byte, v value) ([]byte, error) {
	return appendTime(dst, v.n*secondsADay, 0, time.DateOnly)
}

// unit is how many there are in a second, and how a fraction of that is laid out.
func unit(u schema.TimeUnitType) (per int64, fraction, name string) {
	switch u {
	case schema.TimeUnitMillis:
		return 1e3, ".000", "ms"
	case schema.TimeUnitMicros:
		return 1e6, ".000000", "us"
	default:
		return 1e9, ".000000000", "ns"
	}
}

// zone is Z where values are instants, and nothing where they are what a clock on some wall showed.
func zone(utc bool) string {
	if utc {
		return "Z"
	}
	return ""
}

func timeFormat(u schema.TimeUnitType, utc bool) (formatter, string, error) {
	per, fraction, name := unit(u)
	layout := "15:04:05" + fraction + zone(utc)
	return func(dst []byte, v value) ([]byte, error) {
		if v.n < 0 || v.n >= secondsADay*per {
			return nil, refused("a time of day outside a day")
		}
		return appendTime(dst, v.n/per, v.n%per*(1e9/per), layout)
	}, "time-" + name + zone(utc), nil
}

func timestampFormat(u schema.TimeUnitType, utc bool) (formatter, string, error) {
	per, fraction, name := unit(u)
	layout := "2006-01-02T15:04:05" + fraction + zone(utc)
	return func(dst []byte, v value) ([]byte, error) {
		sec, rest := v.n/per, v.n%per
		if rest < 0 {
			sec, rest = sec-1, rest+per
		}
		return appendTime(dst, sec, rest*(1e9/per), layout)
	}, "timestamp-" + name + zone(utc), nil
}

// julianEpoch is 1970-01-01 as a Julian day.
const julianEpoch = 2440588

// formatInt96 writes the deprecated timestamp: nanoseconds of a day, and a Julian day; in UTC, as Spark and Impala write it now.
func formatInt96(dst []byte, v value) ([]byte, error) {
	if len(v.b) != 12 {
		return nil, damaged("a timestamp that is not 12 bytes long")
	}
	nanos, day := binary.LittleEndian.Uint64(v.b), int64(binary.LittleEndian.Uint32(v.b[8:]))
	if nanos >= secondsADay*1e9 {
		return nil, refused("a time of day outside a day")
	}
	return appendTime(dst, (day-julianEpoch)*secondsADay+int64(nanos/1e9), int64(nanos%1e9), "2006-01-02T15:04:05.000000000Z")
}
