// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/policies/input"
	"github.com/glovebox-dev/glovebox/policies/oracle"
)

// choice is where a generated request gets its choices from: a random source, or a fuzzer's bytes.
type choice func(n int) int

func newSource(seed uint64) choice { return rand.New(rand.NewPCG(seed, seed)).IntN }

func pick[T any](c choice, of ...T) T { return of[c(len(of))] }

// near picks a number at, just below or just above a boundary, or far from it. Numbers below zero are left to the schema.
func near(c choice, n int64) int64 {
	return pick(c, n, max(n-1, 0), min(n+1, job.MaxAmount), 0, 1, job.MaxAmount)
}

// seconds is near a time in milliseconds.
func seconds(c choice, now int64) int64 { return near(c, now/1000) }

func some(c choice, of ...string) []string {
	out := []string{}
	for _, s := range of {
		if c(2) == 0 {
			out = append(out, s)
		}
	}
	return out
}

func ranges(c choice, leaves int64) grant.Ranges {
	out, at := grant.Ranges{}, int64(0)
	for at < leaves && len(out) < 4 {
		first := at + int64(c(4))
		n := 1 + int64(c(6))
		if first+n > leaves {
			break
		}
		out, at = append(out, grant.Range{First: first, Count: n}), first+n+1
	}
	return out
}

