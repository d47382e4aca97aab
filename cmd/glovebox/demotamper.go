// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
)

var accuracyLine = regexp.MustCompile(`accuracy ([0-9.]+) on ([0-9]+) images`)

// evaluate runs the buyer's own check of her model.
func (d *demonstration) evaluate(ctx context.Context, v *demoView) error {
	d.echo("evaluate", []string{v.Model, d.testCSV})
	out, err := d.command(ctx, d.bin("evaluate"), v.Model, d.testCSV).CombinedOutput()
	d.words.Write(out) //nolint:errcheck // words
	if err != nil {
		return fmt.Errorf("evaluate: %w", err)
	}
	m := accuracyLine.FindSubmatch(out)
	if m == nil {
		return errors.New("evaluate says nothing of accuracy")
	}
	if v.Accuracy, err = strconv.ParseFloat(string(m[1]), 64); err != nil {
		return err
	}
	if v.Accuracy < leastAccuracy {
		return fmt.Errorf("the model is right on %.3f of the test images, less than %.2f", v.Accuracy, leastAccuracy)
	}
	return nil
}

// verdict runs the auditor, whatever the verdict.
func (d *demonstration) verdict(ctx context.Context, bundle string) (*usage.Verdict, error) {
	out, err := d.output(ctx, "auditor", "verify", bundle, "--trust", d.at("trust.json"), "--json")
	if err != nil && classify(err).Kind != KindVerify {
		return nil, err
	}
	var v usage.Verdict
	if err := json.Unmarshal(out, &v); err != nil {
		return nil, fmt.Errorf("auditor verify: %w", err)
	}
	return &v, nil
}

// keepUsage writes the usage attestation alone, for foreign tools.
func (d *demonstration) keepUsage(v *demoView) error {
	raw, err := os.ReadFile(v.Bundle)
	if err != nil {
		return err
	}
	b, err := usage.ParseBundle(raw)
	if err != nil {
		return err
	}
	v.Usage = d.at("usage.sigstore.json")
	return os.WriteFile(v.Usage, b.Sigstore(), 0o600)
}

// tamper changes one byte in three places, and wants each refused.
func (d *demonstration) tamper(ctx context.Context, v *demoView) error {
	d.chapter("One byte is changed, three times")
	for _, t := range []struct {
		refusal *string
		try     func(context.Context, *demoView) (string, error)
	}{{&v.Tampered.Chunk, d.tamperChunk}, {&v.Tampered.Usage, d.tamperUsage}, {&v.Tampered.Proof, d.tamperProof}} {
		var err error
		if *t.refusal, err = t.try(ctx, v); err != nil {
			return err
		}
		if *t.refusal == "" {
			return Errorf(KindVerify, "report this: it is what must not happen").because("an altered byte was accepted")
		}
		fmt.Fprintf(d.words, "refused: %s\n", *t.refusal)
	}
	return nil
}

// tamperChunk plays a host that alters the ciphertext: first before an auditor without a key, then before the enclave.
// The byte is put back afterwards.
func (d *demonstration) tamperChunk(ctx context.Context, _ *demoView) (string, error) {
	path, err := d.segment(ctx)
	if err != nil {
		return "", err
	}
	fmt.Fprintln(d.words, "a byte of the ciphertext, at the host:")
	if err := flip(path); err != nil {
		return "", err
	}
	why, jobErr := d.refusedJob(ctx)
	verdict, dataErr := d.refusedData(ctx)
	if err := errors.Join(jobErr, dataErr, flip(path)); err != nil {
		return "", err
	}
	return verdict + "; and the enclave: " + why, nil
}

// segment is the host's file with the first segment of the dataset.
func (d *demonstration) segment(ctx context.Context) (string, error) {
	h, err := dialHost(d.hostURL)
	if err != nil {
		return "", err
	}
	defer h.Close()
	_, m, err := h.manifest(ctx, d.manifest)
	if err != nil {
		return "", err
	}
	hex := m.Segments[0].Blob.Hex()
	return filepath.Join(d.at("operator", "blobs"), hex[:2], hex[2:]), nil
}

