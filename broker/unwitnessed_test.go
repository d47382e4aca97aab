// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// TestReportMarksUnwitnessed: the owner is told which jobs' commits do not prove that their release was cosigned.
func TestReportMarksUnwitnessed(t *testing.T) {
	p := newPublicWorld(t)
	e := p.released()
	_, err := e.commit(p.data, e.usage(nil))
	want(t, err, broker.ErrUnlogged)
	if j := p.report().Jobs[0]; j.Commits != 0 || j.Unwitnessed != 0 {
		t.Errorf("before the commit: %+v", j)
	}
	p.prove = func(envelope.Digest) (tlog.Proof, error) { return p.logged(p.log, e.raw[p.data.ID]) }
	_, err = e.commit(p.data, e.usage(nil))
	must(t, err)
	if j := p.report().Jobs[0]; j.Commits != 1 || j.Unwitnessed != 0 {
		t.Errorf("cosigned: %+v", j)
	}
	p.creator.cfg.Log = nil
	p.creator.restart()
	p.clock.advance(time.Second)
	p.newJob(nil)
	e = p.released()
	_, err = e.commit(p.data, e.usage(nil))
	must(t, err)
	if jobs := p.report().Jobs; len(jobs) != 2 || jobs[0].Unwitnessed != 0 || jobs[1].Commits != 1 || jobs[1].Unwitnessed != 1 {
		t.Errorf("not asked: %+v", jobs)
	}
}

// TestRotatedBrokerCommits: what counts is the grant as the key that speaks now signed it.
func TestRotatedBrokerCommits(t *testing.T) {
	p := newPublicWorld(t)
	old := p.creator.Key()
	p.creator.handOver()
	e := p.released()
	own := e.raw[p.data.ID]
	p.prove = func(envelope.Digest) (tlog.Proof, error) {
		b, err := tlog.Body(own, old)
		must(t, err)
		return p.log.Proof(p.log.Append(b))
	}
	if _, err := e.commit(p.data, e.usage(nil)); !errors.Is(err, broker.ErrUnlogged) {
		t.Errorf("TestGrantUnderOldKey: %v", err)
	}
	p.prove = func(envelope.Digest) (tlog.Proof, error) { return p.logged(p.log, own) }
	if c, err := e.commit(p.data, e.usage(nil)); err != nil || c.Witnessed == nil {
		t.Errorf("%+v, %v", c, err)
	}
}
