// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// ErrCreator means that the creator's own rules are not usable; the broker does not start with them.
var ErrCreator = fmt.Errorf("%w: the creator's own rules", ErrPolicy)

// Bounds of the creator's own rules. What exceeds them while a decision is made denies.
const (
	maxRuleFiles = 64
	maxRuleBytes = 256 << 10 // of all files together
	maxHung      = 2         // evaluations that did not stop when told to, before rules are asked no more
	evalLimit    = 250 * time.Millisecond
)

// Rules that a denial names for the creator's own; what they call theirs follows the prefix.
const (
	rulePrefix    = "creator/"
	ruleUnusable  = rulePrefix + "unusable"
	ruleNarrow    = rulePrefix + "narrow"
	creatorLabel  = "glovebox.dev/creator-policy/v1"
	creatorQuery  = `x := glovebox.bounded({"deny": {d | some d in data.creator.deny}, "narrow": [n | n := data.creator.narrow]})`
	creatorPolicy = "creator"
)

// Options of [Load]. The zero Options adds nothing to the rules of this build.
type Options struct {
	Creator fs.FS   // folder with *.rego of the creator's own; nil: none
	Bundle  *Bundle // the same as a signed bundle; nil: none. Not both
}

func (o Options) load(ctx context.Context) (*creator, error) {
	switch {
	case o.Creator != nil && o.Bundle != nil:
		return nil, fmt.Errorf("%w: a folder and a bundle; want one", ErrCreator)
	case o.Creator != nil:
		s, err := folder(o.Creator)
		if err != nil {
			return nil, err
		}
		return s.compile(ctx)
	case o.Bundle != nil:
		s, err := o.Bundle.open()
		if err != nil {
			return nil, err
		}
		return s.compile(ctx)
	}
	return nil, nil
}

// creator is a set of compiled rules that can deny and narrow. They are compiled on their own, so that there is nothing
// of this build's rules that they could see or change.
type creator struct {
	query    rego.PreparedEvalQuery
	digest   envelope.Digest
	revision int64 // of a bundle
	narrows  bool  // there is a rule narrow
	hung     atomic.Int32
	limit    time.Duration
}

// source is what the creator's rules are compiled from.
type source struct {
	files    map[string]string
	data     map[string]any // of a bundle
	digest   envelope.Digest
	revision int64
}

// folder reads the *.rego files of a folder. Anything else in it is refused: a rule in a file that is passed over would be one
// that nobody asks.
func folder(fsys fs.FS) (*source, error) {
	s := &source{files: map[string]string{}}
	total := 0
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if !d.Type().IsRegular() || !strings.HasSuffix(path, ".rego") {
			return fmt.Errorf("%s is no file *.rego; keep folders, links and other files elsewhere", path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if total += int(min(info.Size(), maxRuleBytes+1)); total > maxRuleBytes || len(s.files) == maxRuleFiles {
			return fmt.Errorf("more than %d files or %d bytes", maxRuleFiles, maxRuleBytes)
		}
		b, err := fs.ReadFile(fsys, path)
		if int64(len(b)) > info.Size() {
			return fmt.Errorf("%s grew", path)
		}
		s.files[path] = string(b)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCreator, err)
	}
	s.digest = s.sum()
	return s, nil
}

// sum names the files that were read, and their content.
func (s *source) sum(more ...[]byte) envelope.Digest {
	fields := more
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		fields = append(fields, []byte(name), []byte(s.files[name]))
	}
	return envelope.Hash(creatorLabel, fields...)
}

func (s *source) compile(ctx context.Context) (*creator, error) {
	modules, err := s.parse()
	if err != nil {
		return nil, err
	}
	c := newCompiler(creatorCapabilities()).WithPathConflictsCheck(s.conflicts)
	if c.Compile(modules); c.Failed() {
		return nil, fmt.Errorf("%w: %w", ErrCreator, c.Errors)
	}
	if err := s.resolve(c.Modules); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCreator, err)
	}
	data := s.data
	if data == nil {
		data = map[string]any{}
	}
	options := append(boundedFunctions(), rego.Compiler(c), rego.Store(inmem.NewFromObject(data)), rego.Query(creatorQuery), rego.StrictBuiltinErrors(true))
	q, err := rego.New(options...).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCreator, err)
	}
	return &creator{query: q, digest: s.digest, revision: s.revision, narrows: narrows(c.Modules), limit: evalLimit}, nil
}

