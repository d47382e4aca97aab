// SPDX-License-Identifier: Apache-2.0

package rim

import (
	"fmt"
	"slices"
	"strings"
)

// The profile of XML that NVIDIA's SWID tags use, and nothing more. There is no prolog, document type, comment,
// processing instruction, CDATA section, entity or character reference, and no byte outside printable ASCII, line feed
// and space: where two parsers could disagree about a document, it is refused. What is left has one canonical form that
// is easy to write.

// element is an element with its names resolved.
type element struct {
	space, prefix, local string
	declared             map[string]string // prefix → namespace, as this element declares them; "" is the default one
	scope                map[string]string // all that are in scope
	attrs                []attr            // in document order
	children             []node
}

type attr struct{ space, prefix, local, value string }

// node is an element or, where that is nil, text.
type node struct {
	element *element
	text    string
}

// scanner reads a document from left to right, once.
type scanner struct {
	src   string
	pos   int
	count int
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// parseXML reads one element that is the whole document, but for a last line feed.
func parseXML(doc []byte) (*element, error) {
	if len(doc) == 0 || len(doc) > MaxRIM {
		return nil, malformed("%d bytes, want 1 to %d", len(doc), MaxRIM)
	}
	for i, c := range doc {
		if (c < ' ' && c != '\n') || c > '~' || c == '&' {
			return nil, malformed("byte %#02x at offset %d: only plain ASCII without references is accepted", c, i)
		}
	}
	s := &scanner{src: strings.TrimSuffix(string(doc), "\n")}
	root, err := s.element(nil, 0)
	if err != nil {
		return nil, err
	}
	if s.pos != len(s.src) {
		return nil, malformed("%d bytes after the root element", len(s.src)-s.pos)
	}
	return root, nil
}

// take skips what is next if it is want.
func (s *scanner) take(want string) bool {
	if !strings.HasPrefix(s.src[s.pos:], want) {
		return false
	}
	s.pos += len(want)
	return true
}

// until returns what precedes the next of stop, and skips both.
func (s *scanner) until(stop string) (string, bool) {
	out, _, ok := strings.Cut(s.src[s.pos:], stop)
	if ok {
		s.pos += len(out) + len(stop)
	}
	return out, ok
}

func nameByte(c byte, first bool) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
	return letter || !first && (c >= '0' && c <= '9' || c == '-' || c == '.')
}

// name reads "local" or "prefix:local".
func (s *scanner) name() (prefix, local string, err error) {
	one := func() string {
		start := s.pos
		for s.pos < len(s.src) && nameByte(s.src[s.pos], s.pos == start) {
			s.pos++
		}
		return s.src[start:s.pos]
	}
	local = one()
	if local != "" && s.take(":") {
		prefix, local = local, one()
	}
	if local == "" {
		return "", "", malformed("no name at offset %d", s.pos)
	}
	return prefix, local, nil
}

// element reads one from its "<" to the end of its end tag.
func (s *scanner) element(parent map[string]string, depth int) (*element, error) {
	if s.count++; depth > maxDepth || s.count > maxElements {
		return nil, malformed("more than %d elements, or deeper than %d", maxElements, maxDepth)
	}
	if !s.take("<") {
		return nil, malformed("no element at offset %d", s.pos)
	}
	e := &element{declared: map[string]string{}, scope: parent}
	var err error
	if e.prefix, e.local, err = s.name(); err != nil {
		return nil, err
	}
	empty, err := s.attributes(e)
	if err != nil {
		return nil, err
	}
	if err := e.resolve(); err != nil || empty {
		return e, err
	}
	return e, s.content(e, depth)
}

// attributes reads to the end of a start tag.
func (s *scanner) attributes(e *element) (empty bool, err error) {
	for {
		spaced := false
		for s.take(" ") || s.take("\n") {
			spaced = true
		}
		switch {
		case s.take("/>"):
			return true, nil
		case s.take(">"):
			return false, nil
		case !spaced || len(e.attrs)+len(e.declared) > maxAttributes:
			return false, malformed("start tag of %s: no space between attributes, or too many", e.local)
		}
		var a attr
		if a.prefix, a.local, err = s.name(); err != nil {
			return false, err
		}
		ok := s.take(`="`)
		if a.value, ok = s.cutIf(ok); !ok || strings.ContainsAny(a.value, "<\n") {
			return false, malformed(`attribute %s: want ="value" without < or line feeds`, a.local)
		}
		if err := e.add(a); err != nil {
			return false, err
		}
	}
}

