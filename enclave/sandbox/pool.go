// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// pool is the spawner's workers: those that have a job, and a few confined ones that never had any. A worker goes from
// idle to running once, and then dies; it never comes back.
type pool struct {
	size int // of idle

	mu      sync.Mutex
	changed *sync.Cond // something for the starter to do
	next    uint64
	idle    []*jail
	running map[uint64]*jail
	pending []startRequest // requests that found no idle worker, in order
	resting bool           // the last worker could not be started or died unused: start no other until one is asked for
	closing bool
	kept    chan struct{} // closed when keep starts no more
	reapers sync.WaitGroup
}

func newPool(size int) *pool {
	p := &pool{size: size, running: map[uint64]*jail{}, kept: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// keep starts workers, one after the other, for those who wait and to refill the pool, until close. It must have a
// thread for itself that lasts as long as the process: a worker takes the end of the thread that started it for the
// spawner's death.
func (p *pool) keep() {
	runtime.LockOSThread()
	for p.wanted() {
		asked := p.asked()
		j, err := startJail(p.number())
		if err != nil {
			p.failed(err, asked)
			continue
		}
		p.ready(j)
	}
	close(p.kept)
	select {}
}

func (p *pool) number() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	return p.next
}

// wanted waits until a worker is to be started.
func (p *pool) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closing && len(p.pending) == 0 && (p.resting || len(p.idle) >= p.size) {
		p.changed.Wait()
	}
	return !p.closing
}

// asked reports whether somebody waits for the worker about to be started.
func (p *pool) asked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending) > 0
}

// failed tells the first who waits that there is no worker to be had. A start that nobody had asked for yet speaks for
// nobody: who came in the meantime gets a start of his own.
func (p *pool) failed(err error, asked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resting = true
	if asked && len(p.pending) > 0 {
		q := p.pending[0]
		p.pending = p.pending[1:]
		refuse(q, err)
	}
}

// ready takes a new worker in, or gives it to the first who waits.
func (p *pool) ready(j *jail) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reapers.Go(func() { p.reap(j) })
	if p.closing {
		j.kill()
		return
	}
	if len(p.pending) == 0 {
		p.idle = append(p.idle, j)
		return
	}
	q := p.pending[0]
	p.pending = p.pending[1:]
	p.assign(j, q)
}

// serve answers a request: at once from the pool, or when the next worker is ready.
func (p *pool) serve(q startRequest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.changed.Signal()
	p.resting = false
	for len(p.idle) > 0 {
		j := p.idle[0]
		p.idle = p.idle[1:]
		if j.alive() {
			p.assign(j, q)
			return
		}
		j.kill()
	}
	p.pending = append(p.pending, q)
}

// assign puts the worker under the job's limits and hands it to the enclave.
func (p *pool) assign(j *jail, q startRequest) {
	err := j.group.limit(q.memory())
	if err != nil {
		j.kill()
		refuse(q, err)
		return
	}
	j.job = q.ID
	p.running[q.ID] = j
	_ = send(controlMessage{Started: &startReply{ID: q.ID, Isolation: j.isolation}}, j.ends...)
	j.closeEnds()
}

// reap waits for a worker to end, and reports what the kernel measured if it had a job.
func (p *pool) reap(j *jail) {
	_ = j.cmd.Wait()
	p.mu.Lock()
	job := j.job
	if job != 0 {
		delete(p.running, job)
	} else {
		p.lost(j)
	}
	p.mu.Unlock()
	st := j.cmd.ProcessState
	cpu, peak := j.group.used() // all there is, if the init was killed before it had reaped the worker
	r := exitReport{
		ID: job, Status: st.String(), Code: st.ExitCode(), OOM: j.group.killed(),
		CPUNanos: int64(max(st.UserTime()+st.SystemTime(), cpu)), PeakKiB: peak >> 10,
	}
	if ru, ok := st.SysUsage().(*syscall.Rusage); ok {
		r.PeakKiB = max(r.PeakKiB, ru.Maxrss)
	}
	j.group.remove()
	if job != 0 {
		_ = send(controlMessage{Exited: &r}) // an enclave that is gone needs no report
	}
}

// lost forgets a worker that died unused. One that lived for a while is replaced; one that did not is a sign of a machine
// on which the next will not either.
func (p *pool) lost(j *jail) {
	for i := range p.idle {
		if p.idle[i] == j {
			p.idle = append(p.idle[:i:i], p.idle[i+1:]...)
			p.resting = p.resting || time.Since(j.started) < time.Second
			p.changed.Signal()
			break
		}
	}
	j.closeEnds()
}

// close kills every worker and waits until nothing of them is left.
func (p *pool) close() {
	p.mu.Lock()
	p.closing = true
	p.changed.Signal()
	for _, j := range p.idle {
		j.kill()
	}
	for _, j := range p.running {
		j.kill()
	}
	p.mu.Unlock()
	<-p.kept
	p.reapers.Wait()
}

// send and refuse answer the enclave. An enclave that is gone is noticed elsewhere.
func send(m controlMessage, fds ...int) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return sendMessage(spawnerSocket, b, fds...)
}

func refuse(q startRequest, err error) {
	_ = send(controlMessage{Started: &startReply{ID: q.ID, Error: err.Error()}})
}
