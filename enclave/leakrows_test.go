// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"math"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	maxFiles   = 1024 // in /out
	reasons    = 13   // that a run can end with, none included, or abandoned without a statement
	logBlocks  = sandbox.MaxLogs/512 + 1
	clockTicks = 1_000_000 // in a second: what a host is taken to tell apart
	// Beside what the job asks for a worker may have; usage.cpu and usage.memory refuse more.
	cpuSlack, memorySlack = 5_000, 1<<30 + 256<<20
)

func log2(n float64) float64 { return math.Log2(n) }

func channels() []channel {
	return slices.Concat(resultChannels(), endChannels(), figureChannels(), readingChannels(), hostChannels(), neighbourChannels())
}

// resultChannels are what a job may let out, and what it might hide in it.
func resultChannels() []channel {
	return []channel{
		{
			name: "declared outputs", to: "buyer", tries: "writes 4 KiB of the data as its model",
			stops: "declared names and sizes, within the owner's classes and limit; sealed to the buyer; **not inspected** in mode `raw-in-tee`",
			bound: "8 × declared bytes", most: func(f *figures) float64 { return 8 * declared(f) }, sends: 8 * 4096,
			arrive: func(l *lab) float64 {
				for _, w := range l.worlds {
					if l.run(w, "output", "").files["model.bin"] != string(w.records[:4096]) {
						return 0
					}
				}
				return 8 * 4096
			},
		},
		{
			name: "metrics", to: "buyer", tries: "writes the record as its metrics",
			stops: "an output as any other: declared size; not inspected", bound: "8 × declared bytes",
			most: func(f *figures) float64 { return 8 * float64(f.outputs[1].MaxBytes) }, sends: 256,
			arrive: func(l *lab) float64 {
				for _, w := range l.worlds {
					if l.run(w, "metrics", "").files["metrics.json"] != string(w.secret[:]) {
						return 0
					}
				}
				return 256
			},
		},
		{
			name: "sizes of outputs", to: "everybody", tries: "writes as many bytes as 12 bits of the record say",
			stops: "the declared size; the usage attestation states sizes, so the host sees them",
			bound: "Σ log2(declared bytes + 2) over the outputs", most: func(f *figures) (b float64) {
				for _, o := range f.outputs {
					b += log2(float64(o.MaxBytes) + 2)
				}
				return b
			}, sends: 12,
			arrive: func(l *lab) float64 {
				return l.number("size", 12, func(s *seen) int { return int(s.statement.Outputs[0].Bytes) })
			},
		},
		stopped("undeclared files", "buyer", "writes the record to a file that was not declared", "dropped in the worker, refused by the enclave", "undeclared", ""),
		stopped("names of files", "buyer", "names files, folders and a renamed output after the record", "names come from the job", "names", ""),
		stopped("order of writing", "buyer", "writes its outputs in an order that says one bit", "the archive is in the job's order", "order", ""),
		stopped("file times, modes and links", "buyer", "sets them to what the record says", "the archive's are fixed, links do not exist", "metadata", ""),
		{
			name: "number of undeclared files", to: "everybody", tries: "leaves as many files as 9 bits of the record say",
			stops: "counted in the usage attestation; `/out` holds 1,024 files", bound: "log2(1025)",
			most: func(*figures) float64 { return log2(maxFiles + 1) }, sends: 9,
			arrive: func(l *lab) float64 {
				return l.number("count", 9, func(s *seen) int { return int(s.statement.Undeclared) })
			},
		},
		stopped("the same, of a failed run", "everybody", "leaves them, then exits with 1", "not stated when the run failed", "count-failed", usage.ReasonTrap),
		stopped("outputs of a failed run", "buyer", "writes the record as its model, then exits with 1", "nothing leaves", "failed", usage.ReasonTrap),
		{
			name: "commitment to the result", to: "everybody", tries: "its model is the same in every run; the host guesses it and tries whether the commitment fits",
			stops: "a salt that the enclave draws and seals with the result", arrive: commitment,
		},
	}
}

// stopped is a channel for which every record must show the same.
func stopped(name, to, tries, stops, try, reason string) channel {
	return channel{name: name, to: to, tries: tries, stops: stops, arrive: func(l *lab) float64 { return l.same(try, reason) }}
}

func declared(f *figures) (n float64) {
	for _, o := range f.outputs {
		n += float64(o.MaxBytes)
	}
	return min(n, float64(f.OutputBytes))
}

// commitment guesses the result, which is known, without the salt.
func commitment(l *lab) float64 {
	for _, w := range l.worlds {
		s := l.run(w, "model", "")
		files := []usage.File{{Name: "model.bin", Digest: envelope.Sum([]byte("model"))}, {Name: logName, Digest: envelope.Sum(nil)}}
		for n := range files {
			if *s.statement.Commitment == usage.Commitment(envelope.Nonce{}, files[:n+1]) || *s.statement.Commitment == usage.Commitment(envelope.Nonce{1}, files[:n+1]) {
				return 1
			}
		}
	}
	return 0
}