// mutations change a request; most make it one that some rule denies, or that the schema refuses.
func mutations() []func(c choice, r *Request) {
	return []func(c choice, r *Request){
		func(c choice, r *Request) {
			r.Package.Kind = pick(c, dataset.KindDataset, dataset.KindCode)
			r.Buyer = pick(c, "", r.Job.Buyer, "did:key:zOther")
			r.Job.Code = pick(c, r.Package.Manifest.String(), "sha256:c0", "sha256:c1")
		},
		func(c choice, r *Request) { r.Package.Test = c(2) == 0 },
		func(c choice, r *Request) {
			r.Package.Version = pick[int64](c, 1, 2, 3)
			r.Package.Latest = pick[int64](c, 2, 3)
		},
		func(c choice, r *Request) {
			r.Terms.Modes = some(c, append([]string{"aggregate-only", "no-such"}, dataset.Modes()...)...)
			r.Job.Mode = pick(c, append([]string{"no-such", "aggregate-only", "synthetic-only"}, dataset.Modes()...)...)
		},
		inMode, inMode, inPrivateMode, inPrivateMode,
		func(c choice, r *Request) { declare(c, &r.Job.Privacy) },
		func(c choice, r *Request) {
			r.Terms.Private.Epsilon, r.Terms.Private.Delta = near(c, r.Job.Privacy.Epsilon), near(c, r.Job.Privacy.Delta)
		},
		func(c choice, r *Request) {
			r.Terms.Private.Contributions, r.Terms.Private.Shards = near(c, r.Job.Privacy.Contributions), near(c, r.Job.Privacy.Shards)
		},
		func(c choice, r *Request) {
			r.Granted.Records = pick[int64](c, 0, 1, 999_999_999, 1_000_000_000, 1_000_000_001, job.MaxAmount)
			r.Job.Privacy.Delta = pick[int64](c, 0, 1000, 999, 1001, job.MaxAmount)
		},
		func(c choice, r *Request) {
			r.Granted.Units = pick[int64](c, 0, 1, 2, 999_999_999, 1_000_000_000, 1_000_000_001, job.MaxAmount)
			r.Granted.Together = min(r.Granted.Units, pick[int64](c, 0, 1, 2, job.MaxAmount))
			r.Terms.Privacy.Delta = pick[int64](c, 0, 1000, 1001, 500_000_000_000, 999_999_999_999, 1_000_000_000_000, job.MaxAmount)
		},
		func(c choice, r *Request) {
			r.Job.Privacy.Computed = max(0, r.Job.Privacy.Epsilon+int64(c(6))-1)
		},
		func(c choice, r *Request) {
			r.Terms.Private.Runtimes = some(c, "wasm-train/1", "wasm-train-sum/1", "dp-query/1", "wasm-fuel/1")
			r.Job.Runtime = pick(c, "wasm-train/1", "wasm-train-sum/1", "dp-query/1", "wasm-fuel/1")
			r.Evidence.Runtime = pick(c, r.Job.Runtime, r.Job.Runtime, "wasm-fuel/1")
		},
		func(c choice, r *Request) {
			r.Terms.Privacy.Unit, r.Terms.Privacy.Adjacency = pick(c, dataset.UnitRecord, dataset.UnitContributor), pick(c, dataset.AddOrRemove, dataset.ReplaceOne)
		},
		func(c choice, r *Request) { r.Terms.Steps = stepIDs(c(3)) },
		func(c choice, r *Request) { r.Terms.Spends = near(c, r.Account.Epsilon) },
		func(c choice, r *Request) {
			r.Terms.Purposes = some(c, "art", "research", "weapons")
			r.Job.Purpose = pick(c, "art", "research", "weapons")
		},
		func(c choice, r *Request) {
			r.Terms.Outputs = some(c, "metrics", "model", "table")
			r.Job.Outputs = some(c, "metrics", "model", "table")
		},
		func(c choice, r *Request) { r.Job.OutputBytes = near(c, r.Terms.MaxOutputBytes) },
		func(c choice, r *Request) { r.Job.Epochs = int(min(near(c, int64(r.Terms.MaxEpochs)), job.MaxEpochs)) },
		func(c choice, r *Request) { r.Terms.MaxEpochs = c(12) },
		func(c choice, r *Request) { r.Account.Uses = near(c, r.Terms.MaxUses) },
		func(c choice, r *Request) { r.Account.BuyerUses = near(c, r.Terms.Buyers.MaxUses) },
		func(c choice, r *Request) {
			r.Account.Cost = near(c, r.Job.SpendCap)
			r.Account.Reserved = near(c, max(0, r.Job.SpendCap-r.Account.Cost))
		},
		func(c choice, r *Request) { r.Terms.NotAfter = seconds(c, r.Now) },
		func(c choice, r *Request) { r.Job.NotAfter = seconds(c, r.Now) },
		func(c choice, r *Request) { r.Entitlement.NotAfter = seconds(c, r.Now) },
		func(c choice, r *Request) { r.Terms.LeaseSeconds = near(c, 3600) },
		func(c choice, r *Request) { r.Terms.Logs = pick(c, "off", "sealed", "open") },
		func(c choice, r *Request) {
			r.Evidence.Assurance = pick(c, attestation.AssuranceSimulated, attestation.AssuranceSoftwareTPM, attestation.AssuranceTPM, attestation.AssuranceTEE, "magic", "")
			r.Terms.MinAssurance = pick(c, "simulated", "software-tpm", "tpm", "tee", "magic")
		},
		func(c choice, r *Request) { r.Evidence.Runtime = pick(c, "wasm-fuel/1", "native-jail/1") },
		func(c choice, r *Request) {
			r.Job.Runtime = pick(c, "wasm-fuel/1", "native-jail/1")
			r.Evidence.Runtime = r.Job.Runtime
		},
		func(c choice, r *Request) {
			r.Job.Datasets = pick(c, []string{r.Package.Manifest.String()}, []string{"sha256:d1", r.Package.Manifest.String()}, []string{"sha256:d1"}, []string{})
		},
		func(c choice, r *Request) {
			r.Terms.Code = input.Code{Any: c(3) == 0, Manifests: some(c, "sha256:c0", "sha256:c2"), Owners: some(c, "did:key:zCoder")}
			r.Job.CodeOwner = pick(c, "did:key:zCoder", "did:key:zOther", "")
		},
		func(c choice, r *Request) {
			r.Terms.Buyers.Any, r.Terms.Buyers.Keys = c(3) == 0, some(c, "did:key:zBuyer", "did:key:zOther")
		},
		func(c choice, r *Request) {
			r.Terms.Buyers.Require = []dataset.Attribute{}
			for _, name := range some(c, "region", "sector") {
				r.Terms.Buyers.Require = append(r.Terms.Buyers.Require, dataset.Attribute{Name: name, AnyOf: []string{"a", "b"}})
			}
			r.Entitlement.Attributes = map[string][]string{}
			for _, name := range some(c, "region", "sector", "size") {
				r.Entitlement.Attributes[name] = some(c, "a", "c")
			}
		},
		func(c choice, r *Request) {
			r.Terms.Access = pick(c, dataset.AccessOpen, dataset.AccessReceipt, dataset.AccessPermit)
			r.Entitlement.Kind = pick(c, input.EntitlementNone, input.EntitlementReceipt, input.EntitlementPermit)
		},
		func(c choice, r *Request) { r.Terms.Access = ""; r.Entitlement = input.None() },
		func(c choice, r *Request) { r.Entitlement.Left = near(c, 1) },
		func(c choice, r *Request) { r.Entitlement.Operations = some(c, "evaluate", "train") },
		func(c choice, r *Request) { r.Entitlement.Code = pick(c, "*", "", "sha256:c0", "sha256:c1") },
		func(c choice, r *Request) { r.Entitlement.Buyer = pick(c, "*", "", "did:key:zBuyer", "did:key:zOther") },
		func(c choice, r *Request) { r.Entitlement.Epochs = near(c, int64(r.Job.Epochs)) },
		func(c choice, r *Request) {
			r.Entitlement.Paid = near(c, r.Terms.MinPaid)
			r.Entitlement.Currency = pick(c, "EUR", "USD", "")
		},
		func(c choice, r *Request) { r.Entitlement.MinPrice = near(c, r.Account.Cost) },
		func(c choice, r *Request) { r.Entitlement.Leaves = ranges(c, r.Package.Leaves) },
		func(c choice, r *Request) {
			r.Granted.Leaves = ranges(c, r.Package.Leaves)
			r.Granted.Withheld = r.Package.Leaves - r.Granted.Leaves.Count()
		},
		func(c choice, r *Request) {
			r.Terms.Consent = c(2) == 0
			r.Granted.Purpose = pick(c, "", "research", "art")
		},
		func(c choice, r *Request) { r.Terms.Licence.Commercial = c(2) == 0; r.Job.Commercial = c(2) == 0 },
		func(c choice, r *Request) { r.Terms.Licence.Derivatives = c(2) == 0; r.Job.Derive = c(2) == 0 },
		func(c choice, r *Request) { r.Terms.Licence.Prohibited = some(c, "art", "research", "weapons") },
		func(c choice, r *Request) {
			r.Terms.Licence.Territories = pick(c, []string{"*"}, []string{"DE"}, []string{"DE", "FR"}, []string{"XX"}, []string{})
			r.Job.Territory = pick(c, "DE", "FR", "US", "XX", "EU", "*", "de")
		},
		func(c choice, r *Request) { r.Terms.Licence.TrainingOnly = c(2) == 0 },
		func(c choice, r *Request) {
			r.Account.Epsilon = pick[int64](c, 0, 1, 5)
			r.Terms.Spends = pick(c, r.Account.Epsilon, r.Account.Epsilon, 1)
			r.Account.EpsilonAfter = near(c, r.Terms.Privacy.Epsilon)
			r.Account.BuyerEpsilonAfter = near(c, r.Terms.Privacy.BuyerEpsilon)
		},
		func(c choice, r *Request) {
			r.Account.JobEpsilonAfter = pick(c, near(c, r.Terms.Private.Epsilon), near(c, r.Job.Privacy.Epsilon))
		},
		func(c choice, r *Request) { r.Account.Conditional = c(2) == 0 },
		func(c choice, r *Request) {
			*pick(c, &r.Revoked.Dataset, &r.Revoked.Manifest, &r.Revoked.Job, &r.Revoked.Buyer) = true
		},
		func(c choice, r *Request) {
			*pick(c, &r.Revoked.Code, &r.Revoked.Grant, &r.Revoked.Permit, &r.Cancelled) = true
		},
		func(c choice, r *Request) { r.Now = pick[int64](c, r.Now+1, r.Now-1, r.Now+86_400_000, 1) },
	}
}