// conflicts reports whether a rule's path is one of data too.
func (s *source) conflicts(path []string) (bool, error) {
	var at any = s.data
	for _, p := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return false, nil
		}
		if at, ok = m[p]; !ok {
			return false, nil
		}
	}
	return len(path) > 0, nil
}

// answer is what the creator's rules say.
type answer struct {
	reasons []grant.Reason
	narrow  *reader // nil: not at all
}

// ask evaluates the rules, for a bounded time. One that does not stop then is left behind, and few may be.
func (c *creator) ask(ctx context.Context, doc ast.Value) (*answer, error) {
	if c.hung.Load() >= maxHung {
		return nil, errors.New("earlier evaluations did not stop")
	}
	ctx, cancel := context.WithTimeout(ctx, c.limit)
	defer cancel()
	type result struct {
		a   *answer
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := one(ctx, &c.query, doc)
		if err != nil {
			done <- result{nil, err}
			return
		}
		a, err := readAnswer(v)
		done <- result{a, err}
	}()
	select {
	case r := <-done:
		return r.a, r.err
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		return r.a, r.err
	case <-time.After(c.limit): // it was told to stop
	}
	c.hung.Add(1)
	go func() {
		<-done
		c.hung.Add(-1)
	}()
	return nil, ctx.Err()
}

func readAnswer(v any) (*answer, error) {
	r := read(v)
	a, err := &answer{}, error(nil)
	if a.reasons, err = reasonList(take[[]any](r, "deny")); err != nil {
		return nil, err
	}
	for i, x := range a.reasons {
		if x.Rule == "" || x.Message == "" || x.Satisfy == "" {
			return nil, fmt.Errorf("%w: a reason without rule, message or remedy", ErrResult)
		}
		a.reasons[i].Rule = rulePrefix + x.Rule
	}
	if n := take[[]any](r, "narrow"); len(n) == 1 {
		a.narrow = read(n[0])
	}
	return a, r.done()
}

// judge adds the creator's objections to a decision, and narrows what it allows.
func (c *creator) judge(ctx context.Context, doc ast.Value, now int64, d Decision) (Decision, error) {
	a, err := c.ask(ctx, doc)
	if ctx.Err() != nil {
		return Decision{}, ctx.Err() // the caller has gone; that is no denial
	}
	if err != nil {
		return d.against(grant.Reason{
			Rule: ruleUnusable, Message: "the owner's own rules gave no answer", Satisfy: "ask the owner to look at her broker's log",
		}, err), nil
	}
	for _, r := range a.reasons {
		d = d.against(r, nil)
	}
	if !d.Allow || !c.narrows {
		return d, nil
	}
	if a.narrow == nil {
		return d.against(grant.Reason{
			Rule: ruleNarrow, Message: "the owner's own rules do not say how much of this they allow", Satisfy: "ask the owner what her rules allow",
		}, fmt.Errorf("%w: narrow is undefined; say default narrow := {} if that is to narrow nothing", ErrResult)), nil
	}
	o, err := narrowed(d.Obligations, a.narrow)
	if err == nil && o.Expires <= now {
		err = fmt.Errorf("%w: expires at %d, it is %d", ErrResult, o.Expires, now)
	}
	if err == nil {
		err = o.Validate()
	}
	if err != nil {
		return d.against(grant.Reason{
			Rule: ruleNarrow, Message: "the owner's own rules leave nothing that could be granted", Satisfy: "ask the owner what her rules allow",
		}, err), nil
	}
	d.Obligations = o
	return d, nil
}

// against denies for one more reason.
func (d Decision) against(r grant.Reason, cause error) Decision {
	return Decision{Reasons: append(slices.Clone(d.Reasons), r), Cause: errors.Join(d.Cause, cause)}
}

// narrowed takes the smaller of each limit, whatever the rules say: they cannot widen.
func narrowed(o grant.Obligations, n *reader) (grant.Obligations, error) {
	for _, name := range slices.Sorted(maps.Keys(n.m)) {
		switch name {
		case "maxOutput":
			o.MaxOutput = min(o.MaxOutput, n.integer(name))
		case "epochs":
			o.Epochs = int(min(int64(o.Epochs), n.integer(name)))
		case "expires":
			o.Expires = min(o.Expires, n.integer(name))
		case "outputs":
			keep := n.texts(name)
			o.Outputs = slices.DeleteFunc(slices.Clone(o.Outputs), func(s string) bool { return !slices.Contains(keep, s) })
		}
	}
	return o, n.done() // what is none of these is unknown
}
