// SPDX-License-Identifier: Apache-2.0

// Package media is the built-in step that takes what cameras and programs write beside the pixels out of pictures.
//
// Trust domain: the creator's side at ingest, the enclave process at run time; pure. Its one job: a JPEG or PNG file that passes
// was written anew from the parts that its pixels need, and nothing else of it is left; every other file is quarantined with a
// reason. What a picture shows, and what is hidden in its pixels, stays.
package media

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"image/png"
	"strings"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
)

// Version changes whenever the step makes other bytes of the same file.
const Version = "1"

// Config is the step's configuration. Each member's zero value is the careful choice.
type Config struct {
	// Names is what becomes of files' names: "hash" (the default) replaces the whole path by a keyed hash, "hash-file" only its
	// last part, and "keep" keeps it. The ending says what was found in the file.
	Names string `json:"names,omitempty"`
	// Orientation is what becomes of a picture that EXIF says must be turned: "keep-tag" (the default) writes that tag alone
	// anew, "quarantine" leaves the picture out.
	Orientation string `json:"orientation,omitempty"`
	// Profile is what becomes of ICC colour profiles: "clean" (the default) writes white point, primaries and curves anew,
	// and quarantines a picture whose profile has colours that these cannot say; "drop" leaves profiles out.
	Profile string `json:"profile,omitempty"`
	// Text lists endings, e.g. ".txt", of files that pass as they are if they are UTF-8 text.
	Text []string `json:"text,omitempty"`
	// MaxPixels bounds pictures; 67108864 (64 Mi) unless given.
	MaxPixels int64 `json:"maxPixels,omitempty"`
}

// keyLabel names the key of files' names.
const keyLabel = "glovebox.dev/media-names/v1"

// Reasons of quarantine. They go into signed statements.
const (
	reasonUnknown     = "not-jpeg-or-png"
	reasonMalformed   = "malformed"
	reasonTruncated   = "truncated"
	reasonUnsupported = "unsupported-coding"
	reasonPixels      = "too-many-pixels"
	reasonOrientation = "orientation"
	reasonProfile     = "colour-profile"
	reasonAnimated    = "animated"
	reasonText        = "not-plain-text"
)

// Types of what is taken out, as they are counted.
const (
	typeExif     = "EXIF"
	typeLocation = "EXIF_GPS"
	typeXMP      = "XMP"
	typeIPTC     = "IPTC"
	typeComment  = "COMMENT"
	typeProfile  = "COLOUR_PROFILE"
	typePreview  = "THUMBNAIL"
	typeTrailing = "TRAILING_DATA"
	typeTime     = "TIME"
	typeOther    = "OTHER_METADATA"
)

// image is a picture on its way through a cleaner.
type image struct {
	c           *Config
	out         []byte
	removed     []string // types, each once
	orientation int      // 1 to 8; 0 if nothing says
}

// remove notes what the file had: a hostile file has millions of it.
func (m *image) remove(kind string) {
	if !contains(m.removed, kind) {
		m.removed = append(m.removed, kind)
	}
}

type step struct {
	c   Config
	key []byte
}

// New makes the step.
func New(config json.RawMessage, _ transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	s := &step{}
	if err := transforms.DecodeWords(config, dataset.MaxStepConfig, &s.c); err != nil {
		return nil, fmt.Errorf("%w: media: %w", transforms.ErrConfig, err)
	}
	if err := s.c.complete(); err != nil {
		return nil, err
	}
	if s.c.Names != "keep" {
		if env == nil || env.Keys == nil {
			return nil, fmt.Errorf("%w: media: hashing files' names needs the dataset's keys; or say \"names\": \"keep\"", transforms.ErrEnv)
		}
		k := env.Keys.Dataset(keyLabel)
		s.key = k[:]
	}
	return s, nil
}

