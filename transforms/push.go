// SPDX-License-Identifier: Apache-2.0

package transforms

import (
	"context"
	"fmt"
)

// Push is a [Pipeline.Run] for a caller that is itself given one record at a time: it takes a record through the steps and gives
// what is left of it to sink, each valid during the call. After the last record comes [Pipeline.End].
func (p *Pipeline) Push(ctx context.Context, it Item, sink func(Item) error) error {
	p.sink = sink
	var err error
	if len(p.stages) > 0 {
		err = p.stages[0].push(ctx, it, nil)
	} else {
		err = sink(it)
	}
	p.free()
	p.records++
	return err
}

// End gives sink what steps kept back until they had seen all records.
func (p *Pipeline) End(ctx context.Context, sink func(Item) error) error {
	p.sink = sink
	for _, s := range p.stages {
		if err := s.end(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.spec.Name, err)
		}
	}
	return nil
}
