// SPDX-License-Identifier: Apache-2.0

package glovebox

import (
	"errors"
	"os"
	"strconv"
	"strings"
)

// ErrParam is wrapped by every error about a parameter.
var ErrParam = errors.New("parameter")

// Params reads the parameters that the buyer gave with --param NAME=VALUE. Mistakes are collected: read them all, then
// ask [Params.Err] once.
type Params struct {
	lookup func(name string) (string, bool)
	errs   []string
}

// Parameters reads the job's parameters, which are its whole environment.
func Parameters() *Params { return &Params{lookup: os.LookupEnv} }

// String is the parameter's text, or fallback when it was not given.
func (p *Params) String(name, fallback string) string {
	if v, ok := p.lookup(name); ok {
		return v
	}
	return fallback
}

// Need is the parameter's text. A parameter that is missing or empty is a mistake.
func (p *Params) Need(name string) string {
	v, _ := p.lookup(name)
	if v == "" {
		p.errs = append(p.errs, name+" is missing: give --param "+name+"=VALUE")
	}
	return v
}

// OneOf is the parameter's text, or fallback when it was not given. A text that is no choice is a mistake.
func (p *Params) OneOf(name, fallback string, choices ...string) string {
	v := p.String(name, fallback)
	for _, c := range choices {
		if v == c {
			return v
		}
	}
	p.refuse(name, v, strings.Join(choices, " or "))
	return fallback
}

// Int is a whole number from least to most, or fallback when the parameter was not given.
func (p *Params) Int(name string, fallback, least, most int) int {
	v, ok := p.lookup(name)
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		p.refuse(name, v, "a whole number from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
		return fallback
	}
	return n
}

// Float is a number from least to most, or fallback when the parameter was not given.
func (p *Params) Float(name string, fallback, least, most float64) float64 {
	v, ok := p.lookup(name)
	if !ok {
		return fallback
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || !(n >= least && n <= most) {
		p.refuse(name, v, "a number from "+number(least)+" to "+number(most))
		return fallback
	}
	return n
}

// Bool is true or false, or fallback when the parameter was not given.
func (p *Params) Bool(name string, fallback bool) bool {
	switch v, ok := p.lookup(name); {
	case !ok:
		return fallback
	case v == "true" || v == "1":
		return true
	case v == "false" || v == "0":
		return false
	default:
		p.refuse(name, v, "true or false")
		return fallback
	}
}

func (p *Params) refuse(name, got, want string) {
	p.errs = append(p.errs, name+" is "+strconv.Quote(got)+": want "+want)
}

// Err is nil, or an [ErrParam] that names every mistake so far.
func (p *Params) Err() error {
	if len(p.errs) == 0 {
		return nil
	}
	return wrap(ErrParam, strings.Join(p.errs, "; "))
}

// failure adds what went wrong to a sentinel, without fmt.
type failure struct {
	kind error
	text string
}

func (f *failure) Error() string { return f.kind.Error() + " " + f.text }

func (f *failure) Unwrap() error { return f.kind }

func wrap(kind error, text string) error { return &failure{kind, text} }