func (s *scanner) cutIf(ok bool) (string, bool) {
	if !ok {
		return "", false
	}
	return s.until(`"`)
}

// add takes an attribute or a declaration of a namespace.
func (e *element) add(a attr) error {
	prefix, declares := a.local, a.prefix == "xmlns"
	if a.prefix == "" && a.local == "xmlns" {
		prefix, declares = "", true
	}
	if !declares {
		e.attrs = append(e.attrs, a)
		return nil
	}
	if _, twice := e.declared[prefix]; twice || a.value == "" || strings.HasPrefix(prefix, "xml") {
		return malformed("namespace prefix %q is declared twice, to nothing, or reserved", prefix)
	}
	e.declared[prefix] = a.value
	return nil
}

// resolve finds the namespaces of e and its attributes, and refuses an attribute that is there twice.
func (e *element) resolve() error {
	if len(e.declared) > maxScope {
		return malformed("more than %d namespaces in scope", maxScope)
	}
	if len(e.declared) > 0 {
		scope := map[string]string{}
		for p, ns := range e.scope {
			scope[p] = ns
		}
		for p, ns := range e.declared {
			scope[p] = ns
		}
		if len(scope) > maxScope {
			return malformed("more than %d namespaces in scope", maxScope)
		}
		e.scope = scope
	}
	var ok bool
	if e.space, ok = e.scope[e.prefix]; !ok {
		return malformed("element %s: prefix %q is not declared", e.local, e.prefix)
	}
	seen := map[[2]string]bool{}
	for i := range e.attrs {
		a := &e.attrs[i]
		if a.space, ok = e.scope[a.prefix]; !ok && a.prefix != "" {
			return malformed("attribute %s: prefix %q is not declared", a.local, a.prefix)
		}
		if a.prefix == "" {
			a.space = "" // the default namespace is not for attributes
		}
		if seen[[2]string{a.space, a.local}] {
			return malformed("attribute %s is there twice", a.local)
		}
		seen[[2]string{a.space, a.local}] = true
	}
	return nil
}

// content reads children to the end tag of e.
func (s *scanner) content(e *element, depth int) error {
	for s.pos < len(s.src) {
		text, _, _ := strings.Cut(s.src[s.pos:], "<")
		if strings.Contains(text, ">") {
			return malformed("bare > in %s", e.local)
		}
		if text != "" {
			e.children = append(e.children, node{text: text})
			s.pos += len(text)
		}
		if s.take("</") {
			p, l, err := s.name()
			if err != nil || p != e.prefix || l != e.local || !s.take(">") {
				return malformed("end tag of %s does not match", e.local)
			}
			return nil
		}
		child, err := s.element(e.scope, depth+1)
		if err != nil {
			return err
		}
		e.children = append(e.children, node{element: child})
	}
	return malformed("%s has no end", e.local)
}

// elements are the children of e that are elements. Text between them must be space.
func (e *element) elements() ([]*element, error) {
	var out []*element
	for _, n := range e.children {
		if n.element == nil && strings.TrimSpace(n.text) != "" {
			return nil, malformed("text in %s", e.local)
		}
		if n.element != nil {
			out = append(out, n.element)
		}
	}
	return out, nil
}

// content is the text of an element that holds nothing else, and has no attributes.
func (e *element) content() (string, error) {
	if len(e.children) != 1 || e.children[0].element != nil || len(e.attrs) != 0 {
		return "", malformed("want only text in %s", e.local)
	}
	return e.children[0].text, nil
}

// get is an attribute's value.
func (e *element) get(space, local string) (string, bool) {
	i := slices.IndexFunc(e.attrs, func(a attr) bool { return a.space == space && a.local == local })
	if i < 0 {
		return "", false
	}
	return e.attrs[i].value, true
}

func (e *element) is(space, local string) bool { return e.space == space && e.local == local }
