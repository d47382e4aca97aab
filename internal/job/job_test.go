// SPDX-License-Identifier: Apache-2.0

package job_test

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/job/statementtest"
)

var update = flag.Bool("update", false, "write the vectors anew")

func good(k *statementtest.Key) *job.Job {
	return &job.Job{
		ID: envelope.NewNonce(), Buyer: k.Public(), Code: envelope.Sum([]byte("code")),
		Datasets: []envelope.Digest{envelope.Sum([]byte("a")), envelope.Sum([]byte("b"))}, Transforms: []envelope.Digest{},
		Use: job.Use{Territory: "DE"}, Receipts: []string{}, Purpose: "research", Mode: "raw-in-tee", Runtime: job.RuntimeWASM, Epochs: 8,
		Limits:  job.Limits{MemoryBytes: 64 << 20, WallSeconds: 60, OutputBytes: 1 << 20, Fuel: 1_200_000_000},
		Outputs: []job.Output{{Name: "model.bin", Class: "model", MaxBytes: 1 << 20}, {Name: "log.json", Class: "metrics", MaxBytes: 1}},
		Params:  map[string]string{"EPOCHS": "8"}, Seed: envelope.NewNonce(), SpendCap: 5, Recipient: "age1example", NotAfter: 1_800_000_000,
	}
}

