// SPDX-License-Identifier: Apache-2.0

package media_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/media"
)

type keys struct{}

func (keys) Dataset(label string) [32]byte { return envelope.Hash("test", []byte(label)) }
func (keys) Grant(label string) [32]byte   { return envelope.Hash("grant", []byte(label)) }

type files struct{ items []transforms.Item }

func (s *files) Schema() transforms.Schema {
	return transforms.Schema{Format: dataset.FormatFiles}
}

func (s *files) Next() (transforms.Item, error) {
	if len(s.items) == 0 {
		return transforms.Item{}, io.EOF
	}
	it := s.items[0]
	s.items = s.items[1:]
	return it, nil
}

// run takes one file through the step.
func run(t testing.TB, config, name string, raw []byte) (out transforms.Item, kept bool, report transforms.Report) {
	t.Helper()
	s := dataset.Step{Name: "media", Digest: envelope.Digest{1}, Config: []byte(config)}
	maker := func(s *dataset.Step, in transforms.Schema, env *transforms.Env) (transforms.Step, error) {
		return media.New(s.Config, in, env)
	}
	src := &files{[]transforms.Item{{Name: name, Raw: raw}}}
	p, err := transforms.New(t.Context(), []dataset.Step{s}, src.Schema(), maker, &transforms.Env{Keys: keys{}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	err = p.Run(t.Context(), src, func(it transforms.Item) error {
		out, kept = transforms.Item{Name: it.Name, Raw: bytes.Clone(it.Raw)}, true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, kept, p.Reports()[0]
}

func names(c []transforms.Count) string {
	out := make([]string, 0, len(c))
	for _, n := range c {
		out = append(out, n.Name)
	}
	return strings.Join(out, " ")
}

func picture(w, h int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x * 7), uint8(y * 5), uint8(x ^ y), 255})
		}
	}
	return m
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// insert puts segments behind a JPEG's first marker.
func insert(b []byte, segments ...[]byte) []byte {
	return append(append(bytes.Clone(b[:2]), bytes.Join(segments, nil)...), b[2:]...)
}

func segment(marker byte, payload string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(payload)+2))
	return append(b, payload...)
}

// exif is a TIFF structure with an orientation, a camera's maker and a place in a directory of its own.
func exif(order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}, orientation uint16,
) string {
	b := []byte("II*\x00")
	if order.Uint16([]byte{1, 0}) != 1 {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, 8)
	b = order.AppendUint16(b, 3)
	entry := func(tag, kind uint16, count, value uint32) {
		b = order.AppendUint16(order.AppendUint16(b, tag), kind)
		b = order.AppendUint32(order.AppendUint32(b, count), value)
	}
	entry(0x010f, 2, 8, 100)
	b = order.AppendUint16(order.AppendUint16(b, 0x0112), 3)
	b = order.AppendUint32(b, 1)
	b = order.AppendUint16(order.AppendUint16(b, orientation), 0)
	entry(0x8825, 4, 1, 80)
	b = order.AppendUint32(b, 0)
	b = append(b, make([]byte, 80-len(b))...)
	b = order.AppendUint16(b, 1)
	entry(2, 5, 3, 100)
	b = append(b, make([]byte, 100-len(b))...)
	return string(b) + "CANARY52.5200N"
}

