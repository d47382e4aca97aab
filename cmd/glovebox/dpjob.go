// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp/release"
)

// privateFlags are what a buyer says of a job in a differentially private mode. Numbers are texts: they are read exactly.
type privateFlags struct {
	file, runtime              string
	epsilon, delta, accountant string
	contributions              int64
	noise                      string

	steps, passes, lot                                              int64
	batches                                                         string
	clip, rate, optimiser, decay, momentum, beta2, weights, average string
	recordFuel, params, pace                                        int64
	recordBytes                                                     string
	score, scoreNoise                                               string

	queries string

	shards, numbers   int64
	aggregate, answer string
	lower, upper      string
	slot              time.Duration

	given   map[string]bool // flags
	outputs bool            // were named
	wall    bool            // was given
}

// privateModes name the flags that only some modes have.
var privateModes = map[string][]string{
	dataset.ModeTraining: {
		"noise", "steps", "passes", "lot", "batches", "clip", "learning-rate", "optimiser", "decay", "momentum", "beta2", "weight-decay", "average",
		"record-fuel", "record-bytes", "params", "pace", "score", "score-noise",
	},
	dataset.ModeRelease:   {"queries"},
	dataset.ModeAggregate: {"noise", "shards", "aggregate", "answer", "numbers", "lower", "upper", "slot"},
}

// privateCommon are the flags that all differentially private modes have, and no other mode.
var privateCommon = []string{"epsilon", "delta", "accountant", "contributions", "privacy"}

func (p *privateFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&p.runtime, "runtime", "", "runtime class (default: the strictest of the mode)")
	fl.StringVar(&p.epsilon, "epsilon", "", "in modes dp-training, dp-release and sample-aggregate: the most that this job may reveal of one person; noise is chosen to fit")
	fl.StringVar(&p.delta, "delta", "", "the delta of that epsilon, less than one over the number of records (default: the terms')")
	fl.StringVar(&p.accountant, "accountant", "", "how this job's epsilon is computed: rdp, as brokers' accounts do, or pld, which is tighter (default: rdp, and pld in mode dp-release)")
	fl.Int64Var(&p.contributions, "contributions", 0, "records of one contributor that count, at most (default: what the terms allow)")
	fl.StringVar(&p.file, "privacy", "", "file with the whole declaration, in place of these flags; plan --json prints one")
	fl.StringVar(&p.noise, "noise", "", "noise multiplier, in place of --epsilon: noise over what one person can change")

	fl.Int64Var(&p.steps, "steps", 0, "in mode dp-training: steps (default: those of --passes)")
	fl.Int64Var(&p.passes, "passes", 20, "in mode dp-training: passes over the data, on average")
	fl.Int64Var(&p.lot, "lot", 0, "in mode dp-training: persons in a step, on average (default: a twentieth of the data, at most 4096)")
	fl.StringVar(&p.batches, "batches", "", "in mode dp-training: poisson, fixed-size, consecutive or tree (default: poisson; where the terms' adjacency is replace-one fixed-size, or consecutive if the data may not fit into memory)")
	fl.StringVar(&p.clip, "clip", "1", "in mode dp-training: L2 norm that each person's gradient is bounded to")
	fl.StringVar(&p.rate, "learning-rate", "0.1", "in mode dp-training: learning rate")
	fl.StringVar(&p.optimiser, "optimiser", job.OptimiserMomentum, "in mode dp-training: sgd, momentum or adam")
	fl.StringVar(&p.decay, "decay", job.DecayNone, "in mode dp-training: of the learning rate: none, linear or cosine")
	fl.StringVar(&p.momentum, "momentum", "", "in mode dp-training: momentum, or adam's first beta (default 0.9)")
	fl.StringVar(&p.beta2, "beta2", "", "in mode dp-training: adam's second beta (default 0.999)")
	fl.StringVar(&p.weights, "weight-decay", "0", "in mode dp-training: decay of the weights")
	fl.StringVar(&p.average, "average", "0", "in mode dp-training: the result is the moving average of the parameters with this factor, below 1; 0 is the last ones")
	fl.Int64Var(&p.recordFuel, "record-fuel", 0, "in mode dp-training: most units of fuel for one record (default: 500 for each parameter and 100 for each byte of the longest record, 1 to 100 million)")
	fl.StringVar(&p.recordBytes, "record-bytes", "64KiB", "in mode dp-training: longest record, as the code gets it")
	fl.Int64Var(&p.params, "params", 0, "in mode dp-training: most parameters of the model (default: what --max-output has room for)")
	fl.Int64Var(&p.pace, "pace", 0, "in mode dp-training: milliseconds; steps end at multiples, so that their time tells little (default: what holds a quarter of the longest step, as far as all steps take half of --wall)")
	fl.StringVar(&p.score, "score", "", "in mode dp-training: name of an output with the noised mean of the code's predict over all records, for example score.json")
	fl.StringVar(&p.scoreNoise, "score-noise", "20", "in mode dp-training: noise multiplier of the score")

	fl.StringVar(&p.queries, "queries", "", "in mode dp-release: file of queries, in place of --code")

	fl.Int64Var(&p.shards, "shards", 0, "in mode sample-aggregate: parts that the data is cut into, each a run of the code (default: the terms' least, or 100)")
	fl.StringVar(&p.aggregate, "aggregate", job.AggregateMean, "in mode sample-aggregate: mean, median or vote")
	fl.StringVar(&p.answer, "answer", "answer", "in mode sample-aggregate: file under /out that the code writes in each shard: numbers, one a line; of a vote one number from 0")
	fl.Int64Var(&p.numbers, "numbers", 1, "in mode sample-aggregate: numbers in an answer, or choices of a vote")
	fl.StringVar(&p.lower, "lower", "", "in mode sample-aggregate: least number of an answer")
	fl.StringVar(&p.upper, "upper", "", "in mode sample-aggregate: greatest number of an answer")
	fl.DurationVar(&p.slot, "slot", defaultSlot, "in mode sample-aggregate: time for one shard; --wall follows from it, and the run takes all of that")
}