// inMode asks for a mode as terms allow it that were packed for it.
func inMode(c choice, r *Request) {
	r.Job.Mode = pick(c, dataset.Modes()...)
	r.Terms.Modes, r.Terms.Steps = []string{r.Job.Mode}, []string{}
	if r.Job.Mode != dataset.ModeRaw && r.Package.Kind == dataset.KindDataset {
		r.Terms.Steps = stepIDs(1 + c(2))
	}
	if dataset.Noisy(r.Job.Mode) && r.Package.Kind == dataset.KindDataset {
		r.Account.Epsilon, r.Terms.Spends = 5, 5
		r.Account.EpsilonAfter, r.Account.BuyerEpsilonAfter = near(c, r.Terms.Privacy.Epsilon), near(c, r.Terms.Privacy.BuyerEpsilon)
	}
}

// inPrivateMode asks for a mode in which the enclave adds the noise, as terms allow it that were packed for it.
func inPrivateMode(c choice, r *Request) {
	p := private(pick(c, dataset.ModeTraining, dataset.ModeRelease, dataset.ModeAggregate))
	r.Job.Mode, r.Job.Epochs, r.Job.Runtime, r.Job.Privacy = p.Job.Mode, 1, p.Job.Runtime, p.Job.Privacy
	r.Evidence.Runtime, r.Terms.Modes, r.Granted.Records, r.Granted.Units = p.Evidence.Runtime, p.Terms.Modes, p.Granted.Records, p.Granted.Units
	r.Granted.Together = p.Granted.Together
	if r.Package.Kind == dataset.KindDataset {
		r.Terms.Private, r.Account = p.Terms.Private, p.Account
		r.Terms.Steps = stepIDs(c(2))
	}
}

