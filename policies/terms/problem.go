// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors of this package.
var (
	ErrTerms   = errors.New("terms cannot be accepted")
	ErrLicence = errors.New("licence cannot be expressed")
	ErrODRL    = errors.New("not an ODRL offer that can be expressed")
	ErrMode    = errors.New("privacy mode is not enforced by this release")
)

// Problem is one thing wrong with terms.
type Problem struct {
	Line    int    `json:"line"` // 0: the file as a whole, or a flag
	Column  int    `json:"column"`
	Path    string `json:"path"` // of keys: licence.spdx
	Message string `json:"message"`
	Hint    string `json:"hint"` // "" if the message says it
	err     error  // what it came from: ErrMode, or an error of Config's functions
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Path != "" {
		fmt.Fprintf(&b, "%s: ", p.Path)
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		fmt.Fprintf(&b, " (%s)", p.Hint)
	}
	return b.String()
}

// Problems is everything wrong with terms, as an error that is [ErrTerms], [ErrMode] if a mode is not built, and whatever
// the functions of [Config] returned.
type Problems struct {
	List []Problem
	more int
}

func (p *Problems) Error() string {
	lines := make([]string, len(p.List))
	for i, x := range p.List {
		lines[i] = x.String()
	}
	if p.more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", p.more))
	}
	return strings.Join(lines, "\n")
}

// Is reports whether the error is of a sentinel's kind.
func (p *Problems) Is(target error) bool {
	return target == ErrTerms || slices.ContainsFunc(p.List, func(x Problem) bool { return errors.Is(x.err, target) })
}

func (p *Problems) add(x Problem) {
	if len(p.List) >= maxErrors {
		p.more++
		return
	}
	p.List = append(p.List, x)
}

// err is nil if there are none; problems are sorted by line.
func (p *Problems) err() error {
	if len(p.List) == 0 {
		return nil
	}
	slices.SortFunc(p.List, func(a, b Problem) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Path, b.Path), strings.Compare(a.Message, b.Message))
	})
	p.List = slices.CompactFunc(p.List, func(a, b Problem) bool { return a.Line == b.Line && a.String() == b.String() })
	return p
}
