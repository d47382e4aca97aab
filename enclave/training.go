// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// trainConfig is the file of a code package that a guest of train/1 is opened with; without it, with an empty object.
const trainConfig = "train.json"

// errLate means that a run took longer than its job allows.
var errLate = errors.New("enclave: too late")

// seams are what a differentially private run draws from. Zero is the real ones.
type seams struct {
	testOnlySampler train.Sampler
	testOnlyNoise   train.Noise
	testOnlyClock   train.Clock
}

func (s *seams) sampler() train.Sampler {
	if s.testOnlySampler != nil {
		return s.testOnlySampler
	}
	return train.NewSampler(rand.Reader)
}

func (s *seams) noise() train.Noise {
	if s.testOnlyNoise != nil {
		return s.testOnlyNoise
	}
	return train.NewNoise(rand.Reader)
}

func (s *seams) clock() train.Clock {
	if s.testOnlyClock != nil {
		return s.testOnlyClock
	}
	return train.NewClock()
}

// private refuses, before anything is asked for, a job in a differentially private mode in which one person might count as
// several units.
func (r *attempt) private() error {
	j := &r.job.Predicate
	if !job.Private(j.Mode) {
		return nil
	}
	for i, p := range r.packages[1:] {
		for _, q := range r.packages[1 : 1+i] {
			if dataset.SamePeople(p.m, q.m, j.Privacy.Unit) {
				return fmt.Errorf("%w: %s and %s: %s: %s", ErrJob, q.id, p.id, dataset.CountedTwice, dataset.CountOnce)
			}
		}
	}
	return nil
}

// runTraining trains (docs/privacy.md). The guest is started before the first record is read, so that a module that is none is
// told from a failure that could say something of records.
func (r *attempt) runTraining(ctx context.Context, out *outcome) (err error) {
	code, err := r.loadFiles(ctx, mainModule, map[string]int64{mainModule: sandbox.MaxModule, trainConfig: sandbox.MaxTrainConfig})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(r.job.Predicate.Limits.WallSeconds)*time.Second, errLate)
	defer cancel()
	pool, err := r.openTrainers(ctx, code)
	if err != nil {
		return err
	}
	defer func() { out.worker = silent(pool.close(), out.worker.Outputs) }()
	c, units, err := r.training(pool)
	if err == nil {
		err = c.Check(units)
	}
	if err == nil {
		err = r.heldInMemory(pool, units)
	}
	switch {
	case errors.Is(err, errModule):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errNotPermitted, err)
	}
	began := c.Clock.Now()
	data, err := r.trainingData(ctx, pool)
	if err != nil {
		return err
	}
	defer data.Close()
	if err := c.Clock.Wait(ctx, began+job.Even(c.Clock.Now()-began)); err != nil {
		return err
	}
	out.started = r.sinceChallenge()
	res, err := train.Run(ctx, c, data, pool)
	out.ran = res.Ran
	if err != nil {
		return err
	}
	out.finished = r.sinceChallenge() // the end of a slot; wiping records takes longer the more there are
	out.worker.Outputs, err = trained(r.job.Predicate.Privacy.Training, r.job.Predicate.Outputs, res)
	return err
}

// silent is what may be said of a worker in a mode that lets no figures out.
func silent(o sandbox.Outcome, outputs []sandbox.Artefact) sandbox.Outcome {
	return sandbox.Outcome{Isolation: o.Isolation, Original: o.Original, Rewritten: o.Rewritten, Costs: o.Costs, Outputs: outputs}
}

