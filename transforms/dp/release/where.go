// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
)

// common is what all queries have.
type common struct {
	Name    string          `json:"name"`
	Kind    string          `json:"kind"`
	Where   []condition     `json:"where"`   // records that count, all of them if there is none; all conditions must hold
	Epsilon *decimal.Number `json:"epsilon"` // what the query spends: noise is Laplace's
	Noise   *decimal.Number `json:"noise"`   // or the noise multiplier of the query: noise is Gaussian

	epsilon, noise int64 // millionths; one of them is 0
}

func (c *common) base() *common { return c }

// values: a result with one value has no text but its name, which is short.
func (c *common) values() []string { return nil }

// most bounds what is said of epsilon and noise, in millionths.
const most = 1_000_000_000_000

func (c *common) check() error {
	if !nameRule.MatchString(c.Name) {
		return fmt.Errorf("name: %q, want 1 to 100 letters, digits, dots, dashes and underscores", c.Name)
	}
	if (c.Epsilon == nil) == (c.Noise == nil) {
		return errors.New("want either epsilon (Laplace noise) or noise (the multiplier of Gaussian noise)")
	}
	var err error
	if c.epsilon, err = millionths("epsilon", c.Epsilon); err != nil {
		return err
	}
	if c.noise, err = millionths("noise", c.Noise); err != nil {
		return err
	}
	if len(c.Where) > MaxConditions {
		return fmt.Errorf("where: %d conditions, at most %d", len(c.Where), MaxConditions)
	}
	for i := range c.Where {
		if err := c.Where[i].check(); err != nil {
			return fmt.Errorf("where[%d]: %w", i, err)
		}
	}
	return nil
}

// pure refuses Gaussian noise where there is none.
func (c *common) pure() error {
	if c.Epsilon == nil {
		return fmt.Errorf("noise: %s have no Gaussian noise; want epsilon", c.Kind)
	}
	return nil
}

// millionths is a positive number of at most six digits after the point; 0 for none.
func millionths(what string, n *decimal.Number) (int64, error) {
	if n == nil {
		return 0, nil
	}
	v, exact, ok := n.Scaled(6)
	if !ok || !exact || v <= 0 || v > most {
		return 0, fmt.Errorf("%s: %s, want more than 0, at most %d, with at most 6 digits after the point", what, n.Literal, int64(most/1_000_000))
	}
	return v, nil
}

// condition is on one record alone.
type condition struct {
	Field string          `json:"field"`
	In    []string        `json:"in"`   // the value is one of these texts
	From  *decimal.Number `json:"from"` // the value is a number, at least this
	To    *decimal.Number `json:"to"`   // ... and below this
	Not   bool            `json:"not"`  // the rest must not hold

	in map[string]bool
}

func (c *condition) check() error {
	if err := checkField("field", c.Field); err != nil {
		return err
	}
	number := c.From != nil || c.To != nil
	switch {
	case number && c.In != nil:
		return errors.New("want in, or from and to, not both")
	case len(c.In) > MaxValues:
		return fmt.Errorf("in: %d values, at most %d", len(c.In), MaxValues)
	case c.From != nil && c.To != nil && c.From.Cmp(&c.To.Decimal) >= 0:
		return fmt.Errorf("from: %s is not below to, %s", c.From.Literal, c.To.Literal)
	case !number && len(c.In) == 0:
		return errors.New("want in, from or to")
	}
	c.in = make(map[string]bool, len(c.In))
	for _, v := range c.In {
		c.in[v] = true
	}
	return nil
}

func (c *condition) holds(r *transforms.Record) bool { return c.true(r) != c.Not }

func (c *condition) true(r *transforms.Record) bool {
	f := value(r, c.Field)
	switch {
	case f == nil:
		return false
	case len(c.in) > 0:
		return c.in[string(f.Text)]
	}
	d, ok := decimal.Parse(f.Text)
	return ok && (c.From == nil || d.Cmp(&c.From.Decimal) >= 0) && (c.To == nil || d.Cmp(&c.To.Decimal) < 0)
}

func (c *common) matches(r *transforms.Record) bool {
	for i := range c.Where {
		if !c.Where[i].holds(r) {
			return false
		}
	}
	return true
}

func (c *common) names(more ...string) []string {
	for i := range c.Where {
		more = append(more, c.Where[i].Field)
	}
	return more
}

// value is a field that has one: the first of its path. A null is none.
func value(r *transforms.Record, path string) *transforms.Field {
	f := r.Field(path)
	if f == nil || f.Kind == transforms.Null {
		return nil
	}
	return f
}

func checkField(what, name string) error {
	if name == "" || len(name) > MaxText {
		return fmt.Errorf("%s: a name of %d bytes, want the column, or the path in JSON, of at most %d bytes", what, len(name), MaxText)
	}
	return nil
}
