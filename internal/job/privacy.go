// SPDX-License-Identifier: Apache-2.0

package job

import "github.com/glovebox-dev/glovebox/transforms/dp"

// Privacy is what a job in a differentially private mode has the enclave do, declared before anything is released: brokers
// reserve what it comes to, and the enclave does that and nothing else.
type Privacy struct {
	Unit          string         `json:"unit"`          // as the terms have it
	Contributions int64          `json:"contributions"` // records of one contributor that count, at most, in each step
	Adjacency     string         `json:"adjacency"`     // as the terms have it
	Mechanisms    []dp.Mechanism `json:"mechanisms"`
	Accountant    string         `json:"accountant"` // dp.RDP or dp.PLD
	Delta         int64          `json:"delta"`      // 10⁻¹²
	Epsilon       int64          `json:"epsilon"`    // millionths: what the mechanisms come to at Delta, rounded up
	Training      *Training      `json:"training"`   // null but in mode dp-training
	Aggregate     *Aggregate     `json:"aggregate"`  // null but in mode sample-aggregate
}

// Training is how a model is trained. Mechanisms[0] has the steps, their sampling and noise; if there is a second one, it
// releases the score: the noised mean of the guest's predict over all records. All numbers that are no counts are
// millionths.
type Training struct {
	Lot          int64  `json:"lot"`          // what a noised sum is divided by: the expected number of units in a step. It is not counted, for the count is private
	Clip         int64  `json:"clip"`         // L2 norm that a unit's gradient is bounded to
	Optimiser    string `json:"optimiser"`    // OptimiserSGD, OptimiserMomentum or OptimiserAdam
	LearningRate int64  `json:"learningRate"` //
	Decay        string `json:"decay"`        // of the learning rate over the steps: DecayNone, DecayLinear or DecayCosine
	Momentum     int64  `json:"momentum"`     // of momentum; of Adam β1
	Beta2        int64  `json:"beta2"`        // of Adam
	WeightDecay  int64  `json:"weightDecay"`
	Average      int64  `json:"average"`     // of the exponential moving average of parameters that is the result; 0: the last ones are
	RecordFuel   int64  `json:"recordFuel"`  // for one record
	RecordBytes  int64  `json:"recordBytes"` // of a record, at most: as the data has it, and as the guest prepares it. Longer ones count as zeros
	Params       int64  `json:"params"`      // parameters of the model, at most
	Pace         int64  `json:"pace"`        // milliseconds: steps end at multiples of it, so that their time tells little
	Output       string `json:"output"`      // declared output of class model: safetensors
	Score        string `json:"score"`       // declared output of class metrics: JSON with the score; "" for none
}

// What Training says in words.
const (
	OptimiserSGD      = "sgd"
	OptimiserMomentum = "momentum"
	OptimiserAdam     = "adam"
	DecayNone         = "none"
	DecayLinear       = "linear"
	DecayCosine       = "cosine"
)

// Aggregate is how the answers of code on disjoint shards become one.
type Aggregate struct {
	Shards  int64  `json:"shards"`
	Kind    string `json:"kind"`    // AggregateMean, AggregateMedian or AggregateVote
	Numbers int64  `json:"numbers"` // in an answer: its dimension; of votes the number of choices
	Lower   int64  `json:"lower"`   // millionths: what answers are clamped to; 0 of votes
	Upper   int64  `json:"upper"`
	Answer  string `json:"answer"` // file that the code writes in each shard: numbers as text, one a line; of votes one number from 0
	Output  string `json:"output"` // declared output: JSON with the aggregate
}

// Kinds of aggregates.
const (
	AggregateMean   = "mean"   // of clamped answers
	AggregateMedian = "median" // with noise by smooth sensitivity
	AggregateVote   = "vote"   // the noisy histogram of what the shards' code decided
)