// openTrainers starts the guest in as many workers as there are cores.
func (r *attempt) openTrainers(ctx context.Context, code map[string][]byte) (*trainPool, error) {
	j := &r.job.Predicate
	t := j.Privacy.Training
	spec := sandbox.TrainSpec{
		Module: code[mainModule], MemoryBytes: j.Limits.MemoryBytes, Fuel: j.Limits.Fuel, RecordFuel: t.RecordFuel,
		// The run's own end comes first: a worker that ended itself would look as if a record had done it.
		Wall:        time.Duration(j.Limits.WallSeconds+60) * time.Second,
		RecordBytes: t.RecordBytes, PreparedBytes: t.RecordBytes, MaxParams: t.Params, Config: code[trainConfig], Seed: j.Seed, Params: j.Params,
	}
	if spec.Config == nil {
		spec.Config = []byte("{}")
	}
	norm := float64(t.Clip) / dp.Micro
	if j.Runtime == job.RuntimeTrainSum {
		spec.Clip = norm
	}
	pool, err := openPool(ctx, norm, t.RecordBytes, func(ctx context.Context) (trainee, error) {
		return r.e.c.Runner.Train(ctx, spec)
	})
	switch end, died := errors.AsType[*sandbox.SessionEnd](err); {
	case err == nil:
		return pool, nil
	case context.Cause(ctx) != nil:
		return nil, context.Cause(ctx)
	case died && end.Unwrap() == nil:
		return nil, fmt.Errorf("%w: %w", errModule, err)
	}
	return nil, fmt.Errorf("%w: %w", errWorker, err)
}

// training is the configuration of the run, and how many units there will be, as manifests have it.
func (r *attempt) training(pool *trainPool) (*train.Config, int, error) {
	j := &r.job.Predicate
	c := &train.Config{
		Privacy: *j.Privacy, Granted: math.MaxInt64, Params: pool.initial(),
		Sampler: r.e.seams.sampler(), Noise: r.e.seams.noise(), Clock: r.e.seams.clock(),
	}
	units := 0
	for _, p := range r.packages[1:] {
		c.Granted = min(c.Granted, p.grant.Predicate.Obligations.Privacy)
		n, err := countUnits(p, j.Privacy.Unit)
		if err != nil {
			return nil, 0, err
		}
		units += n
	}
	model := job.ModelBytes(int64(len(c.Params)))
	if j.Privacy.Training.Score != "" {
		if !pool.desks[0].t.Predicts() {
			return nil, 0, fmt.Errorf("%w: a score is declared, and the module predicts nothing", errModule)
		}
		model += job.ScoreBytes
	}
	if model > r.outputCap() {
		return nil, 0, fmt.Errorf("a model of %d parameters has up to %d bytes, and %d may leave", len(c.Params), model, r.outputCap())
	}
	return c, units, nil
}