func sign(t testing.TB, j *job.Job, k *statementtest.Key) []byte {
	t.Helper()
	signed, _, err := job.Sign(j, k.Signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func verifyJob(b []byte) error { _, err := job.Verify(b); return err }

func TestSignVerify(t *testing.T) {
	k := statementtest.NewKey(t, envelope.RoleBuyer)
	j := good(k)
	signed, id, err := job.Sign(j, k.Signer)
	if err != nil {
		t.Fatal(err)
	}
	v, err := job.Verify(signed)
	if err != nil {
		t.Fatal(err)
	}
	if v.ID != id || !cmp.Equal(v.Predicate, *j, cmp.Comparer(func(a, b envelope.PublicKey) bool { return a.Equal(b) })) {
		t.Errorf("got %+v, want %+v", v.Predicate, *j)
	}
	if !slices.Equal(j.Manifests(), []envelope.Digest{j.Code, j.Datasets[0], j.Datasets[1]}) {
		t.Errorf("manifests %v", j.Manifests())
	}
	if _, _, err := job.Sign(j, statementtest.NewKey(t, envelope.RoleBuyer).Signer); !errors.Is(err, job.ErrInvalid) {
		t.Errorf("signed for another buyer: %v", err)
	}
	if _, _, err := job.Sign(new(job.Job), k.Signer); !errors.Is(err, job.ErrInvalid) {
		t.Errorf("signed the zero job: %v", err)
	}
}

func TestEveryFieldOfAJob(t *testing.T) {
	k := statementtest.NewKey(t, envelope.RoleBuyer)
	statementtest.EveryField(t, k, sign(t, good(k), k), []string{
		"predicate.spendCap",      // nothing may be spent
		"predicate.params",        // no parameters
		"predicate.params.EPOCHS", // an empty one
	}, verifyJob)
}

func TestEveryByteOfAJob(t *testing.T) {
	k := statementtest.NewKey(t, envelope.RoleBuyer)
	statementtest.EveryByte(t, sign(t, good(k), k), verifyJob)
}

func TestLimits(t *testing.T) {
	k := statementtest.NewKey(t, envelope.RoleBuyer)
	many := func(n int) (out []job.Output) {
		for range n {
			out = append(out, job.Output{Name: "x" + strings.Repeat("y", len(out)), Class: "model", MaxBytes: 1})
		}
		return out
	}
	for name, change := range map[string]func(*job.Job){
		"no datasets":           func(j *job.Job) { j.Datasets = nil },
		"too many datasets":     func(j *job.Job) { j.Datasets = make([]envelope.Digest, job.MaxDatasets+1) },
		"dataset twice":         func(j *job.Job) { j.Datasets[1] = j.Datasets[0] },
		"code as dataset":       func(j *job.Job) { j.Datasets[1] = j.Code },
		"a transform":           func(j *job.Job) { j.Transforms = []envelope.Digest{j.Code} },
		"purpose with a space":  func(j *job.Job) { j.Purpose = "my research" },
		"mode in capitals":      func(j *job.Job) { j.Mode = "RAW" },
		"negative epochs":       func(j *job.Job) { j.Epochs = -1 },
		"too many epochs":       func(j *job.Job) { j.Epochs = job.MaxEpochs + 1 },
		"little memory":         func(j *job.Job) { j.Limits.MemoryBytes = 1<<20 - 1 },
		"much memory":           func(j *job.Job) { j.Limits.MemoryBytes = job.MaxMemory + 1 },
		"long wall time":        func(j *job.Job) { j.Limits.WallSeconds = job.MaxWall + 1 },
		"much output":           func(j *job.Job) { j.Limits.OutputBytes = job.MaxOutput + 1 },
		"no fuel":               func(j *job.Job) { j.Limits.Fuel = 0 },
		"negative fuel":         func(j *job.Job) { j.Limits.Fuel = -1 },
		"much fuel":             func(j *job.Job) { j.Limits.Fuel = job.MaxAmount + 1 },
		"no outputs":            func(j *job.Job) { j.Outputs = nil },
		"too many outputs":      func(j *job.Job) { j.Outputs = many(job.MaxOutputs + 1) },
		"output in a folder":    func(j *job.Job) { j.Outputs[0].Name = "a/b" },
		"output above":          func(j *job.Job) { j.Outputs[0].Name = ".." },
		"output name of 101":    func(j *job.Job) { j.Outputs[0].Name = strings.Repeat("n", 101) },
		"output twice":          func(j *job.Job) { j.Outputs[1].Name = j.Outputs[0].Name },
		"unknown class":         func(j *job.Job) { j.Outputs[0].Class = "records" },
		"output over the limit": func(j *job.Job) { j.Outputs[0].MaxBytes = j.Limits.OutputBytes + 1 },
		"too many params":       func(j *job.Job) { j.Params = manyParams(job.MaxParams + 1) },
		"param in lower case":   func(j *job.Job) { j.Params["path"] = "x" },
		"param too long":        func(j *job.Job) { j.Params["X"] = strings.Repeat("x", job.MaxParam+1) },
		"param with NUL":        func(j *job.Job) { j.Params["X"] = "a\x00b" },
		"negative spend cap":    func(j *job.Job) { j.SpendCap = -1 },
		"huge spend cap":        func(j *job.Job) { j.SpendCap = job.MaxAmount + 1 },
		"foreign recipient":     func(j *job.Job) { j.Recipient = "ssh-ed25519 AAAA" },
		"long recipient":        func(j *job.Job) { j.Recipient = "age1" + strings.Repeat("q", job.MaxRecipient) },
		"huge expiry":           func(j *job.Job) { j.NotAfter = job.MaxAmount + 1 },
	} {
		j := good(k)
		change(j)
		if err := j.Validate(); !errors.Is(err, job.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	j := good(k)
	j.Outputs[0].Name, j.Limits.OutputBytes = strings.Repeat("n", 100), job.MaxOutput
	if err := j.Validate(); err != nil {
		t.Errorf("the longest name and the most output: %v", err)
	}
	j = good(k)
	j.Runtime = "native-jail/1"
	if err := j.Validate(); !errors.Is(err, job.ErrRuntime) {
		t.Errorf("runtime: %v", err)
	}
}

func manyParams(n int) map[string]string {
	out := map[string]string{}
	for range n {
		out["P"+strings.Repeat("X", len(out))] = ""
	}
	return out
}

func TestCancel(t *testing.T) {
	k := statementtest.NewKey(t, envelope.RoleBuyer)
	signed, _, err := job.SignCancel(&job.Cancel{Job: envelope.Sum([]byte("job")), Reason: "changed my mind"}, k.Signer)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(b []byte) error { _, err := job.VerifyCancel(b, k.Public()); return err }
	statementtest.EveryField(t, k, signed, nil, verify)
	statementtest.EveryByte(t, signed, verify)
	if _, err := job.VerifyCancel(signed, statementtest.NewKey(t, envelope.RoleBuyer).Public()); !errors.Is(err, envelope.ErrSignature) {
		t.Errorf("another buyer's: %v", err)
	}
	if _, _, err := job.SignCancel(&job.Cancel{}, k.Signer); !errors.Is(err, job.ErrInvalid) {
		t.Errorf("signed the zero cancellation: %v", err)
	}
}

// spoilers make the vectors: one for each way a job is refused.
func spoilers() map[string]struct {
	comment string
	change  func(map[string]any)
} {
	type s = struct {
		comment string
		change  func(map[string]any)
	}
	p := func(m map[string]any) map[string]any { return m["predicate"].(map[string]any) }
	return map[string]s{
		"valid-job":         {"a job over two datasets", func(map[string]any) {}},
		"malformed-unknown": {"a field nobody knows", func(m map[string]any) { p(m)["x"] = 1 }},
		"malformed-missing": {"no spend cap", func(m map[string]any) { delete(p(m), "spendCap") }},
		"invalid-epochs":    {"no epochs", func(m map[string]any) { p(m)["epochs"] = 0 }},
		"invalid-subject":   {"subjects are not the job's packages", func(m map[string]any) { m["subject"] = m["subject"].([]any)[:2] }},
		"invalid-fuel":      {"no fuel", func(m map[string]any) { p(m)["limits"].(map[string]any)["fuel"] = 0 }},
		"invalid-output":    {"an output outside /out", func(m map[string]any) { p(m)["outputs"].([]any)[0].(map[string]any)["name"] = "../x" }},
		"runtime-unknown":   {"a runtime class this release does not have", func(m map[string]any) { p(m)["runtime"] = "native-jail/1" }},
		"invalid-private": {"a differentially private mode, with nothing declared", func(m map[string]any) {
			p(m)["mode"], p(m)["epochs"], p(m)["runtime"] = "dp-training", 1, job.RuntimeTrain
		}},
		"type-cancel": {"another statement", func(m map[string]any) { m["predicateType"] = envelope.CancelType }},
	}
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	errs := map[string]error{
		"malformed": envelope.ErrMalformed, "invalid": job.ErrInvalid, "runtime": job.ErrRuntime, "type": envelope.ErrType,
		"signature": envelope.ErrSignature,
	}
	for _, v := range statementtest.Load(t, "job") {
		if strings.HasPrefix(v.Name, cancelVector) {
			continue
		}
		err := verifyJob(v.Body)
		if want := v.Header["expect"]; want == "valid" && err != nil || want != "valid" && (errs[want] == nil || !errors.Is(err, errs[want])) {
			t.Errorf("%s: %v, want %s", v.Name, err, want)
		}
	}
}

func writeVectors(t *testing.T) {
	k := statementtest.NewKey(t, envelope.RoleBuyer)
	signed := sign(t, good(k), k)
	for name, s := range spoilers() {
		expect, _, _ := strings.Cut(name, "-")
		statementtest.Write(t, "job", statementtest.Vector{
			Name: name, Header: map[string]string{"expect": expect, "comment": s.comment}, Body: k.Change(t, signed, s.change),
		})
	}
	for _, mode := range privateModes() {
		private := sign(t, inMode(k, mode), k)
		put := func(expect, name, comment string, change func(map[string]any)) {
			statementtest.Write(t, "job", statementtest.Vector{
				Name: expect + "-" + mode + name, Header: map[string]string{"expect": expect, "comment": comment}, Body: k.Change(t, private, change),
			})
		}
		declared := func(m map[string]any) map[string]any {
			return m["predicate"].(map[string]any)["privacy"].(map[string]any)
		}
		put("valid", "", "a job in mode "+mode, func(map[string]any) {})
		put("invalid", "-epsilon", "an epsilon of 0", func(m map[string]any) { declared(m)["epsilon"] = 0 })
		put("invalid", "-mechanism", "a mechanism without noise", func(m map[string]any) {
			declared(m)["mechanisms"].([]any)[0].(map[string]any)["noise"] = 0
		})
		put("malformed", "-delta", "no delta", func(m map[string]any) { delete(declared(m), "delta") })
	}
	stranger := statementtest.NewKey(t, envelope.RoleBuyer)
	_, payload, _, err := envelope.Parts(signed)
	if err != nil {
		t.Fatal(err)
	}
	statementtest.Write(t, "job", statementtest.Vector{
		Name: "signature-stranger", Header: map[string]string{"expect": "signature", "comment": "signed by another than the buyer it names"},
		Body: stranger.SignPayload(t, payload),
	})
}

// FuzzVerify: what verifies encodes to the bytes that were signed, and one flipped bit never verifies.
func FuzzVerify(f *testing.F) {
	seeds := statementtest.Load(f, "job")
	for _, v := range seeds {
		f.Add(v.Body, uint16(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, at uint16) {
		v, err := job.Verify(b)
		if err != nil {
			return
		}
		_, payload, _, err := envelope.Parts(b)
		if err != nil {
			t.Fatal(err)
		}
		again, err := envelope.Canonical(v.Statement)
		if err != nil || string(again) != string(payload) {
			t.Fatalf("encodes to other bytes: %v", err)
		}
		c := slices.Clone(b)
		c[int(at)%len(c)] ^= 1
		if _, err := job.Verify(c); err == nil {
			t.Fatal("a flipped bit verifies")
		}
	})
}
