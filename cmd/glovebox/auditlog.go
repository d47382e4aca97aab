// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"github.com/transparency-dev/merkle/compact"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/glovebox-dev/glovebox/broker/config"
	hostv1 "github.com/glovebox-dev/glovebox/host/api/glovebox/v1"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// logView is what `auditor log` found.
type logView struct {
	Origin   string          `json:"origin"`
	Size     int64           `json:"size"`
	Root     envelope.Digest `json:"root"`
	Verified bool            `json:"verified"`
	Grew     int64           `json:"grew"` // entries since the remembered checkpoint; -1 if none was remembered
	Findings []string        `json:"findings"`
	Open     []openGrant     `json:"openGrants"`

	// Witnessed says how much of the log the witnesses of the trust file cosigned, or "unwitnessed".
	Witnessed string `json:"witnessed"`
}

// openGrant is a released key with neither a usage attestation nor a lease-lost.
type openGrant struct {
	Grant   string `json:"grant"`
	Job     string `json:"job"`
	Expires int64  `json:"expires"` // Unix milliseconds
}

func newLog() *cobra.Command {
	var host, mirror, trust, remember string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "log", Short: "Check an operator's log: signature, every entry, and that it only grew", Args: noArgs,
		Long: `Log reads the whole log, recomputes its root and compares it with the signed checkpoint. With --remember it also keeps the
checkpoint, and the next run shows that everything seen before is still there. A released key whose lease is over and that
has neither a usage attestation nor a lease-lost is a finding. With --mirror it reads a mirror's files instead, offline if it is
a directory; what is open only a host knows. A trust file that names witnesses wants their cosignatures on what is shown.`,
		Example: "  glovebox auditor log --host http://127.0.0.1:7300 --trust trust.json --remember checkpoint",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if mirror != "" && cmd.Flags().Changed("host") {
				return Errorf(KindUsage, "give one of them").because("--host and --mirror are two places")
			}
			l, err := trustedLog(trust)
			if err != nil {
				return err
			}
			w, err := trustedWitnesses(trust)
			if err != nil {
				return err
			}
			var v *logView
			var checkpoint string
			where := mirror
			if mirror != "" {
				v, checkpoint, err = auditMirror(cmd.Context(), l, mirror, remember)
			} else {
				var h *hostClient
				if h, err = dialHost(host); err != nil {
					return err
				}
				v, checkpoint, err = h.auditLog(cmd.Context(), l, remember)
				where = logFiles(host)
			}
			if err == nil {
				err = cosignedLog(cmd.Context(), v, l, w, where)
			}
			if err != nil {
				return err
			}
			if err := show(cmd, asJSON, v, func(w io.Writer) { printLog(w, v) }); err != nil {
				return err
			}
			if !v.Verified {
				return Errorf(KindVerify, "keep what you have, and ask the operator").because("the log does not hold: %d findings", len(v.Findings))
			}
			if remember == "" {
				return nil
			}
			return config.WriteFile(remember, []byte(checkpoint))
		},
	}
	cmd.AddCommand(newLogWatch(), newLogMirror(), newLogEvidence())
	f := cmd.Flags()
	f.StringVar(&host, "host", defaultHost, "host, by URL")
	f.StringVar(&mirror, "mirror", "", "mirror to read instead, by URL or directory")
	f.StringVar(&trust, "trust", "", "trust file (required); make one with: glovebox auditor trust")
	f.StringVar(&remember, "remember", "", "file that keeps the checkpoint from one run to the next")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printLog(w io.Writer, v *logView) {
	state := "VERIFIED"
	if !v.Verified {
		state = "REFUSED"
	}
	fmt.Fprintf(w, "%s  %s, %d entries, root %s, %s\n", state, v.Origin, v.Size, v.Root, v.Witnessed)
	if v.Grew >= 0 {
		fmt.Fprintf(w, "%d entries since the remembered checkpoint\n", v.Grew)
	}
	for _, f := range v.Findings {
		fmt.Fprintln(w, "finding  "+f)
	}
	for _, g := range v.Open {
		fmt.Fprintf(w, "open     grant %s of job %s, until %s\n", short(g.Grant), short(g.Job), when(g.Expires))
	}
}