// fits refuses flags of another mode, and knows which were given.
func (p *privateFlags) fits(cmd *cobra.Command, f *jobFlags) error {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	if p.queries != "" && !given("mode") {
		f.mode = dataset.ModeRelease
	}
	allowed := privateModes[f.mode]
	if job.Private(f.mode) {
		allowed = append(slices.Clone(allowed), privateCommon...)
	}
	names := slices.Clone(privateCommon)
	for _, mode := range privateNames() {
		names = append(names, privateModes[mode]...)
	}
	for _, name := range names {
		switch {
		case !given(name):
		case !slices.Contains(allowed, name):
			return Errorf(KindUsage, "name the mode with --mode: %s", strings.Join(privateNames(), ", ")).because("--%s is not for mode %s", name, f.mode)
		case p.file != "" && name != "privacy" && name != "queries" && name != "slot":
			return Errorf(KindUsage, "give one of both").because("--privacy has the whole declaration, --%s is a part of one", name)
		}
	}
	p.outputs, p.wall, p.given = given("output"), given("wall"), map[string]bool{}
	for _, name := range names {
		p.given[name] = given(name)
	}
	if p.outputs && f.mode == dataset.ModeTraining {
		for _, o := range f.outputs {
			if name, class, _ := strings.Cut(o, ":"); name != p.score && (!strings.HasPrefix(class, "model") || !strings.HasSuffix(name, ".safetensors")) {
				return Errorf(KindUsage, "leave --output out, or name a .safetensors file of class model; --score names the score").
					because("--output %q: in mode %s the mode says what leaves", o, f.mode)
			}
		}
	}
	if p.wall && given("slot") {
		return Errorf(KindUsage, "give one of both").because("--wall %s says how long all shards take, and --slot %s how long one of them does", f.wall, p.slot)
	}
	if f.mode == dataset.ModeRelease && p.queries == "" {
		return Errorf(KindUsage, "docs/privacy.md has an example to start from").because("mode %s needs --queries FILE", f.mode)
	}
	if job.Private(f.mode) && given("epochs") && f.epochs != 1 {
		return Errorf(KindUsage, "leave --epochs out; dp-training has --passes").because("in mode %s data is read once", f.mode)
	}
	return nil
}

func privateNames() []string {
	return []string{dataset.ModeTraining, dataset.ModeRelease, dataset.ModeAggregate}
}

// runtimeOf is the runtime class of a job in a mode.
func (p *privateFlags) runtimeOf(mode string) string {
	if p.runtime != "" {
		return p.runtime
	}
	return job.RuntimesOf(mode)[0]
}

