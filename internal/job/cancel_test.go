// SPDX-License-Identifier: Apache-2.0

package job_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/job/statementtest"
)

// cancelVector is the prefix of the vectors of cancellations, which lie beside those of jobs.
const cancelVector = "cancel-"

// cancelSpoilers are the ways a cancellation is refused; the first part of a name is the error.
func cancelSpoilers() map[string]struct {
	comment string
	change  func(map[string]any)
} {
	p := func(m map[string]any) map[string]any { return m["predicate"].(map[string]any) }
	return map[string]struct {
		comment string
		change  func(map[string]any)
	}{
		"valid":                {"a job withdrawn by its buyer", func(map[string]any) {}},
		"malformed-unknown":    {"a field nobody knows", func(m map[string]any) { p(m)["x"] = 1 }},
		"malformed-missing":    {"no reason", func(m map[string]any) { delete(p(m), "reason") }},
		"malformed-no-subject": {"about nothing", func(m map[string]any) { m["subject"] = []any{} }},
		"digest-zero":          {"the job is all zeros", func(m map[string]any) { p(m)["job"] = "sha256:" + strings.Repeat("0", 64) }},
		"invalid-empty":        {"an empty reason", func(m map[string]any) { p(m)["reason"] = "" }},
		"invalid-long":         {"a reason of 4,097 bytes", func(m map[string]any) { p(m)["reason"] = strings.Repeat("x", job.MaxParam+1) }},
		"invalid-subject": {"subject is another job", func(m map[string]any) {
			m["subject"] = []envelope.Subject{envelope.NewSubject("job", envelope.Sum([]byte("other")))}
		}},
		"type-revocation": {"another statement", func(m map[string]any) { m["predicateType"] = envelope.RevocationType }},
	}
}

func writeCancelVectors(t *testing.T) {
	k, stranger := statementtest.NewKey(t, envelope.RoleBuyer), statementtest.NewKey(t, envelope.RoleBuyer)
	signed, _, err := job.SignCancel(&job.Cancel{Job: envelope.Sum([]byte("job")), Reason: "wrong hyperparameters"}, k.Signer)
	if err != nil {
		t.Fatal(err)
	}
	put := func(name, comment string, body []byte) {
		expect, _, _ := strings.Cut(name, "-")
		statementtest.Write(t, "job", statementtest.Vector{
			Name:   cancelVector + name,
			Header: map[string]string{"expect": expect, "comment": comment, "key": k.Public().String()}, Body: body,
		})
	}
	for name, s := range cancelSpoilers() {
		put(name, s.comment, k.Change(t, signed, s.change))
	}
	put("signature-stranger", "signed by another buyer", stranger.Change(t, signed, func(map[string]any) {}))
}

func TestCancelVectors(t *testing.T) {
	if *update {
		writeCancelVectors(t)
	}
	errs := map[string]error{
		"malformed": envelope.ErrMalformed, "digest": envelope.ErrDigest, "invalid": job.ErrInvalid, "type": envelope.ErrType,
		"signature": envelope.ErrSignature,
	}
	seen := map[string]bool{}
	for _, v := range statementtest.Load(t, "job") {
		if !strings.HasPrefix(v.Name, cancelVector) {
			continue
		}
		key, err := envelope.ParsePublicKey(v.Header["key"])
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		_, err = job.VerifyCancel(v.Body, key)
		want := v.Header["expect"]
		if want == "valid" && err != nil || want != "valid" && (errs[want] == nil || !errors.Is(err, errs[want])) {
			t.Errorf("%s: %v, want %s", v.Name, err, want)
		}
		seen[want] = true
	}
	for want := range errs {
		if !seen[want] {
			t.Errorf("no vector of a cancellation expects %s", want)
		}
	}
	if !seen["valid"] {
		t.Error("no vector of a valid cancellation")
	}
}