func (c *Config) complete() error {
	for _, f := range []struct {
		name   string
		member *string
		words  []string // the first is the default
	}{
		{"names", &c.Names, []string{"hash", "hash-file", "keep"}},
		{"orientation", &c.Orientation, []string{"keep-tag", "quarantine"}},
		{"profile", &c.Profile, []string{"clean", "drop"}},
	} {
		if *f.member == "" {
			*f.member = f.words[0]
		}
		if !contains(f.words, *f.member) {
			return fmt.Errorf("%w: media: %s is %q, want one of %s", transforms.ErrConfig, f.name, *f.member, strings.Join(f.words, ", "))
		}
	}
	if c.MaxPixels == 0 {
		c.MaxPixels = defaultPixels
	}
	if c.MaxPixels < 1 || c.MaxPixels > maxPixels {
		return fmt.Errorf("%w: media: maxPixels is %d, want 1 to %d", transforms.ErrConfig, c.MaxPixels, maxPixels)
	}
	if len(c.Text) > maxEndings {
		return fmt.Errorf("%w: media: text has more than %d endings", transforms.ErrConfig, maxEndings)
	}
	for _, e := range c.Text {
		if len(e) < 2 || len(e) > 16 || e[0] != '.' || strings.ContainsAny(e[1:], "./\\") {
			return fmt.Errorf("%w: media: text has %q, want endings like \".txt\"", transforms.ErrConfig, e)
		}
	}
	return nil
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}

// Schema is that of files, and of nothing else.
func (s *step) Schema(in transforms.Schema) (transforms.Schema, error) {
	if in.Format != dataset.FormatFiles {
		return in, fmt.Errorf("%w: media takes datasets of files, not %s", transforms.ErrConfig, in.Format)
	}
	return in, nil
}

// Transform cleans one file.
func (s *step) Transform(r *transforms.Record, t *transforms.Trace) (transforms.Verdict, error) {
	f := &r.Fields()[0]
	m := &image{c: &s.c}
	kind, reason := m.clean(r.Name, f.Text)
	if reason != "" {
		t.Reason(reason)
		return transforms.Quarantine, nil
	}
	for _, what := range m.removed {
		t.Found(transforms.Finding{Type: what, Score: 1000, Rule: "media", Action: "remove"})
	}
	if m.out != nil {
		f.SetFile(m.out)
	}
	r.Name = s.rename(r.Name, kind)
	return transforms.Keep, nil
}

// clean writes a picture anew. With a reason nothing may pass.
func (m *image) clean(name string, b []byte) (ending, reason string) {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		if reason = m.jpeg(b); reason == "" {
			if _, err := jpeg.DecodeConfig(bytes.NewReader(m.out)); err != nil {
				reason = reasonUnsupported
			}
		}
		return ".jpg", reason
	case bytes.HasPrefix(b, []byte(pngSignature)):
		if reason = m.png(b); reason == "" {
			if _, err := png.DecodeConfig(bytes.NewReader(m.out)); err != nil {
				reason = reasonUnsupported
			}
		}
		return ".png", reason
	}
	for _, e := range m.c.Text {
		if strings.HasSuffix(name, e) {
			if !plainText(b) {
				return "", reasonText
			}
			return e, ""
		}
	}
	return "", reasonUnknown
}

// plainText reports whether a file is text and no document of a program that begins like text.
func plainText(b []byte) bool {
	head := b[:min(len(b), 1024)]
	for _, mark := range []string{"%PDF-", "%!PS", "{\\rtf", "GIF87a", "GIF89a"} {
		if bytes.Contains(head, []byte(mark)) {
			return false
		}
	}
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(b)
}

// rename says what a cleaned file is called.
func (s *step) rename(name, ending string) string {
	if s.c.Names == "keep" {
		return name
	}
	folder := ""
	if s.c.Names == "hash-file" {
		folder = name[:strings.LastIndexByte(name, '/')+1]
	}
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(name))
	return folder + hex.EncodeToString(h.Sum(nil)[:16]) + ending
}

// Members are the configuration's members, for the documentation.
func Members() [][2]string {
	return [][2]string{
		{"names", "\"hash\" (default): a keyed hash in place of the whole path; \"hash-file\": of its last part; \"keep\""},
		{"orientation", "of pictures that EXIF turns: \"keep-tag\" (default) writes that tag alone anew; \"quarantine\""},
		{"profile", "ICC colour profiles: \"clean\" (default) writes white point, primaries and curves anew; \"drop\""},
		{"text", "endings of files that pass as they are if they are UTF-8 text, e.g. [\".txt\"]"},
		{"maxPixels", "of a picture; 67108864 unless given"},
	}
}