// declare changes what a job declares.
func declare(c choice, p *input.Privacy) {
	switch c(8) {
	case 0:
		p.Declared = !p.Declared
	case 1:
		*p = private(dataset.ModeTraining).Job.Privacy
	case 2:
		*p = input.Privacy{}
	case 3:
		p.Unit = pick(c, "", dataset.UnitRecord, dataset.UnitContributor)
	case 4:
		p.Adjacency = pick(c, "", dataset.AddOrRemove, dataset.ReplaceOne)
	case 5:
		p.Bounded = c(2) == 0
	case 6:
		p.Contributions, p.Shards = near(c, p.Contributions), near(c, p.Shards)
	case 7:
		p.Epsilon = near(c, p.Epsilon)
	}
}

func stepIDs(n int) []string {
	out := []string{}
	for i := range n {
		out = append(out, envelope.Sum([]byte{byte(i)}).String())
	}
	return out
}

// generate makes a request that is allowed, and changes it a little.
func generate(c choice) Request {
	all := allowed()
	names := []string{"code", "open", "permit", "receipt", "training", "shards", "code that trains"}
	r := all[names[c(len(names))]]
	ms := mutations()
	for range c(4) {
		ms[c(len(ms))](c, &r)
	}
	return r
}

// same compares rules and oracle. It returns what both say: the rules of a denial, "allowed", or "refused".
func same(t *testing.T, e *Engine, r Request) string {
	t.Helper()
	d, err := e.Decide(t.Context(), r)
	allow, reasons, o := oracle.Decide(r)
	if errors.Is(err, ErrRequest) {
		if allow || len(reasons) != 1 || reasons[0].Rule != "input" {
			t.Fatalf("rules refuse the request, the oracle says %v, %v\n%+v", allow, reasons, r)
		}
		return "refused"
	}
	if err != nil && allow && errors.Is(o.Validate(), grant.ErrInvalid) {
		return "unenforceable" // both would allow what the enclave does not know how to enforce
	}
	if err != nil {
		t.Fatalf("rules: %v; oracle: %v, %v\n%+v", err, allow, reasons, r)
	}
	if got, want := ruleNames(d.Reasons), ruleNames(reasons); d.Allow != allow || got != want {
		t.Fatalf("rules say %v %s\noracle says %v %s\n%+v", d.Allow, got, allow, want, r)
	}
	if diff := cmp.Diff(d.Obligations, o); diff != "" {
		t.Fatalf("obligations (rules -, oracle +):\n%s\n%+v", diff, r)
	}
	if allow {
		return "allowed"
	}
	return ruleNames(reasons)
}