// trainingData reads all records, and has the guest prepare each, if it does.
func (r *attempt) trainingData(ctx context.Context, pool *trainPool) (*records, error) {
	raw, err := r.loadRecords(ctx)
	if err != nil || !pool.desks[0].t.Prepares() {
		return raw, err
	}
	defer raw.Close()
	out := newRecords(raw.most, r.preparedBytes(raw.Len()), r.e.room)
	if err := pool.prepare(ctx, raw, out); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

// preparedBytes bounds what the guest may make of all records that count, by what is public: one that makes much of a record it
// knows must not be seen by the room that takes.
func (r *attempt) preparedBytes(units int) int64 {
	p := r.job.Predicate.Privacy
	granted := int64(0)
	for _, p := range r.packages[1:] {
		granted += p.granted.Records
	}
	n := max(min(granted, int64(units)*p.Contributions), 1)
	if p.Training.RecordBytes > math.MaxInt64/n {
		return math.MaxInt64
	}
	return p.Training.RecordBytes * n
}

// heldInMemory refuses, before anything is read, what others would see of data that does not fit into memory: which records are
// sampled, how long each is once it is prepared, and how long the guest takes for each when it prepares or scores.
func (r *attempt) heldInMemory(pool *trainPool, units int) error {
	p, raw, room := r.job.Predicate.Privacy, r.heldBytes(), r.e.room
	prepares := pool.desks[0].t.Prepares()
	switch {
	case prepares && r.preparedBytes(units) > room:
		return fmt.Errorf("prepared records of up to %d bytes, and %d fit into memory: others would see how long each is; want fewer bytes of a record", r.preparedBytes(units), room)
	case raw <= room:
		return nil
	case p.Mechanisms[0].Sampling != dp.NoSampling:
		return fmt.Errorf("%d bytes of records, and %d fit into memory: others would see which are sampled; want kind %s, or batches without sampling", raw, room, dp.Tree)
	case prepares || p.Training.Score != "":
		return fmt.Errorf("%d bytes of records, and %d fit into memory: others would see how long each takes; want a module that prepares nothing, and no score", raw, room)
	}
	return nil
}

// trained are the declared outputs, made of what came out of the engine and of nothing else.
func trained(t *job.Training, declared []job.Output, res *train.Result) ([]sandbox.Artefact, error) {
	var out []sandbox.Artefact
	for _, o := range declared {
		switch {
		case o.Name == t.Output:
			b, err := safetensors(res.Params)
			if err != nil {
				return nil, err
			}
			out = append(out, sandbox.Artefact{Name: o.Name, Data: b})
		case o.Name == t.Score && res.Score != nil:
			b, err := json.Marshal(map[string]float64{"score": res.Score.Mean, "deviation": res.Score.Deviation})
			if err != nil {
				return nil, err
			}
			out = append(out, sandbox.Artefact{Name: o.Name, Data: append(b, '\n')})
		}
	}
	return out, nil
}

// safetensors is parameters as one tensor "params", in the format of that name: the length of a header, the header, the numbers.
func safetensors(params []float32) ([]byte, error) {
	type tensor struct {
		Type    string `json:"dtype"`
		Shape   []int  `json:"shape"`
		Offsets []int  `json:"data_offsets"`
	}
	h, err := json.Marshal(map[string]tensor{"params": {"F32", []int{len(params)}, []int{0, 4 * len(params)}}})
	if err != nil {
		return nil, err
	}
	for len(h)%8 != 0 {
		h = append(h, ' ')
	}
	b := make([]byte, 0, 8+len(h)+4*len(params))
	b = append(binary.LittleEndian.AppendUint64(b, uint64(len(h))), h...)
	for _, p := range params {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p))
	}
	return b, nil
}

// spent is what the run did to each dataset's records, and what that comes to. All that was declared counts as run where no bound
// can be computed of what ran, and where records were read and nothing ran: that it failed between may be because of a record.
func (r *attempt) spent(out *outcome) []usage.Spend {
	all := []usage.Spend{}
	j := &r.job.Predicate
	if !job.Private(j.Mode) {
		return all
	}
	for _, p := range r.granted() {
		ran := out.ran
		if len(ran) == 0 && p.meter.delivered() > 0 {
			ran = j.Privacy.Mechanisms
		}
		if p.m.Kind != dataset.KindDataset || len(ran) == 0 {
			continue
		}
		s := usage.Spend{
			Manifest: p.id, Unit: j.Privacy.Unit, Contributions: j.Privacy.Contributions, Adjacency: j.Privacy.Adjacency,
			Mechanisms: ran, Accountant: j.Privacy.Accountant, Delta: j.Privacy.Delta, Isolation: j.Runtime,
		}
		var err error
		if s.Epsilon, err = spentEpsilon(&s); err != nil {
			s.Mechanisms, s.Epsilon = j.Privacy.Mechanisms, j.Privacy.Epsilon
		}
		all = append(all, s)
	}
	return all
}

func spentEpsilon(s *usage.Spend) (int64, error) {
	b, err := dp.Epsilon(&dp.Composition{Adjacency: s.Adjacency, Mechanisms: s.Mechanisms}, float64(s.Delta)/dp.Pico, s.Accountant)
	if err != nil {
		return 0, err
	}
	n, err := dp.Micros(b.Epsilon)
	return max(n, 1), err
}

// discreet is the reason that a run in a differentially private mode may give: once records were read, a more telling one could
// say something of them.
func (r *attempt) discreet(reason string) string {
	if !job.Private(r.job.Predicate.Mode) || reason == usage.ReasonNone || reason == usage.ReasonStopped {
		return reason
	}
	for _, p := range r.packages[1:] {
		if p.meter.delivered() > 0 {
			return usage.ReasonUnavailable
		}
	}
	return reason
}