// auditLog checks the host's log under l and against the checkpoint in the remembered file.
func (h *hostClient) auditLog(ctx context.Context, l *tlog.Log, remembered string) (*logView, string, error) {
	r, err := h.Log.Checkpoint(ctx, connect.NewRequest(&hostv1.CheckpointRequest{}))
	if err != nil {
		return nil, "", h.explain(err)
	}
	text := string(r.Msg.GetCheckpoint())
	v := &logView{Origin: l.Origin(), Grew: -1, Findings: []string{}, Open: []openGrant{}}
	now, err := l.ParseCheckpoint(text)
	if err != nil {
		v.Findings = append(v.Findings, err.Error())
		return v, text, nil
	}
	v.Size, v.Root = now.Size, now.Root
	then, err := recall(l, remembered)
	if err != nil {
		return nil, "", err
	}
	if err := h.compareRoots(ctx, v, now, then); err != nil {
		return nil, "", err
	}
	if err := h.openGrants(ctx, v, time.Now().UnixMilli()); err != nil {
		return nil, "", err
	}
	v.Verified = len(v.Findings) == 0
	return v, text, nil
}

// recall reads the checkpoint kept by the last run; nil if there was none.
func recall(l *tlog.Log, path string) (*tlog.Checkpoint, error) {
	if path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := l.ParseCheckpoint(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &c, nil
}

// compareRoots recomputes the roots of the tree now and then from every entry.
func (h *hostClient) compareRoots(ctx context.Context, v *logView, now tlog.Checkpoint, then *tlog.Checkpoint) error {
	if then != nil && then.Size > now.Size {
		v.Findings = append(v.Findings, fmt.Sprintf("the log had %d entries and has %d now: it was cut", then.Size, now.Size))
		return nil
	}
	f := compact.RangeFactory{Hash: rfc6962.DefaultHasher.HashChildren}
	tree := f.NewEmptyRange(0)
	check := func(c tlog.Checkpoint, what string) error {
		root, err := tree.GetRootHash(nil)
		if err != nil {
			return err
		}
		if envelope.Digest(root) != c.Root {
			v.Findings = append(v.Findings, fmt.Sprintf("the entries do not have the root of the %s checkpoint: one was changed or hidden", what))
		}
		return nil
	}
	for n := int64(0); n < now.Size; {
		r, err := h.Log.Entries(ctx, connect.NewRequest(&hostv1.EntriesRequest{First: n, Count: int32(min(256, now.Size-n))}))
		if err != nil {
			return h.explain(err)
		}
		if len(r.Msg.GetBodies()) == 0 {
			v.Findings = append(v.Findings, fmt.Sprintf("the host does not show entry %d of %d", n, now.Size))
			return nil
		}
		for _, body := range r.Msg.GetBodies() {
			leaf := tlog.LeafHash(body)
			if err := tree.Append(leaf[:], nil); err != nil {
				return err
			}
			if n++; n > now.Size {
				break
			}
			if then != nil && n == then.Size {
				v.Grew = now.Size - n
				if err := check(*then, "remembered"); err != nil {
					return err
				}
			}
		}
	}
	return check(now, "current")
}

// openGrants lists released keys without an end, and finds those whose lease is over.
func (h *hostClient) openGrants(ctx context.Context, v *logView, now int64) error {
	records, err := h.Records(ctx, true)
	if err != nil {
		return h.explain(err)
	}
	for _, rec := range records {
		g, err := envelope.Peek[grant.Grant](rec.GetSigned(), envelope.GrantType)
		if err != nil {
			v.Findings = append(v.Findings, fmt.Sprintf("record %s is not a grant: %v", rec.GetStatement(), err))
			continue
		}
		o := openGrant{g.ID.String(), g.Predicate.Job.String(), g.Predicate.Obligations.Expires}
		v.Open = append(v.Open, o)
		if o.Expires < now {
			v.Findings = append(v.Findings, fmt.Sprintf("grant %s ended without a usage attestation or a lease-lost", o.Grant))
		}
	}
	return nil
}