func ruleNames(reasons []grant.Reason) string {
	var names []string
	for _, r := range reasons {
		names = append(names, r.Rule)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// TestRulesAndOracleAgree decides thousands of generated requests twice.
func TestRulesAndOracleAgree(t *testing.T) {
	e := load(t)
	n := 4000
	if testing.Short() {
		n = 1500
	}
	src := rand.New(rand.NewPCG(1, 2))
	seen, outcomes := map[string]bool{}, map[string]int{}
	for range n {
		out := same(t, e, generate(src.IntN))
		switch out {
		case "allowed", "refused", "unenforceable":
			outcomes[out]++
		default:
			outcomes["denied"]++
			for _, rule := range strings.Fields(out) {
				seen[rule] = true
			}
		}
	}
	t.Logf("%v, %d rules", outcomes, len(seen))
	if outcomes["allowed"] < n/10 || outcomes["denied"] < n/4 {
		t.Errorf("the generator is lopsided: %v", outcomes)
	}
	for _, rule := range allRules() {
		if !seen[rule] {
			t.Errorf("no generated request fails rule %q", rule)
		}
	}
}

// allRules are the names that docs/spec/policy.md lists.
func allRules() []string {
	return []string{
		"account-delta", "assurance", "attributes", "buyer", "buyer-epsilon", "buyer-uses", "cancelled", "code", "commercial", "consent", "cost",
		"derivatives", "entitlement", "entitlement-buyer", "entitlement-code", "entitlement-epochs", "entitlement-expired",
		"entitlement-uses", "epochs", "epsilon", "job-expired", "leaves", "mode", "operation", "output-bytes", "outputs", "package",
		"paid", "price", "privacy-attempts", "privacy-bound", "privacy-contributions", "privacy-declared", "privacy-delta", "privacy-epsilon", "privacy-shards",
		"privacy-unit", "privacy-units", "prohibited", "purpose", "revoked", "runtime", "steps", "terms-expired", "territory", "training-only", "uses", "version",
	}
}

// TestMutationsOneByOne: each mutation alone, with each of its choices at least once.
func TestMutationsOneByOne(t *testing.T) {
	e := load(t)
	for name, r := range allowed() {
		if out := same(t, e, r); out != "allowed" {
			t.Fatalf("%s: %s", name, out)
		}
	}
	src := rand.New(rand.NewPCG(3, 4))
	for _, m := range mutations() {
		for _, r := range allowed() {
			for range 8 {
				x := r
				m(src.IntN, &x)
				same(t, e, x)
			}
		}
	}
}

// FuzzDecide lets the fuzzer choose the mutations.
func FuzzDecide(f *testing.F) {
	src := rand.New(rand.NewPCG(5, 6))
	seeds := 0
	for range 64 {
		b := make([]byte, 24)
		for i := range b {
			b[i] = byte(src.IntN(256))
		}
		f.Add(b)
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	e, err := Load(f.Context(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		same(t, e, generate(func(n int) int {
			if len(b) == 0 {
				return 0
			}
			k := int(b[0]) % n
			b = b[1:]
			return k
		}))
	})
}

// TestOracleExplainsItself: each reason has words, and a refused request has obligations of none.
func TestOracleExplainsItself(t *testing.T) {
	src := rand.New(rand.NewPCG(7, 8))
	for range 500 {
		allow, reasons, o := oracle.Decide(generate(src.IntN))
		if allow != (len(reasons) == 0) || !allow && (o.Mode != "" || o.Leaves != nil) {
			t.Fatal(allow, reasons, o)
		}
		for _, r := range reasons {
			if r.Rule == "" || r.Message == "" || r.Satisfy == "" {
				t.Fatalf("reason without words: %+v", r)
			}
		}
	}
	if allow, reasons, _ := oracle.Decide(Request{}); allow || reasons[0].Rule != "input" {
		t.Error("the zero request", allow, reasons)
	}
}
