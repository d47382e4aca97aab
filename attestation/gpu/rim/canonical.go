// SPDX-License-Identifier: Apache-2.0

package rim

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// canonical is e in Canonical XML 1.1 without comments, as the apex of a document subset: all namespaces in scope are
// written on it. Child without is left out. For documents of this package's profile nothing needs escaping: it has no
// references, carriage returns or tabs, no bare > in text, and attributes without line feeds.
func (e *element) canonical(without *element) []byte {
	var b strings.Builder
	e.write(&b, nil, without)
	return []byte(b.String())
}

// write renders e where namespaces of written are already declared around it.
func (e *element) write(b *strings.Builder, written map[string]string, without *element) {
	name := qualified(e.prefix, e.local)
	b.WriteString("<" + name)
	for _, p := range slices.Sorted(maps.Keys(e.scope)) {
		if ns := e.scope[p]; written == nil || written[p] != ns {
			b.WriteString(" " + strings.TrimSuffix("xmlns:"+p, ":") + `="` + ns + `"`)
		}
	}
	sorted := slices.Clone(e.attrs)
	slices.SortFunc(sorted, func(x, y attr) int {
		return cmp.Or(strings.Compare(x.space, y.space), strings.Compare(x.local, y.local))
	})
	for _, a := range sorted {
		b.WriteString(" " + qualified(a.prefix, a.local) + `="` + a.value + `"`)
	}
	b.WriteString(">")
	for _, n := range e.children {
		switch {
		case n.element == nil:
			b.WriteString(n.text)
		case n.element != without:
			n.element.write(b, e.scope, without)
		}
	}
	b.WriteString("</" + name + ">")
}

func qualified(prefix, local string) string {
	if prefix == "" {
		return local
	}
	return prefix + ":" + local
}
