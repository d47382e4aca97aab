// SPDX-License-Identifier: Apache-2.0

// Package localrun is what `glovebox buyer run-local` and the program it starts, glovebox-run, say to each other: one
// [Request] on standard input, one [Result] on standard output, or two if it is Measuring: the second adds what a second run
// found. The code's own words go to standard error meanwhile. Asked to [ModeAdmit], glovebox-run reads a module instead, runs
// nothing, and answers with an [Admission].
//
// Trust domain: the buyer, on both ends. The package's one job: keep the engine out of the binary that people run.
package localrun

import (
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// MaxRequest bounds a request: manifests and parameters.
const MaxRequest = 64 << 20

// ModeAdmit is the argument that makes glovebox-run read a module from standard input and say what admission makes of it.
const ModeAdmit = "admit"

// ModeAbout is the argument that makes glovebox-run say what it runs modules with.
const ModeAbout = "about"

// About is what enclaves built from the same source run code with.
type About struct {
	Engine   envelope.Digest `json:"engine"`   // as evidence carries it
	Costs    string          `json:"costs"`    // the table of costs that fuel is counted by
	Runtimes []string        `json:"runtimes"` // runtime classes that a job may ask for
}

// Admission is what an enclave's worker makes of a module before it compiles it.
type Admission struct {
	Module    envelope.Digest  `json:"module"`    // SHA-256 of what came in
	Rewritten *envelope.Digest `json:"rewritten"` // SHA-256 of what would run; null: not admitted
	Costs     string           `json:"costs"`     // the table of costs that the counting goes by
	Refusal   string           `json:"refusal"`   // why it is not admitted; empty if it is
}

// Request is one run. Every path is absolute.
type Request struct {
	Module  string            `json:"module"` // file
	Data    []Data            `json:"data"`
	Outputs []job.Output      `json:"outputs"`
	Params  map[string]string `json:"params"`
	Limits  job.Limits        `json:"limits"`
	Epochs  int               `json:"epochs"` // deliveries of one batch, at most
	Seed    envelope.Nonce    `json:"seed"`
	Out     string            `json:"out"` // directory for outputs; empty: they are counted and dropped
	// Of a module of train/1, for each record: units of fuel, and bytes as the guest gets it. 0: what this package says.
	RecordFuel  int64 `json:"recordFuel"`
	RecordBytes int64 `json:"recordBytes"`
}

// Data is one dataset, sealed as a creator would but under a key that was made for this run and dies with it.
type Data struct {
	Store    string `json:"store"` // directory of blobs
	Manifest []byte `json:"manifest"`
	Key      []byte `json:"key"`
}

// Result is what became of a run. All but Error are zero if the run could not be had.
type Result struct {
	Error     string           `json:"error,omitempty"` // why there was no run: the machine, not the code
	Reason    string           `json:"reason"`          // empty: completed; else as in a usage attestation
	Detail    string           `json:"detail"`
	Module    *envelope.Digest `json:"module"`
	Rewritten *envelope.Digest `json:"rewritten"` // null: not admitted
	Costs     string           `json:"costs"`
	Fuel      int64            `json:"fuel"` // used
	// Need is what a second run used that was given all the fuel there is and MeasureSeconds; only after "fuel-limit". 0: it
	// did not complete.
	Need       int64       `json:"need,omitempty"`
	Measuring  bool        `json:"measuring,omitempty"` // that second run is going on, and another Result follows
	Lost       string      `json:"lost,omitempty"`      // why the outputs could not be written to Out
	PeakBytes  int64       `json:"peakBytes"`           // resident, of the worker process
	CPUMillis  int64       `json:"cpuMillis"`
	WallMillis int64       `json:"wallMillis"`
	Isolation  string      `json:"isolation"`
	Delivered  []Delivered `json:"delivered"`
	Outputs    []Output    `json:"outputs"`
	Undeclared int         `json:"undeclared"`         // files in /out that would be dropped
	Training   *Training   `json:"training,omitempty"` // of a module of train/1, in place of outputs
}

// Delivered is how much of a dataset the code was given.
type Delivered struct {
	Name    string `json:"name"`
	Records int64  `json:"records"`
	Epochs  int64  `json:"epochs"`
}

// Output is one file that the code left in /out and that was declared.
type Output struct {
	Name  string `json:"name"`
	Class string `json:"class"`
	Bytes int64  `json:"bytes"`
}

// MeasureSeconds is how long the second run of code that ran out of fuel may take.
const MeasureSeconds = 30

// ReasonEpochs is the reason of a run that read its data more often than its epochs allow. In an enclave it is
// "not-permitted".
const ReasonEpochs = "not-permitted"
