// SPDX-License-Identifier: Apache-2.0

package localrun

// TrainConfig is the file beside a module of train/1 that it is opened with; without it, with an empty object.
const TrainConfig = "train.json"

// What a trial gives a guest, where the request does not say.
const (
	DefaultRecordBytes = 64 << 10      // as submit
	DefaultRecordFuel  = 1_000_000_000 // ten times the most that submit takes by itself
)

// Training is what a guest of train/1 made of the data, one record at a time, at its initial parameters. No real job lets any of
// it out.
type Training struct {
	Config  string `json:"config"`  // TrainConfig, or empty: there was none
	Params  int64  `json:"params"`  // parameters; 0: the guest did not start
	Records int64  `json:"records"` // tried
	// Gradients is how many records gave a gradient that counts; Without, how many count as zeros.
	Gradients int64     `json:"gradients"`
	Without   int64     `json:"without"`
	Zeros     int64     `json:"zeros"`    // gradients of nothing but zeros
	Failures  []Failure `json:"failures"` // the first kinds of those without
	// RecordBytes is what the guest had room for; Raw and Prepared are bytes of a record, the latter null if it does not prepare.
	RecordBytes int64    `json:"recordBytes"`
	Raw         *Spread  `json:"raw"`
	Prepared    *Spread  `json:"prepared"`
	Fuel        *Spread  `json:"fuel"`  // units, of a record's dearest call that ended well
	Norms       *Norms   `json:"norms"` // null: no record gave a gradient
	Predicts    bool     `json:"predicts"`
	Mean        *float64 `json:"mean"` // of predictions as an enclave counts them, over all records; null: it does not predict
	Suggest     *Suggest `json:"suggest"`
}

// MaxFailures bounds the kinds of failures that are told apart.
const MaxFailures = 5

// Failure is a way in which records gave no gradient.
type Failure struct {
	Call   string `json:"call"` // the guest's function; empty: none was called
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	Data   string `json:"data"`   // dataset of the first one
	Record int64  `json:"record"` // and which of its records, from 1
	Count  int64  `json:"count"`
}

// Spread is how figures of records are distributed.
type Spread struct {
	Median int64 `json:"median"`
	Most   int64 `json:"most"`
}

// Norms are L2 norms of gradients, as they are before clipping.
type Norms struct {
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	Most   float64 `json:"most"`
}

// Suggest is flags for a job, as far as this data tells. 0 or empty: it does not.
type Suggest struct {
	Params      int64  `json:"params"`
	RecordFuel  int64  `json:"recordFuel"`
	RecordBytes int64  `json:"recordBytes"`
	Clip        string `json:"clip"`
}