// endChannels are how a run ends and what it says.
func endChannels() []channel {
	return []channel{
		stopped("exit code", "everybody", "exits with one of 128 codes", "only that it is not zero is told, as `trap`", "exit", usage.ReasonTrap),
		stopped("kind of trap", "everybody", "fails by unreachable, a division by zero, a store beyond its memory or endless recursion", "all are `trap`", "trap", usage.ReasonTrap),
		stopped("words of a failure", "everybody", "prints the record and traps", "reasons are a closed list; a failed run returns no log", "words", usage.ReasonTrap),
		{
			name: "reason of the end", to: "everybody", tries: "completes, exits, runs out of fuel or out of memory as 2 bits of the record say",
			stops: "a closed list of 12, or no statement at all", bound: "log2(13)", most: func(*figures) float64 { return log2(reasons) }, sends: 2,
			arrive: func(l *lab) float64 {
				list := []string{usage.ReasonNone, usage.ReasonTrap, usage.ReasonFuel, usage.ReasonMemory}
				return l.number("ending", 2, func(s *seen) int { return slices.Index(list, s.statement.Reason) })
			},
		},
		{
			name: "stdout and stderr, logs off", to: "buyer", tries: "prints the record 4,000 times",
			stops: "discarded, unless all owners' terms say `--logs sealed`", arrive: func(l *lab) float64 {
				return l.distinct("say", l.run(l.silent, "say", "").rest(true), l.run(l.silent, "model", "").rest(true))
			},
		},
		{
			name: "stdout and stderr, logs sealed", to: "buyer", tries: "prints the record 4,000 times",
			stops: "64 KiB, of a run that completed, sealed to the buyer", bound: "8 × 64 KiB",
			most: func(*figures) float64 { return 8 * sandbox.MaxLogs }, sends: 256,
			arrive: func(l *lab) float64 {
				for _, w := range l.worlds {
					if !strings.Contains(l.run(w, "say", "").files[logName], envelope.Nonce(w.secret).String()) {
						return 0
					}
				}
				return 8 * 32
			},
		},
		{
			name: "length of the sealed log", to: "host", tries: "prints as many blocks of 512 bytes as 6 bits of the record say",
			stops: "the archive rounds it to 512 bytes; the host sees the length of the result", bound: "log2(64 KiB / 512 + 1)",
			most: func(*figures) float64 { return log2(logBlocks) }, sends: 6,
			arrive: func(l *lab) float64 {
				return l.number("say-much", 6, l.scaled("say-much", 6, func(s *seen) float64 { return float64(s.payload) }))
			},
		},
	}
}

// figureChannels are the meter's own figures, and time.
func figureChannels() []channel {
	return []channel{
		{
			name: "fuel", to: "everybody", tries: "spends as much as 16 bits of the record say", stops: "the job's limit; the figure is exact in mode `raw-in-tee`",
			bound: "log2(fuel limit + 1)", most: func(f *figures) float64 { return log2(float64(f.Fuel) + 1) }, sends: 16,
			arrive: func(l *lab) float64 {
				return l.number("fuel", 16, l.scaled("fuel", 16, func(s *seen) float64 { return float64(s.statement.Execution.Fuel) }))
			},
		},
		{
			name: "fuel of a run that was killed", to: "everybody", tries: "spends as much, then runs until its time is over", stops: "stated as 0: the count dies with the worker",
			arrive: func(l *lab) float64 {
				b := l.same("killed", usage.ReasonWall)
				for _, w := range l.worlds {
					if x := l.run(w, "killed", "").statement.Execution; x != nil && x.Fuel != 0 {
						return 1
					}
				}
				return b
			},
		},
		{
			name: "time, as attested", to: "everybody", tries: "computes for seconds or not at all as one bit of the record says",
			stops: "the wall limit; wall time and the finish are stated in milliseconds", bound: "2 × log2(wall limit in ms + 5001)",
			most:  func(f *figures) float64 { return 2 * log2(1000*float64(f.WallSeconds)+5001) },
			sends: 1,
			arrive: func(l *lab) float64 {
				return l.coarse("spin", func(s *seen) float64 { return float64(s.statement.Measured.WallMillis) })
			},
		},
		{
			name: "CPU time", to: "everybody", tries: "the same", stops: "twice the wall limit, stated in milliseconds", bound: "log2(2 × wall limit in ms + 5001)",
			most: func(f *figures) float64 { return log2(2000*float64(f.WallSeconds) + cpuSlack + 1) }, sends: 1,
			arrive: func(l *lab) float64 {
				return l.coarse("spin", func(s *seen) float64 { return float64(s.statement.Measured.CPUMillis) })
			},
		},
		{
			name: "peak memory", to: "everybody", tries: "uses 1 to 8 times 16 MiB as 3 bits of the record say", stops: "the job's memory, stated in KiB",
			bound: "log2((memory + 2 × output + 1.25 GiB) / 1 KiB + 1)",
			most:  func(f *figures) float64 { return log2(float64(f.MemoryBytes+2*f.OutputBytes+memorySlack)/1024 + 1) }, sends: 3,
			arrive: func(l *lab) float64 {
				return l.patiently("memory", 3, func() float64 {
					return l.number("memory", 3, l.scaled("memory", 3, func(s *seen) float64 { return float64(s.statement.Measured.PeakMemory) }))
				})
			},
		},
		{
			name: "time, by the host's clock", to: "host", tries: "computes for seconds or not at all as one bit of the record says",
			stops: "nothing but noise; the bound is for a host that tells microseconds apart, before each batch that the code asks for and at the end",
			bound: "(batches × epochs + 2) × log2(wall limit in µs)",
			most:  func(f *figures) float64 { return (f.asked() + 1) * log2(clockTicks*float64(f.WallSeconds)) }, sends: 1,
			arrive: func(l *lab) float64 {
				return l.coarse("spin", func(s *seen) float64 { return s.took.Seconds() })
			},
		},
	}
}