// flip changes the lowest bit of a byte in the middle of a file; twice changes nothing.
func flip(path string) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil { // blobs are read-only
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	_, rerr := f.ReadAt(b, st.Size()/2)
	b[0] ^= 1
	_, werr := f.WriteAt(b, st.Size()/2)
	return errors.Join(rerr, werr, f.Close(), os.Chmod(path, st.Mode()))
}

// refusedJob runs the same job on the altered data: it must fail, and say why.
func (d *demonstration) refusedJob(ctx context.Context) (string, error) {
	if _, err := d.output(ctx, append(append([]string{"buyer", "submit"}, d.jobArgs()...), "--json")...); err == nil {
		return "", errors.New("a job on altered data completed")
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	out, err := d.output(ctx, "buyer", "ls", "--dir", d.at("buyer"), "--json")
	if err != nil {
		return "", err
	}
	var jobs struct{ Jobs []jobView }
	if err := json.Unmarshal(out, &jobs); err != nil {
		return "", err
	}
	if len(jobs.Jobs) < 2 || jobs.Jobs[0].State != "failed" || jobs.Jobs[0].Reason != usage.ReasonDataset {
		return "", fmt.Errorf("a job on altered data did not fail for it: %+v", jobs.Jobs)
	}
	return strings.TrimSpace(jobs.Jobs[0].Reason + " " + jobs.Jobs[0].Message), nil
}

// refusedData checks the host's copy without a key.
func (d *demonstration) refusedData(ctx context.Context) (string, error) {
	out, err := d.output(ctx, "auditor", "data", d.manifest.String(), "--host", d.hostURL, "--blobs", d.at("operator", "blobs"), "--json")
	if err == nil || classify(err).Kind != KindVerify {
		return "", errors.Join(errors.New("altered ciphertext was not refused"), err)
	}
	var v dataView
	return v.Finding, errors.Join(json.Unmarshal(out, &v), nonEmpty(&v))
}

func nonEmpty(v *dataView) error {
	if v.Finding == "" {
		return fmt.Errorf("%w: without a reason", dataset.ErrIntegrity)
	}
	return nil
}

// tamperUsage changes a character inside the signed usage statement.
func (d *demonstration) tamperUsage(ctx context.Context, v *demoView) (string, error) {
	fmt.Fprintln(d.words, "a byte of the usage attestation:")
	return d.refusedBundle(ctx, v, "usage", `"payload":"`, 400)
}

// tamperProof changes a character inside the log's inclusion proof.
func (d *demonstration) tamperProof(ctx context.Context, v *demoView) (string, error) {
	fmt.Fprintln(d.words, "a byte of the log proof:")
	return d.refusedBundle(ctx, v, "proof", `"hashes":["`, 4)
}

// refusedBundle alters the character at an offset behind a mark, keeps the altered bundle, and asks the auditor.
func (d *demonstration) refusedBundle(ctx context.Context, v *demoView, name, mark string, off int) (string, error) {
	b, err := os.ReadFile(v.Bundle)
	if err != nil {
		return "", err
	}
	usagePart := bytes.Index(b, []byte(`"usage":{`))
	i := bytes.Index(b[max(0, usagePart):], []byte(mark))
	if usagePart < 0 || i < 0 {
		return "", fmt.Errorf("the bundle has no %s", mark)
	}
	i += usagePart + len(mark) + off
	if b[i]++; b[i] == 'Z'+1 || b[i] == 'z'+1 || b[i] == '9'+1 || b[i] == '+'+1 || b[i] == '/'+1 {
		b[i] = 'A' // stay in the alphabet of base64, so that it is not a matter of syntax
	}
	path := d.at("tampered-" + name + ".json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		return "", err
	}
	verdict, err := d.verdict(ctx, path)
	if err != nil {
		return "", err
	}
	if verdict.Verified || len(verdict.Findings) == 0 {
		return "", nil
	}
	return verdict.Findings[0].String(), nil
}
