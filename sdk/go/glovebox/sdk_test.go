// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func params(kv ...string) *Params {
	m := map[string]string{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return &Params{lookup: func(n string) (string, bool) { v, ok := m[n]; return v, ok }}
}

func TestParams(t *testing.T) {
	p := params("NAME", "mnist", "EPOCHS", "8", "RATE", "0.5", "FAST", "true", "MODE", "b")
	if p.Need("NAME") != "mnist" || p.String("OTHER", "x") != "x" || p.Int("EPOCHS", 1, 1, 10) != 8 || p.Int("MISSING", 3, 1, 2) != 3 ||
		p.Float("RATE", 1, 0, 1) != 0.5 || p.Float("MISSING", 2, 0, 1) != 2 || !p.Bool("FAST", false) || !p.Bool("MISSING", true) ||
		p.OneOf("MODE", "a", "a", "b") != "b" || p.OneOf("MISSING", "a", "a", "b") != "a" {
		t.Error("a parameter has another value than was given")
	}
	if err := p.Err(); err != nil {
		t.Error(err)
	}
}

func TestParamsSayWhatIsWrong(t *testing.T) {
	for want, read := range map[string]func(p *Params){
		`parameter NAME is missing: give --param NAME=VALUE`:                        func(p *Params) { p.Need("NAME") },
		`parameter N is "x": want a whole number from 1 to 9`:                       func(p *Params) { p.Int("N", 1, 1, 9) },
		`parameter BIG is "1e9": want a number from 0 to 0.5`:                       func(p *Params) { p.Float("BIG", 0, 0, 0.5) },
		`parameter NAN is "NaN": want a number from 0 to 1`:                         func(p *Params) { p.Float("NAN", 0, 0, 1) },
		`parameter N is "x": want true or false`:                                    func(p *Params) { p.Bool("N", false) },
		`parameter N is "x": want a or b`:                                           func(p *Params) { p.OneOf("N", "a", "a", "b") },
		`parameter A is missing: give --param A=VALUE; N is "x": want b`:            func(p *Params) { p.Need("A"); p.OneOf("N", "b", "b") },
		`parameter HUGE is "99999999999999999999": want a whole number from 0 to 1`: func(p *Params) { p.Int("HUGE", 0, 0, 1) },
	} {
		p := params("N", "x", "BIG", "1e9", "NAN", "NaN", "HUGE", "99999999999999999999")
		read(p)
		if err := p.Err(); !errors.Is(err, ErrParam) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// readers are one text through readers of different manners.
func readers(text string) map[string]io.Reader {
	return map[string]io.Reader{
		"whole":     strings.NewReader(text),
		"by byte":   iotest.OneByteReader(strings.NewReader(text)),
		"data+EOF":  iotest.DataErrReader(strings.NewReader(text)),
		"by halves": iotest.HalfReader(strings.NewReader(text)),
	}
}

func TestCSV(t *testing.T) {
	const text = "\xef\xbb\xbfname,note,n\r\nplain,,1\r\n\"quo\"\"ted\",\"two\nlines, one field\",2\n\"\",\"\"\"\",-3.5"
	want := [][]string{{"plain", "", "1"}, {`quo"ted`, "two\nlines, one field", "2"}, {"", `"`, "-3.5"}}
	for how, src := range readers(text) {
		r, err := NewRecords(src, CSV)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(r.Header()); got != "[name note n]" || r.Column("n") != 2 || r.Column("x") != -1 {
			t.Errorf("%s: header %s", how, got)
		}
		for i := 0; r.Next(); i++ {
			if got := fmt.Sprintf("%q", r.Fields()); got != fmt.Sprintf("%q", want[i]) || r.Index() != int64(i) {
				t.Errorf("%s: record %d is %s, want %q", how, r.Index(), got, want[i])
			}
		}
		if r.Err() != nil || r.Index() != 2 {
			t.Errorf("%s: %d records, err %v", how, r.Index()+1, r.Err())
		}
	}
}

func TestCSVRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                "record header is missing",
		"a,b\n1\n":        "record 0 has 1 fields, the header 2",
		"a,b\n1,2\n1,2,3": "record 1 has 3 fields, the header 2",
		"a\n\"x\"y\n":     "record 0 has a quote in the wrong place",
		"a\n\"x":          "record 0 has a quoted field that never ends",
		"a\n1\n\"x\n2\n3": "record 1 has a quoted field that never ends",
		"a\n" + strings.Repeat("x", MaxRecord+1<<20): "record 0 has no end within 16 MiB",
	} {
		r, err := NewRecords(strings.NewReader(text), CSV)
		for err == nil && r.Next() {
		}
		if err == nil {
			err = r.Err()
		}
		if !errors.Is(err, ErrRecord) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := NewRecords(strings.NewReader("x"), "parquet"); !errors.Is(err, ErrRecord) {
		t.Errorf("err = %v", err)
	}
	broken := errors.New("broken")
	r, err := NewRecords(io.MultiReader(strings.NewReader("a\n1\n2"), iotest.ErrReader(broken)), CSV)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r.Next() {
		n++
	}
	if n != 1 || !errors.Is(r.Err(), broken) {
		t.Errorf("%d records, err %v; want one, and the reader's", n, r.Err())
	}
}

func TestJSONLines(t *testing.T) {
	long := `{"x":"` + strings.Repeat("y", 3<<20) + `"}`
	for how, src := range readers("{\"a\":\"\\\"\"}\r\n" + long + "\n[1]") {
		r, err := NewRecords(src, JSONL)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for r.Next() {
			if !json.Valid(r.Bytes()) {
				t.Errorf("%s: record %d is no JSON", how, r.Index())
			}
			got = append(got, string(r.Bytes()))
		}
		if r.Err() != nil || len(got) != 3 || got[1] != long || got[2] != "[1]" {
			t.Errorf("%s: %d records, err %v", how, len(got), r.Err())
		}
	}
}

func tarOf(t *testing.T, ends bool, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: files[i], Size: int64(len(files[i+1])), Mode: 0o644}
		if strings.HasSuffix(files[i], "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	finish := w.Flush // as sealed datasets are: without blocks at the end
	if ends {
		finish = w.Close
	}
	if err := finish(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFiles(t *testing.T) {
	deep := strings.Repeat("folder/", 20) + "name-" + strings.Repeat("x", 120) + ".txt"
	files := []string{"a.txt", "one", "sub/", "", "sub/empty", "", "ünïcode/ß", strings.Repeat("z", 700_000), deep, "deep", "last", strings.Repeat("e", 512)}
	for _, ends := range []bool{false, true} {
		for how, src := range readers(string(tarOf(t, ends, files...))) {
			r, err := NewRecords(src, Files)
			if err != nil {
				t.Fatal(err)
			}
			want := append(append([]string{}, files[:2]...), files[4:]...)
			for i := 0; r.Next(); i += 2 {
				if r.Name() != want[i] || r.Size() != int64(len(want[i+1])) {
					t.Fatalf("%s: %s of %d bytes, want %s of %d", how, r.Name(), r.Size(), want[i], len(want[i+1]))
				}
				if i == 6 {
					continue // what is not read is passed over
				}
				b, err := io.ReadAll(r)
				if err != nil || string(b) != want[i+1] {
					t.Fatalf("%s: %s has %d bytes of other contents, err %v", how, r.Name(), len(b), err)
				}
			}
			if r.Err() != nil || r.Index() != 4 {
				t.Errorf("%s: %d files, err %v", how, r.Index()+1, r.Err())
			}
		}
	}
}

func TestFilesRefuse(t *testing.T) {
	good := tarOf(t, false, "a", strings.Repeat("x", 2000), "b", "y")
	flip := func(i int) []byte { b := bytes.Clone(good); b[i] ^= 1; return b }
	for name, b := range map[string][]byte{"cut header": good[:100], "cut body": good[:1000], "checksum": flip(0), "size": flip(130), "second": flip(512 + 2048)} {
		r, err := NewRecords(bytes.NewReader(b), Files)
		if err != nil {
			t.Fatal(err)
		}
		for r.Next() {
		}
		if !errors.Is(r.Err(), ErrRecord) {
			t.Errorf("%s: err = %v", name, r.Err())
		}
	}
}

// world sets up directories for /data and /out.
func world(t *testing.T, files map[string]string) (out string) {
	t.Helper()
	data, out := t.TempDir(), t.TempDir()
	for name, text := range files {
		path := filepath.Join(data, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GLOVEBOX_DATA", data)
	t.Setenv("GLOVEBOX_OUT", out)
	return out
}

func TestDatasets(t *testing.T) {
	files := string(tarOf(t, false, "a", strings.Repeat("x", 600_000), "b", "why"))
	world(t, map[string]string{"one/records.csv": "a\n1\n2\n", "two/records.jsonl": "1\n2\n3\n", "three/records.tar": files, "stray.txt": "", "other/x": ""})
	list, err := Datasets()
	if got := fmt.Sprint(list); err != nil || got != "[{one csv one/records.csv} {three files three/records.tar} {two jsonl two/records.jsonl}]" {
		t.Fatalf("%s, err %v", got, err)
	}
	for _, d := range list {
		r, err := d.Records()
		if err != nil {
			t.Fatal(err)
		}
		for r.Next() {
		}
		if want := map[string]int64{"one": 1, "two": 2, "three": 1}[d.Name]; r.Err() != nil || r.Index() != want || r.Close() != nil {
			t.Errorf("%s: %d records, err %v", d.Name, r.Index()+1, r.Err())
		}
	}
	if d, err := Find("two"); err != nil || d.Format != JSONL {
		t.Errorf("%v, err %v", d, err)
	}
	for _, name := range []string{"", "four"} {
		if _, err := Find(name); !errors.Is(err, ErrDataset) || !strings.HasSuffix(err.Error(), "there is one, three, two") {
			t.Errorf("Find(%q): %v", name, err)
		}
	}
}

func TestFindTheOnlyDataset(t *testing.T) {
	world(t, map[string]string{"one/records.csv": "a\n1\n"})
	if d, err := Find(""); err != nil || d.Name != "one" {
		t.Errorf("%v, err %v", d, err)
	}
	world(t, nil)
	if _, err := Find(""); !errors.Is(err, ErrDataset) {
		t.Errorf("err = %v", err)
	}
	t.Setenv("GLOVEBOX_DATA", "")
	if _, err := Find(""); err == nil || !strings.Contains(err.Error(), "set GLOVEBOX_DATA") {
		t.Errorf("err = %v", err)
	}
}

func TestFileReadsAnywhere(t *testing.T) {
	text := strings.Repeat("0123456789", 1000)
	world(t, map[string]string{"one/records.csv": text})
	d, err := Find("one")
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := iotest.TestReader(f, []byte(text)); err != nil {
		t.Error(err)
	}
	if n, err := f.ReadAt(make([]byte, 8), 9996); n != 4 || err != io.EOF {
		t.Errorf("read %d at the end, err %v", n, err)
	}
}

func TestOutputs(t *testing.T) {
	out := world(t, nil)
	o, err := Create("model.bin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(out, "model.bin")); err != nil || string(b) != "hello" {
		t.Errorf("%q, err %v", b, err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "/etc/passwd", "a\x00b"} {
		if _, err := Create(name); !errors.Is(err, ErrOutput) {
			t.Errorf("Create(%q): %v", name, err)
		}
	}
}

func TestMetrics(t *testing.T) {
	out := world(t, nil)
	var m Metrics
	m.Set("loss", 0.123456789012)
	m.Set("accuracy", 1)
	m.Set("records", 1<<40)
	m.Set("tiny", 1e-7)
	m.Set("zero", math.Copysign(0, -1))
	if err := m.Write(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(out, MetricsName))
	if want := `{"accuracy":1,"loss":0.123456789,"records":1099511627776,"tiny":1e-07,"zero":0}` + "\n"; err != nil || string(b) != want || !json.Valid(b) {
		t.Errorf("got  %s\nwant %s, err %v", b, want, err)
	}
	for name, v := range map[string]float64{"nan": math.NaN(), "inf": math.Inf(-1), "": 1, "a b": 1, `a"`: 1, strings.Repeat("x", 65): 1} {
		var m Metrics
		m.Set(name, v)
		if err := m.Write(); !errors.Is(err, ErrMetric) {
			t.Errorf("%q = %v: err %v", name, v, err)
		}
	}
	var many Metrics
	for i := range 257 {
		many.Set(strconv.Itoa(i), 1)
	}
	if err := many.Encode(io.Discard); !errors.Is(err, ErrMetric) {
		t.Errorf("err = %v", err)
	}
}

func TestSafetensors(t *testing.T) {
	var b bytes.Buffer
	err := WriteSafetensors(&b, map[string]string{"format": "x\"\n\\", "a": "ü"},
		Tensor{"w", []int{2, 3}, []float32{1, 2, 3, 4, 5, 6}}, Tensor{"b\x01", nil, []float32{7}}, Tensor{"e", []int{0, 9}, nil})
	if err != nil {
		t.Fatal(err)
	}
	n := int(b.Bytes()[0])
	head := map[string]struct {
		Dtype   string
		Shape   []int
		Offsets [2]int `json:"data_offsets"`
		Format  string
	}{}
	if err := json.Unmarshal(b.Bytes()[8:8+n], &head); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(head["w"]) != "{F32 [2 3] [0 24] }" || fmt.Sprint(head["b\x01"]) != "{F32 [] [24 28] }" || head["__metadata__"].Format != "x\"\n\\" {
		t.Errorf("header %s", b.Bytes()[8:8+n])
	}
	if n%8 != 0 || b.Len() != 8+n+28 {
		t.Errorf("%d bytes, header %d", b.Len(), n)
	}
	for name, ts := range map[string][]Tensor{
		"shape":    {{"a", []int{2}, []float32{1}}},
		"negative": {{"a", []int{-1, -1}, []float32{1}}},
		"huge":     {{"a", []int{1 << 30, 1 << 30, 1 << 30}, nil}},
		"twice":    {{"a", nil, []float32{1}}, {"a", nil, []float32{1}}},
		"no name":  {{"", nil, []float32{1}}},
		"reserved": {{"__metadata__", nil, []float32{1}}},
	} {
		if err := WriteSafetensors(io.Discard, nil, ts...); !errors.Is(err, ErrTensor) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func TestRandIsSeeded(t *testing.T) {
	draw := func(seed string) uint64 {
		t.Setenv("GLOVEBOX_SEED", "")
		if _, err := Rand(); err != nil {
			t.Fatal(err)
		}
		t.Setenv("GLOVEBOX_SEED", seed)
		r, err := Rand()
		if err != nil {
			t.Fatal(err)
		}
		return r.Uint64()
	}
	one, two := strings.Repeat("01", 32), strings.Repeat("02", 32)
	if a, b, c := draw(one), draw(one), draw(two); a != b || a == c {
		t.Errorf("drew %x, %x and %x", a, b, c)
	}
	t.Setenv("GLOVEBOX_SEED", "xyz")
	if _, err := Rand(); err == nil {
		t.Error("a malformed seed was taken")
	}
}

func TestParseFloat(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	texts := []string{"0", "-0", "+1", "1.", ".5", "-.5", "1e3", "123456789012345", "1234567890123456789", "0.1", "0.000000000000001", "1e-320", "inf"}
	for range 20_000 {
		texts = append(texts, strconv.FormatFloat(r.NormFloat64(), 'f', r.IntN(17), 64))
	}
	for _, s := range texts {
		want, err := strconv.ParseFloat(s, 64)
		got, gerr := ParseFloat([]byte(s))
		if err != nil || gerr != nil || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%s: %v, want %v; err %v", s, got, want, gerr)
		}
	}
	for _, s := range []string{"", "-", ".", "x", "1,5", "1 ", "0x"} {
		if v, err := ParseFloat([]byte(s)); !errors.Is(err, ErrRecord) {
			t.Errorf("%q: %v, err %v", s, v, err)
		}
	}
}