// numberOf reads a decimal number exactly into units of 1/per. NaN, infinities and what has more places than units is refused.
func numberOf(flag, text string, per int64) (int64, error) {
	bad := func(why string) (int64, error) {
		return 0, Errorf(KindUsage, "write a number like 0.5 or 1e-5, with at most %d decimal places", len(strconv.FormatInt(per, 10))-1).because("--%s %q %s", flag, text, why)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || len(text) > 32 || strings.Trim(text, "0123456789.eE+-") != "" {
		return bad("is no number")
	}
	if f != 0 && (math.Abs(f) > 1e16 || math.Abs(f) < 1e-16) {
		return bad("is out of range")
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return bad("is no number")
	}
	if r.Mul(r, new(big.Rat).SetInt64(per)); !r.IsInt() {
		return bad("has too many decimal places")
	}
	if n := r.Num(); n.IsInt64() && max(n.Int64(), -n.Int64()) <= job.MaxAmount {
		return n.Int64(), nil
	}
	return bad("is out of range")
}

// positive reads a number that is more than 0.
func positive(flag, text string, per int64) (int64, error) {
	n, err := numberOf(flag, text, per)
	if err == nil && n <= 0 {
		return 0, Errorf(KindUsage, "write a number like 0.5 or 1e-5").because("--%s %s: want more than 0", flag, text)
	}
	return n, err
}

// declare fills in what the job declares in a differentially private mode, and what follows from it.
func (f *jobFlags) declare(d *draft) error {
	if !job.Private(f.mode) {
		return nil
	}
	x, err := f.private.subject(d, f.mode)
	if err != nil {
		return err
	}
	if err := x.once(); err != nil {
		return err
	}
	switch {
	case f.private.file != "":
		err = f.private.read(x)
	case f.mode == dataset.ModeTraining:
		err = f.private.training(x)
	case f.mode == dataset.ModeRelease:
		err = f.private.releases(x)
	default:
		err = f.private.aggregates(x)
	}
	if err != nil {
		return err
	}
	if !f.private.outputs {
		d.job.Limits.OutputBytes = x.room
		if d.job.Outputs, err = x.outputs(); err != nil {
			return err
		}
	}
	d.job.Epochs = 1
	if a := d.job.Privacy.Aggregate; a != nil {
		if err := f.takeTurns(d, a); err != nil {
			return err
		}
	}
	return x.check(f.private.epsilon)
}

// once refuses two datasets of the same people, as enclaves do.
func (x *subject) once() error {
	all := x.draft.datasets
	for i, s := range all {
		for _, t := range all[:i] {
			if dataset.SamePeople(t.m, s.m, x.unit) {
				return Errorf(KindUsage, "pack them as one dataset, or run one job each").because("%s and %s: %s", t.m.Name, s.m.Name, dataset.CountedTwice)
			}
		}
	}
	return nil
}

const (
	// defaultSlot is enough for a large module, which every shard's worker compiles, and a few thousand records.
	defaultSlot = 5 * time.Second
	maxSlot     = 24 * time.Hour
	// readPerSecond is how fast an enclave reads data at least, in bytes, by a slow host.
	readPerSecond = 16 << 20
)

// takeTurns gives every shard of a run its time, and fuel for so long.
func (f *jobFlags) takeTurns(d *draft, a *job.Aggregate) error {
	l, slot := &d.job.Limits, f.private.slot
	switch {
	case f.private.wall:
		if slot = a.Slot(l.WallSeconds); slot < job.LeastSlot {
			return Errorf(KindUsage, "use --slot %s instead of --wall, a --wall of at least %ds, or fewer --shards", defaultSlot, a.Wall(job.LeastSlot, 0)).
				because("--wall %s: %d shards have less than %s each, in which no code starts", f.wall, a.Shards, job.LeastSlot)
		}
	case slot < job.LeastSlot || slot > maxSlot:
		return Errorf(KindUsage, "leave it out for %s", defaultSlot).because("--slot %s: want %s to %s", slot, job.LeastSlot, maxSlot)
	default:
		var bytes int64
		for _, s := range d.datasets {
			bytes += s.m.RawBytes
		}
		reading := job.LeastReading + time.Duration(bytes/readPerSecond)*time.Second
		l.WallSeconds = a.Wall(slot, job.Even(reading+reading/4))
	}
	if f.fuel == 0 { // the limits are those of each shard
		l.Fuel = max(1, int64(fuelPerSecond*slot.Seconds()))
	}
	return nil
}

// read takes the whole declaration from a file.
func (p *privateFlags) read(x *subject) error {
	d := x.draft
	b, err := readBounded(p.file, envelope.MaxEnvelope)
	if err != nil {
		return err
	}
	d.job.Privacy = &job.Privacy{}
	if err := envelope.DecodeStrict(b, envelope.MaxEnvelope, d.job.Privacy); err != nil {
		return Errorf(KindUsage, "docs/spec/job.md has an example; every field is written").from(fmt.Errorf("%s: %w", p.file, err))
	}
	if x.mode != dataset.ModeRelease {
		return nil
	}
	declared := d.job.Privacy.Mechanisms
	if err := p.releases(x); err != nil {
		return err
	}
	if !slices.Equal(declared, d.job.Privacy.Mechanisms) {
		return Errorf(KindUsage, "leave --privacy out: it follows from the queries").because("%s declares other mechanisms than the queries of %s have", p.file, p.queries)
	}
	return nil
}

// readQueries reads a file of queries, and says what is wrong with it.
func readQueries(path string) (*release.Queries, []byte, error) {
	b, err := readBounded(path, release.MaxFile)
	if err != nil {
		return nil, nil, err
	}
	q, err := release.Parse(b)
	if err != nil {
		return nil, nil, Errorf(KindUsage, "docs/privacy.md has an example to start from").from(fmt.Errorf("%s: %w", path, err))
	}
	return q, b, nil
}

// queriesOf is the SHA-256 of a file of queries.
func queriesOf(path string) (envelope.Digest, error) {
	_, b, err := readQueries(path)
	return envelope.Sum(b), err
}

// sealQueries packs a file of queries as a code package.
func (o *owner) sealQueries(cmd *cobra.Command, path string, c codeFlags) (*config.Package, error) {
	files, closer, err := openQueries(path)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return o.sealFiles(cmd, path, files, c)
}

// openQueries shows a file of queries under the name that enclaves look for.
func openQueries(path string) (fs.FS, io.Closer, error) {
	if _, _, err := readQueries(path); err != nil {
		return nil, nil, err
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	return module{root.FS(), filepath.Base(path), release.FileName}, root, nil
}
