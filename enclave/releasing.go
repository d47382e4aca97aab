// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp/release"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// runQueries answers the code package's queries (docs/privacy.md). They are held against what the job declares before the first
// record is read; after that nothing but the noised answers, and one of few times, tells of the records. So no other time is stated:
// the run counts as started when the key was released.
func (r *attempt) runQueries(ctx context.Context, out *outcome) error {
	q, err := r.loadQueries(ctx)
	if err != nil {
		return err
	}
	p := r.job.Predicate.Privacy
	run, err := release.NewRun(q, p.Unit, p.Adjacency, p.Contributions)
	if err != nil {
		return fmt.Errorf("%w: %w", errModule, err)
	}
	if err := r.findColumns(ctx, q); err != nil {
		return err
	}
	defer run.Wipe()
	if err := run.DrawAhead(sampler.NewSource(rand.Reader)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(r.job.Predicate.Limits.WallSeconds)*time.Second, errLate)
	defer cancel()
	clock := r.e.seams.clock()
	began := clock.Now()
	data, err := r.loadRecords(ctx)
	if err != nil {
		return err
	}
	defer data.Close()
	// From here on, whether or not anything leaves: that queries took too long may be because of a record.
	out.ran = p.Mechanisms
	if err := ask(ctx, run, data); err != nil {
		return err
	}
	answers, err := run.Result()
	if err != nil {
		return err
	}
	data.Close() // before the end: how long that takes depends on how much there is
	if err := clock.Wait(ctx, began+job.Even(clock.Now()-began)); err != nil {
		return err
	}
	out.finished = r.sinceChallenge()
	out.worker.Outputs, err = r.onlyOutput(answers)
	return err
}

// loadQueries takes the queries out of the code package. Others than the job declares are not permitted: what is accounted for
// must be what is done.
func (r *attempt) loadQueries(ctx context.Context) (*release.Queries, error) {
	files, err := r.loadFiles(ctx, release.FileName, map[string]int64{release.FileName: release.MaxFile})
	if err != nil {
		return nil, err
	}
	q, err := release.Parse(files[release.FileName])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errModule, err)
	}
	p := r.job.Predicate.Privacy
	does, err := q.Mechanisms(p.Unit, p.Adjacency, p.Contributions)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errModule, err)
	}
	if !slices.Equal(does, p.Mechanisms) {
		return nil, fmt.Errorf("%w: the queries do not what the job declares", errNotPermitted)
	}
	if err := q.Room(r.counted()); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotPermitted, err)
	}
	if most := r.roomOfOutput(); most < q.ResultBytes() {
		return nil, fmt.Errorf("%w: the answers may have %d bytes, and the output %d", errNotPermitted, q.ResultBytes(), most)
	}
	return q, nil
}

// counted is the most records that can count, as manifests and the job have it.
func (r *attempt) counted() (most int64) {
	for _, p := range r.packages[1:] {
		n := p.granted.Records
		if k := int64(len(p.granted.Units)); r.job.Predicate.Privacy.Unit == dataset.UnitContributor && k <= n/r.job.Predicate.Privacy.Contributions {
			n = k * r.job.Predicate.Privacy.Contributions
		}
		most += n
	}
	return most
}

// ask takes all records into the queries, in order. One that cannot be read in its format counts nowhere.
func ask(ctx context.Context, run *release.Run, data *records) error {
	var codecs []*transforms.Codec
	for _, s := range data.schemas {
		codecs = append(codecs, transforms.NewCodec(s))
	}
	var rec transforms.Record
	for unit := range data.units {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		for i := range data.units[unit] {
			k := &data.units[unit][i]
			text, err := data.text(k)
			if err != nil {
				return err
			}
			if codecs[k.set].Parse(&rec, k.name, text) != nil {
				continue
			}
			if err := run.Add(unit, &rec); err != nil {
				return err
			}
			rec.Free()
		}
	}
	return nil
}

// roomOfOutput is what the one output of a job whose enclave writes it may have.
func (r *attempt) roomOfOutput() int64 {
	return min(r.job.Predicate.Outputs[0].MaxBytes, r.outputCap())
}

// onlyOutput is that output. One that is too long after all ends the run: how long it is, noise decided.
func (r *attempt) onlyOutput(b []byte) ([]sandbox.Artefact, error) {
	if int64(len(b)) > r.roomOfOutput() {
		return nil, fmt.Errorf("%w: %d bytes", ErrEgress, len(b))
	}
	return []sandbox.Artefact{{Name: r.job.Predicate.Outputs[0].Name, Data: b}}, nil
}