func profile(version byte, space string, table bool) []byte {
	tag := func(name, value string) [2]string { return [2]string{name, value} }
	xyz := "XYZ \x00\x00\x00\x00\x00\x00\xf6\xd6\x00\x01\x00\x00\x00\x00\xd3\x2d"
	tags := [][2]string{
		tag("wtpt", xyz), tag("rXYZ", xyz), tag("gXYZ", xyz), tag("bXYZ", xyz),
		tag("rTRC", "curv\x00\x00\x00\x00\x00\x00\x00\x01\x02\x33"), tag("gTRC", "para\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x33\x33"),
		tag("bTRC", "curv\x00\x00\x00\x00\x00\x00\x00\x00"), tag("kTRC", "curv\x00\x00\x00\x00\x00\x00\x00\x00"),
		tag("cprt", "text\x00\x00\x00\x00CANARY Ann Example\x00"), tag("dmnd", "desc\x00\x00\x00\x00CANARY"),
	}
	if table {
		tags = append(tags, tag("A2B0", "mft1\x00\x00\x00\x00"))
	}
	b := make([]byte, 128)
	b[8] = version
	copy(b[16:], space+"XYZ ")
	copy(b[36:], "acspAPPL")
	copy(b[48:], "CANARYCAM")
	b = binary.BigEndian.AppendUint32(b, uint32(len(tags)))
	at := len(b) + 12*len(tags)
	for _, v := range tags {
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(append(b, v[0]...), uint32(at)), uint32(len(v[1])))
		at += len(v[1])
	}
	for _, v := range tags {
		b = append(b, v[1]...)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

func samePixels(t *testing.T, a, b []byte) {
	t.Helper()
	x, _, err := image.Decode(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	y, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if x.Bounds() != y.Bounds() {
		t.Fatalf("%v became %v", x.Bounds(), y.Bounds())
	}
	for v := x.Bounds().Min.Y; v < x.Bounds().Max.Y; v++ {
		for u := x.Bounds().Min.X; u < x.Bounds().Max.X; u++ {
			if x.At(u, v) != y.At(u, v) {
				t.Fatalf("pixel %d, %d: %v became %v", u, v, x.At(u, v), y.At(u, v))
			}
		}
	}
}

func dirtyJPEG(t testing.TB, orientation uint16) []byte {
	b := insert(jpegOf(t, picture(70, 50)),
		segment(0xe0, "JFIF\x00\x01\x02\x01\x00\x48\x00\x48\x01\x01CANARY"),
		segment(0xe0, "JFXX\x00\x10CANARY"),
		segment(0xe1, "Exif\x00\x00"+exif(binary.BigEndian, orientation)),
		segment(0xe1, "http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta>CANARY</x:xmpmeta>"),
		segment(0xe2, "ICC_PROFILE\x00\x01\x01"+string(profile(4, "RGB ", false))),
		segment(0xe2, "MPF\x00CANARY"),
		segment(0xed, "Photoshop 3.0\x008BIMCANARY"),
		segment(0xee, "Adobe\x00\x64CA\x00\x00\x01NARY"),
		segment(0xe5, "CANARY"),
		segment(0xfe, "taken by CANARY"))
	return append(b, jpegOf(t, picture(8, 8))...) // a second picture behind the first
}

func TestJPEG(t *testing.T) {
	in := dirtyJPEG(t, 1)
	out, kept, report := run(t, `{}`, "Ann Example, Berlin.jpeg", in)
	if !kept {
		t.Fatalf("quarantined: %v", report.Quarantined)
	}
	if bytes.Contains(out.Raw, []byte("CANARY")) || bytes.Contains(out.Raw, []byte("Exif")) || bytes.Count(out.Raw, []byte("\xff\xd8\xff")) != 1 {
		t.Error("metadata is left")
	}
	if want := "COLOUR_PROFILE COMMENT EXIF EXIF_GPS IPTC OTHER_METADATA THUMBNAIL TRAILING_DATA XMP"; names(report.Findings) != want {
		t.Errorf("removed %s, want %s", names(report.Findings), want)
	}
	if strings.Contains(out.Name, "Ann") || !strings.HasSuffix(out.Name, ".jpg") || len(out.Name) != 36 {
		t.Errorf("name %q", out.Name)
	}
	samePixels(t, in, out.Raw)
	if again, _, _ := run(t, `{"names":"keep"}`, "x", out.Raw); !bytes.Equal(again.Raw, out.Raw) || again.Name != "x" {
		t.Error("a clean picture was changed")
	}
}

func TestJPEGOrientation(t *testing.T) {
	in := dirtyJPEG(t, 6)
	out, kept, _ := run(t, `{}`, "a", in)
	if !kept || bytes.Contains(out.Raw, []byte("CANARY")) || !bytes.Contains(out.Raw, []byte("\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00")) {
		t.Errorf("the orientation was lost, or more was kept")
	}
	if again, _, _ := run(t, `{}`, "a", out.Raw); !bytes.Equal(again.Raw, out.Raw) {
		t.Error("a clean picture was changed")
	}
	if _, kept, report := run(t, `{"orientation":"quarantine"}`, "a", in); kept || names(report.Quarantined) != "orientation" {
		t.Errorf("kept %v, %v", kept, report.Quarantined)
	}
	little := insert(jpegOf(t, picture(9, 9)), segment(0xe1, "Exif\x00\x00"+exif(binary.LittleEndian, 3)))
	if _, kept, _ := run(t, `{"orientation":"quarantine"}`, "a", little); kept {
		t.Error("little-endian orientation was not seen")
	}
}

func TestJPEGProfiles(t *testing.T) {
	for name, c := range map[string]struct {
		profile []byte
		config  string
		reason  string
	}{
		"version 2": {profile(2, "RGB ", false), `{}`, ""},
		"grey":      {profile(4, "GRAY", false), `{}`, ""},
		"tables":    {profile(4, "RGB ", true), `{}`, "colour-profile"},
		"CMYK":      {profile(2, "CMYK", false), `{}`, "colour-profile"},
		"dropped":   {profile(4, "RGB ", true), `{"profile":"drop"}`, ""},
		"cut":       {profile(4, "RGB ", false)[:300], `{}`, "colour-profile"},
		"nothing":   {nil, `{}`, "colour-profile"},
	} {
		in := insert(jpegOf(t, picture(9, 9)), segment(0xe2, "ICC_PROFILE\x00\x01\x01"+string(c.profile)))
		out, kept, report := run(t, c.config, "a", in)
		if names(report.Quarantined) != c.reason || kept != (c.reason == "") {
			t.Errorf("%s: kept %v, %v", name, kept, report.Quarantined)
		}
		if bytes.Contains(out.Raw, []byte("CANARY")) || kept && bytes.Contains(out.Raw, []byte("ICC_PROFILE")) != !strings.Contains(c.config, "drop") {
			t.Errorf("%s: the profile was not written anew", name)
		}
	}
}

func chunk(kind, data string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// before puts chunks before the first of a kind.
func before(b []byte, kind string, chunks ...[]byte) []byte {
	at := bytes.Index(b, []byte(kind)) - 4
	return append(append(bytes.Clone(b[:at]), bytes.Join(chunks, nil)...), b[at:]...)
}

func TestPNG(t *testing.T) {
	clean := pngOf(t, picture(33, 20))
	in := before(clean, "IDAT", chunk("gAMA", "\x00\x00\xb1\x8f"), chunk("tEXt", "Author\x00CANARY"), chunk("iTXt", "XML:com.adobe.xmp\x00CANARY"),
		chunk("tIME", "CANARY!"), chunk("eXIf", exif(binary.LittleEndian, 1)), chunk("prVt", "CANARY"))
	in = append(before(in, "IEND", chunk("zTXt", "Comment\x00\x00CANARY")), "PK\x03\x04CANARY"...)
	out, kept, report := run(t, `{"names":"hash-file"}`, "holiday/Ann.png", in)
	if !kept {
		t.Fatalf("quarantined: %v", report.Quarantined)
	}
	if bytes.Contains(out.Raw, []byte("CANARY")) || !bytes.Contains(out.Raw, []byte("gAMA")) {
		t.Error("metadata is left, or colours are not")
	}
	if want := "COMMENT EXIF EXIF_GPS OTHER_METADATA TIME TRAILING_DATA XMP"; names(report.Findings) != want {
		t.Errorf("removed %s, want %s", names(report.Findings), want)
	}
	if !strings.HasPrefix(out.Name, "holiday/") || strings.Contains(out.Name, "Ann") {
		t.Errorf("name %q", out.Name)
	}
	samePixels(t, in, out.Raw)
	turned := before(clean, "IDAT", chunk("eXIf", exif(binary.BigEndian, 8)))
	if out, _, _ := run(t, `{}`, "a", turned); bytes.Count(out.Raw, []byte("eXIf")) != 1 || bytes.Contains(out.Raw, []byte("CANARY")) {
		t.Error("the orientation was lost, or more was kept")
	}
}

// TestPNGHidesACroppedPicture: what an editor left behind the end of the compressed pixels must not stay.
func TestPNGHidesACroppedPicture(t *testing.T) {
	b := pngOf(t, picture(12, 12))
	at := bytes.Index(b, []byte("IDAT"))
	n := int(binary.BigEndian.Uint32(b[at-4:]))
	in := bytes.Join([][]byte{b[:at-4], chunk("IDAT", string(b[at+4:at+4+n])+"CANARY"), chunk("IDAT", "CANARY"), chunk("IEND", "")}, nil)
	out, kept, report := run(t, `{}`, "a", in)
	if !kept || bytes.Contains(out.Raw, []byte("CANARY")) || names(report.Findings) != "TRAILING_DATA" {
		t.Errorf("kept %v, %v %v", kept, report.Findings, report.Quarantined)
	}
	samePixels(t, b, out.Raw)
}

func TestPNGForms(t *testing.T) {
	for name, m := range map[string]image.Image{
		"grey":     image.NewGray(image.Rect(0, 0, 5, 3)),
		"grey 16":  image.NewGray16(image.Rect(0, 0, 5, 3)),
		"palette":  image.NewPaletted(image.Rect(0, 0, 5, 3), color.Palette{color.Black, color.White, color.Transparent}),
		"alpha":    image.NewNRGBA(image.Rect(0, 0, 5, 3)),
		"alpha 16": image.NewNRGBA64(image.Rect(0, 0, 5, 3)),
	} {
		in := pngOf(t, m)
		out, kept, report := run(t, `{}`, "a", in)
		if !kept {
			t.Errorf("%s: %v", name, report.Quarantined)
			continue
		}
		samePixels(t, in, out.Raw)
	}
	// Interlaced, 2 × 2, grey: three passes have pixels, of one row each.
	head := chunk("IHDR", "\x00\x00\x00\x02\x00\x00\x00\x02\x08\x00\x00\x00\x01")
	pixels := "\x78\x01\x01\x07\x00\xf8\xff\x00\x01\x00\x02\x00\x03\x04"
	pixels += string(binary.BigEndian.AppendUint32(nil, 0x001f000b))
	in := bytes.Join([][]byte{[]byte("\x89PNG\r\n\x1a\n"), head, chunk("IDAT", pixels), chunk("IEND", "")}, nil)
	out, kept, report := run(t, `{}`, "a", in)
	if !kept {
		t.Fatalf("interlaced: %v", report.Quarantined)
	}
	samePixels(t, in, out.Raw)
}

func TestQuarantine(t *testing.T) {
	j, p := jpegOf(t, picture(20, 20)), pngOf(t, picture(20, 20))
	sof := bytes.Index(j, []byte("\xff\xc0"))
	big := bytes.Clone(j)
	copy(big[sof+5:], "\xff\xff\xff\xff")
	lossless := bytes.Clone(j)
	lossless[sof+1] = 0xc3
	bomb := bytes.Clone(p)
	copy(bomb[8:], chunk("IHDR", "\x00\x00\xff\xff\x00\x00\xff\xff\x10\x06\x00\x00\x00"))
	small := bytes.Clone(p)
	copy(small[8:], chunk("IHDR", "\x00\x00\x00\x13\x00\x00\x00\x14\x08\x02\x00\x00\x00"))
	sum := bytes.Clone(p)
	sum[len(sum)-20] ^= 1
	for name, c := range map[string]struct {
		raw    []byte
		reason string
	}{
		"empty":            {nil, "not-jpeg-or-png"},
		"GIF":              {[]byte("GIF89a..."), "not-jpeg-or-png"},
		"PDF before JPEG":  {append([]byte("%PDF-1.4\n"), j...), "not-jpeg-or-png"},
		"text":             {[]byte("hello"), "not-jpeg-or-png"},
		"JPEG cut":         {j[:len(j)-3], "truncated"},
		"JPEG cut short":   {j[:40], "truncated"},
		"JPEG no scan":     {[]byte("\xff\xd8\xff\xd9"), "malformed"},
		"JPEG gap":         {insert(j, segment(0xfe, "x"), []byte("gap")), "malformed"},
		"JPEG huge":        {big, "too-many-pixels"},
		"JPEG lossless":    {lossless, "unsupported-coding"},
		"JPEG arithmetic":  {insert(j, segment(0xcc, "\x00\x00")), "unsupported-coding"},
		"JPEG long table":  {insert(j, segment(0xdb, strings.Repeat("\x00", 70))), "malformed"},
		"PNG cut":          {p[:len(p)-4], "truncated"},
		"PNG sum":          {sum, "malformed"},
		"PNG bomb":         {bomb, "too-many-pixels"},
		"PNG other size":   {small, "malformed"},
		"PNG animated":     {before(p, "IDAT", chunk("acTL", "\x00\x00\x00\x01\x00\x00\x00\x00")), "animated"},
		"PNG critical":     {before(p, "IDAT", chunk("CRIT", "x")), "unsupported-coding"},
		"PNG two headers":  {before(p, "IDAT", p[8:33]), "malformed"},
		"PNG split pixels": {before(append(before(p, "IEND", chunk("tEXt", "a\x00b")), nil...), "IEND", chunk("IDAT", "")), "malformed"},
		"PNG no pixels":    {append(bytes.Clone(p[:33]), chunk("IEND", "")...), "malformed"},
	} {
		out, kept, report := run(t, `{}`, "a.jpg", c.raw)
		if kept || names(report.Quarantined) != c.reason {
			t.Errorf("%s: kept %v (%d bytes), %v, want %s", name, kept, len(out.Raw), report.Quarantined, c.reason)
		}
	}
}

func TestTextPasses(t *testing.T) {
	const config = `{"names":"keep","text":[".txt"]}`
	for raw, want := range map[string]bool{"plain\ttext\r\n é": true, "": true, "\xff\xfe": false, "a\x00": false, "x\n%PDF-1.4": false, "{\\rtf1}": false} {
		if _, kept, report := run(t, config, "a.txt", []byte(raw)); kept != want {
			t.Errorf("%q: kept %v, %v", raw, kept, report.Quarantined)
		}
	}
	if _, kept, _ := run(t, config, "a.csv", []byte("a,b")); kept {
		t.Error("an ending that is not listed passed")
	}
}

func TestConfig(t *testing.T) {
	in := transforms.Schema{Format: dataset.FormatFiles}
	for _, c := range []string{`{"name":"keep"}`, `{"names":"Keep"}`, `{"orientation":"drop"}`, `{"profile":"keep"}`, `{"text":["txt"]}`, `{"maxPixels":-1}`, `[]`, ``} {
		if _, err := media.New([]byte(c), in, &transforms.Env{Keys: keys{}}); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("%s: %v", c, err)
		}
	}
	s, err := media.New([]byte(`{}`), in, &transforms.Env{Keys: keys{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Schema(transforms.Schema{Format: dataset.FormatCSV}); !errors.Is(err, transforms.ErrConfig) {
		t.Errorf("CSV: %v", err)
	}
	if _, err := media.New([]byte(`{}`), in, nil); !errors.Is(err, transforms.ErrEnv) {
		t.Errorf("no keys: %v", err)
	}
}

// FuzzMedia: what passes holds nothing that a second cleaning would change, and is still a picture.
func FuzzMedia(f *testing.F) {
	f.Add(dirtyJPEG(f, 6))
	for _, b := range forms(f) {
		f.Add(b)
	}
	f.Add(insert(jpegOf(f, picture(9, 9)), segment(0xe2, "ICC_PROFILE\x00\x01\x01"+string(profile(2, "GRAY", false)))))
	p := pngOf(f, picture(9, 9))
	f.Add(before(p, "IDAT", chunk("eXIf", exif(binary.LittleEndian, 3)), chunk("iCCP", "a\x00\x00\x78\x01")))
	f.Add(p)
	f.Add([]byte("\xff\xd8\xff\xe1\x00\x10Exif\x00\x00II*\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, kept, _ := run(t, `{"maxPixels":65536}`, "a", b)
		if !kept {
			return
		}
		again, kept, report := run(t, `{"maxPixels":65536}`, "a", out.Raw)
		if !kept || !bytes.Equal(again.Raw, out.Raw) {
			t.Fatalf("a clean picture was changed or refused: %v", report.Quarantined)
		}
		if _, _, err := image.DecodeConfig(bytes.NewReader(out.Raw)); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLinear: twice the hostile file takes no more than twice the time, with room for a busy machine.
func TestLinear(t *testing.T) {
	j, p := jpegOf(t, picture(9, 9)), pngOf(t, picture(9, 9))
	many := func(n int, c []byte) []byte { return bytes.Repeat(c, n/len(c)) }
	for name, make := range map[string]func(n int) []byte{
		"comments": func(n int) []byte { return insert(j, many(n, segment(0xfe, ""))) },
		"profiles": func(n int) []byte { return insert(j, many(n, segment(0xe2, "ICC_PROFILE\x00\x01\xff"))) },
		"exif": func(n int) []byte {
			return insert(j, many(n, segment(0xe1, "Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff"+strings.Repeat("\x00", 6000))))
		},
		"fill":   func(n int) []byte { return insert(j, segment(0xfe, ""), many(n, []byte{0xff})) },
		"scans":  func(n int) []byte { return append(j[:len(j)-2:len(j)-2], many(n, []byte("\xff\xff\x00"))...) },
		"chunks": func(n int) []byte { return before(p, "IEND", many(n, chunk("teXt", ""))) },
		"pixels": func(n int) []byte { return before(p, "IDAT", many(n, chunk("IDAT", "x"))) },
	} {
		one, two := best(t, make(1<<20)), best(t, make(2<<20))
		if two > 3*one+50*time.Millisecond {
			t.Errorf("%s: 1 MiB took %v, 2 MiB %v", name, one, two)
		}
	}
}

func best(t *testing.T, raw []byte) time.Duration {
	least := time.Hour
	for range 5 {
		from := time.Now()
		run(t, `{}`, "a", raw)
		least = min(least, time.Since(from))
	}
	return least
}

func BenchmarkJPEG(b *testing.B) {
	raw := jpegOf(b, picture(2000, 1500))
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		run(b, `{}`, "a", raw)
	}
}

// stored is a zlib stream without compression.
func stored(b []byte) []byte {
	out := []byte{0x78, 0x01, 1}
	out = binary.LittleEndian.AppendUint16(out, uint16(len(b)))
	out = binary.LittleEndian.AppendUint16(out, ^uint16(len(b)))
	return binary.BigEndian.AppendUint32(append(out, b...), adler32.Checksum(b))
}

// TestTextInTablesThatNobodyUses: tables stand for numbers, and can stand for letters.
func TestTextInTablesThatNobodyUses(t *testing.T) {
	secret := strings.Repeat("alice.smith@example.com 219-09-9999 ", 2)[:64]
	values := "abcdefghijkl" // of an AC table: twelve codes of four bits
	counts := "\x00\x00\x00\x0c" + strings.Repeat("\x00", 12)
	clean := jpegOf(t, picture(20, 20))
	for name, more := range map[string][][]byte{
		"quantisation":            {segment(0xdb, "\x03"+secret), segment(0xdb, "\x02"+secret)},
		"replaced quantisation":   {segment(0xdb, "\x00"+secret)},
		"Huffman":                 {segment(0xc4, "\x13"+counts+values)},
		"replaced Huffman":        {segment(0xc4, "\x10"+counts+values)},
		"restart intervals":       {segment(0xdd, "al"), segment(0xdd, "ic"), segment(0xdd, "e."), segment(0xdd, "\x00\x00")},
		"tables behind the scans": nil,
	} {
		in := clean
		for _, m := range slices.Backward(more) {
			in = insert(in, m)
		}
		if more == nil {
			in = append(append(bytes.Clone(clean[:len(clean)-2]), segment(0xdb, "\x00"+secret)...), clean[len(clean)-2:]...)
		}
		out, kept, report := run(t, `{}`, "a.jpg", in)
		if !kept {
			t.Errorf("%s: %v", name, report.Quarantined)
		}
		for _, s := range []string{secret, secret[:2], values} {
			if bytes.Contains(out.Raw, []byte(s)) {
				t.Errorf("%s: %q passes", name, s)
			}
		}
		if _, err := jpeg.Decode(bytes.NewReader(out.Raw)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string][]byte{
		"one value twice":   segment(0xc4, "\x13"+counts+"ababababab"+"cd"),
		"letters for sizes": segment(0xc4, "\x03"+counts+values),
	} {
		if _, kept, _ := run(t, `{}`, "a.jpg", insert(clean, m)); kept {
			t.Errorf("%s: passes", name)
		}
	}
}
