// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"bytes"
	"encoding/base64"
	"html"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"unicode/utf8"
)

// Parse takes a mail apart (RFC 5322, MIME). It never fails: what cannot be decoded is kept as it stands.
func Parse(raw []byte) Record {
	if bytes.HasPrefix(raw, []byte("From ")) { // the line that mailboxes part mails with
		if n := bytes.IndexByte(raw, '\n'); n >= 0 {
			raw = raw[n+1:]
		}
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		_, body, _ := bytes.Cut(raw, []byte("\n\n"))
		return Record{Body: attached(readable(body))}
	}
	body, _ := io.ReadAll(m.Body)
	return Record{
		From: header(m.Header, "From"), To: header(m.Header, "To"), Date: header(m.Header, "Date"), Subject: header(m.Header, "Subject"),
		Body: content(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), body, 0),
	}
}

func header(h mail.Header, name string) string {
	v := h.Get(name)
	words := mime.WordDecoder{CharsetReader: func(_ string, in io.Reader) (io.Reader, error) {
		b, err := io.ReadAll(in)
		return strings.NewReader(readable(b)), err
	}}
	if s, err := words.DecodeHeader(v); err == nil {
		v = s
	}
	return readable([]byte(v))
}

const maxParts = 8 // nested

// content gives the text of a part; of several the first plain one, else the first that has text.
func content(kind, encoding string, body []byte, depth int) string {
	media, params, err := mime.ParseMediaType(kind)
	if err != nil {
		media = "text/plain"
	}
	if strings.HasPrefix(media, "multipart/") && depth < maxParts {
		return parts(params["boundary"], body, depth)
	}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "quoted-printable":
		if b, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(body))); err == nil {
			body = b
		}
	case "base64":
		if b, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(body), nil))); err == nil {
			body = b
		}
	}
	switch media {
	case "text/html":
		return plain(readable(body))
	case "text/plain", "message/rfc822", "text/enriched":
		return attached(readable(body))
	}
	return ""
}

func parts(boundary string, body []byte, depth int) string {
	r := multipart.NewReader(bytes.NewReader(body), boundary)
	first := ""
	for {
		p, err := r.NextRawPart()
		if err != nil {
			break
		}
		b, _ := io.ReadAll(p)
		kind := p.Header.Get("Content-Type")
		text := content(kind, p.Header.Get("Content-Transfer-Encoding"), b, depth+1)
		if text != "" && (kind == "" || strings.HasPrefix(strings.ToLower(kind), "text/plain")) {
			return text
		}
		if first == "" {
			first = text
		}
	}
	return first
}

// readable makes UTF-8 of bytes, taking what is not as Latin-1, and line ends of one form.
func readable(b []byte) string {
	s := string(b)
	if !utf8.ValidString(s) {
		u := make([]rune, 0, len(b))
		for _, c := range b {
			u = append(u, rune(c))
		}
		s = string(u)
	}
	return strings.ReplaceAll(s, "\r\n", "\n")
}

// attached takes files out that are attached the old way, between begin and end (uuencode): like other attachments, nobody reads them.
func attached(s string) string {
	if !strings.Contains(s, "begin ") {
		return s
	}
	var b strings.Builder
	inside := false
	for line := range strings.Lines(s) {
		words := strings.Fields(line)
		switch {
		case !inside && len(words) == 3 && words[0] == "begin" && len(words[1]) == 3 && strings.Trim(words[1], "01234567") == "":
			inside = true
		case inside && len(words) == 1 && words[0] == "end":
			inside = false
		case !inside:
			b.WriteString(line)
		}
	}
	return b.String()
}

// plain takes tags out of HTML, and what is not shown.
func plain(s string) string {
	var b strings.Builder
	for s != "" {
		text, rest, found := strings.Cut(s, "<")
		b.WriteString(text)
		if !found {
			break
		}
		tag, after, found := strings.Cut(rest, ">")
		if !found {
			break
		}
		name := strings.ToLower(strings.TrimLeft(tag, "/ "))
		s = after
		for _, hidden := range []string{"style", "script"} {
			if strings.HasPrefix(name, hidden) && !strings.HasPrefix(tag, "/") {
				if end := strings.Index(strings.ToLower(s), "</"+hidden); end >= 0 {
					s = s[end:]
				}
			}
		}
		for _, line := range []string{"br", "p", "div", "tr", "li", "h"} {
			if strings.HasPrefix(name, line) {
				b.WriteByte('\n')
				break
			}
		}
		b.WriteByte(' ')
	}
	return html.UnescapeString(b.String())
}
