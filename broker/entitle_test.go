// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/entitlement"
	"github.com/glovebox-dev/glovebox/broker/entitlement/entitlementtest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

// shop is a world whose data is sold by a marketplace.
func shop(t testing.TB, options ...packOption) (*world, *entitlementtest.Marketplace) {
	t.Helper()
	m := entitlementtest.New(t)
	sold := withTerms(func(terms *dataset.Terms) {
		terms.Access, terms.Receipts, terms.MaxUses = dataset.AccessReceipt, m.Terms("https://creator.example", 5), 100
	})
	return newWorld(t, append([]packOption{sold}, options...)...), m
}

// with signs a job that carries receipts.
func (w *world) with(receipts ...string) *world {
	w.newJob(func(j *job.Job) { j.Receipts = receipts })
	return w
}

// asking is an enclave for the world's job that asks for the data, for an attempt that the buyer's broker lets run.
func (w *world) asking(attempt int) *enclave {
	e := w.newEnclave(nil)
	e.ticket = forgeTicket(w.t, w, e, attempt)
	return e
}

func (w *world) sold(m *entitlementtest.Marketplace, change ...func(*receipt.Claims)) string {
	return m.Sell(w.data.Manifest, *w.buyer.cfg.Buyer, w.clock.now(), change...)
}

func TestReceiptBecomesACapabilityForOneLease(t *testing.T) {
	t.Parallel()
	w, m := shop(t)
	w.with(w.sold(m))
	e := w.asking(1)
	r, err := w.creator.Release(t.Context(), e.request(w.data))
	must(t, err)
	e.accept(w.data, r)
	g := e.grants[w.data.ID].Predicate
	c, err := entitlement.VerifyCapability(string(r.Entitlement), w.creator.Key(), e.d, jwk.ThumbprintOf(e.signer.Public()), w.clock.now())
	must(t, err)
	if g.Entitlement == nil || *g.Entitlement != c.Digest || c.Receipt == nil || c.Manifest != w.data.ID || c.Job != w.jobID ||
		c.Expires*1000 > g.Obligations.Expires || c.Epochs != g.Obligations.Epochs || c.Chunks != entitlement.ChunksOf(g.Obligations.Leaves) {
		t.Errorf("capability %+v of grant %+v", c.Capability, g)
	}
	other, err := envelope.GenerateSigner(envelope.RoleEnclave)
	must(t, err)
	_, err = entitlement.VerifyCapability(string(r.Entitlement), w.creator.Key(), e.d, jwk.ThumbprintOf(other.Public()), w.clock.now())
	want(t, err, entitlement.ErrHolder)
	w.creator.restart()
	again, err := w.creator.Release(t.Context(), e.request(w.data))
	must(t, err)
	if string(again.Entitlement) != string(r.Entitlement) {
		t.Error("the same request got another capability")
	}
}

func TestOpenAccessHasNoCapability(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.asking(1)
	r, err := w.creator.Release(t.Context(), e.request(w.data))
	must(t, err)
	e.accept(w.data, r)
	if g := e.grants[w.data.ID].Predicate; len(r.Entitlement) != 0 || g.Entitlement != nil || g.Population != "default" || g.Conditional {
		t.Errorf("%d bytes, grant %+v", len(r.Entitlement), g)
	}
	w.newJob(nil)
	e = w.asking(1)
	must(t, e.release(w.data))
	if !e.grants[w.data.ID].Predicate.Conditional {
		t.Error("access without differential privacy came before, and the grant does not say so")
	}
}

// TestReceiptReplayed: a receipt is good for its jobs, each however often it is tried.
func TestReceiptReplayed(t *testing.T) {
	t.Parallel()
	w, m := shop(t)
	r := w.sold(m)
	w.with(r)
	must(t, w.again(1))
	must(t, w.again(2))
	w.with(r)
	if got := rules(t, w.asking(1).release(w.data)); !slices.Contains(got, "entitlement-uses") {
		t.Errorf("rules %v", got)
	}
	w.with(w.sold(m, func(c *receipt.Claims) { c.Uses = 2 }))
	must(t, w.again(1))
	twice := w.job.Receipts
	w.with(twice...)
	must(t, w.again(1))
	w.with(twice...)
	rules(t, w.asking(1).release(w.data))
}

// TestReceiptThatIsNotForThis lists every reason.
func TestReceiptThatIsNotForThis(t *testing.T) {
	t.Parallel()
	w, m := shop(t)
	other := entitlementtest.New(t)
	for name, c := range map[string]struct{ receipt, rule string }{
		"forged":         {other.Sell(w.data.Manifest, *w.buyer.cfg.Buyer, w.clock.now()), "receipt.signature"},
		"expired":        {w.sold(m, func(c *receipt.Claims) { c.Issued, c.NotBefore, c.Expires = 1, 1, 2 }), "receipt.expired"},
		"other audience": {w.sold(m, func(c *receipt.Claims) { c.Audience = "https://elsewhere.example" }), "receipt.audience"},
		"other version":  {w.sold(m, func(c *receipt.Claims) { c.Version++ }), "receipt.version"},
		"other offer":    {w.sold(m, func(c *receipt.Claims) { c.Offer = envelope.Sum([]byte("o")) }), "receipt.offer"},
		"other payee":    {w.sold(m, func(c *receipt.Claims) { c.Payee = "mallory" }), "receipt.payee"},
		"too cheap":      {w.sold(m, func(c *receipt.Claims) { c.Amount = 4 }), "receipt.amount"},
		"alg none":       {"eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.e30", "receipt.malformed"},
		"none":           {"", "receipt.none"},
	} {
		t.Run(name, func(t *testing.T) {
			w.with()
			if c.receipt != "" {
				w.with(c.receipt)
			}
			got := rules(t, w.asking(1).release(w.data))
			has := slices.ContainsFunc(got, func(r string) bool {
				return r == c.rule || c.rule == "receipt.malformed" && strings.HasPrefix(r, "receipt.")
			})
			if !has {
				t.Errorf("rules %v, want %s", got, c.rule)
			}
		})
	}
}

// TestTwoEnclavesRaceForTheLastUse: one wins, whatever is running out.
func TestTwoEnclavesRaceForTheLastUse(t *testing.T) {
	t.Parallel()
	for name, world := range map[string]func(t *testing.T) (*world, []string){
		"receipt": func(t *testing.T) (*world, []string) {
			w, m := shop(t)
			return w, []string{w.sold(m)}
		},
		"permit": func(t *testing.T) (*world, []string) {
			w := newWorld(t, withTerms(func(t *dataset.Terms) { t.Access = dataset.AccessPermit }))
			w.permit(nil)
			return w, []string{}
		},
		"uses": func(t *testing.T) (*world, []string) {
			return newWorld(t, withTerms(func(t *dataset.Terms) { t.MaxUses = 1 })), []string{}
		},
		"uses of one buyer": func(t *testing.T) (*world, []string) {
			return newWorld(t, withTerms(func(t *dataset.Terms) { t.Buyers.MaxUses = 1 })), []string{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, receipts := world(t)
			const racers = 6
			var requests []*grant.ReleaseRequest
			for range racers {
				requests = append(requests, w.with(receipts...).asking(1).request(w.data))
			}
			errs := make([]error, racers)
			var wg sync.WaitGroup
			for i, r := range requests {
				wg.Go(func() { _, errs[i] = w.creator.Release(t.Context(), r) })
			}
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else {
					rules(t, err)
				}
			}
			if won != 1 {
				t.Errorf("%d of %d have the last use", won, racers)
			}
		})
	}
}

// permit signs a permit for one job, with changes.
func (w *world) permit(change func(*grant.Permit)) envelope.Digest {
	w.t.Helper()
	p := &grant.Permit{ID: envelope.NewNonce(), Dataset: w.data.Manifest.Dataset, Count: 1, NotAfter: w.clock.now().Unix() + 3600}
	if change != nil {
		change(p)
	}
	id, err := config.AddPermit(w.creator.dir, p)
	must(w.t, err)
	return id
}

func TestPermits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withTerms(func(t *dataset.Terms) { t.Access, t.MaxUses = dataset.AccessPermit, 100 }))
	rules(t, w.asking(1).release(w.data)) // none
	other := envelope.Sum([]byte("other code"))
	for name, change := range map[string]func(*grant.Permit){
		"other code":    func(p *grant.Permit) { p.Code = &other },
		"other buyer":   func(p *grant.Permit) { p.Buyer = &w.creator.cfg.Owner },
		"other dataset": func(p *grant.Permit) { p.Dataset = envelope.PackageID{1} },
		"expired":       func(p *grant.Permit) { p.NotAfter = w.clock.now().Unix() },
		"higher price":  func(p *grant.Permit) { p.MinPrice = perUse + 2*rows*perRecord + 1 },
	} {
		w.permit(change)
		w.newJob(nil)
		if got := rules(t, w.asking(1).release(w.data)); len(got) == 0 {
			t.Errorf("%s: rules %v", name, got)
		}
	}
	id := w.permit(func(p *grant.Permit) {
		p.Code, p.Buyer, p.MinPrice, p.Count = &w.code.ID, w.buyer.cfg.Buyer, perUse+2*rows*perRecord, 2
	})
	w.newJob(nil)
	e := w.asking(1)
	must(t, e.release(w.data))
	if e.grants[w.data.ID].Predicate.Entitlement == nil {
		t.Error("no capability")
	}
	_, err := config.AddRevocation(w.creator.dir, &grant.Revocation{Permit: &id, Reason: "r", Time: 1})
	must(t, err)
	a, err := e.heartbeat(w.data, 0)
	must(t, err)
	if a.Stop != grant.StopRevoked {
		t.Errorf("the permit was revoked, the run goes on: %+v", a)
	}
	w.newJob(nil)
	rules(t, w.asking(1).release(w.data))
}

func TestForgedPermit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withTerms(func(t *dataset.Terms) { t.Access = dataset.AccessPermit }))
	p := &grant.Permit{ID: envelope.NewNonce(), Dataset: w.data.Manifest.Dataset, Count: 1, NotAfter: w.clock.now().Unix() + 3600}
	signed, id, err := grant.Sign(p, w.buyer.key(w.buyer.cfg.Layout().OwnerKey(), envelope.RoleOwner))
	must(t, err)
	w.permit(nil)
	must(t, config.WriteFile(w.creator.cfg.Layout().Permits()+"/"+id.Hex()+".dsse", signed))
	want(t, w.asking(1).release(w.data), broker.ErrPermits)
}

// TestUnreadRunReturnsTheReceipt: a run that read nothing leaves the receipt as it was; its privacy stays spent, since the
// key had left.
func TestUnreadRunReturnsTheReceipt(t *testing.T) {
	t.Parallel()
	w, m := shop(t)
	r := w.sold(m)
	e := w.with(r).newEnclave(nil)
	must(t, e.release(w.code))
	must(t, e.release(w.data))
	_, err := e.commit(w.data, e.usage(unread))
	must(t, err)
	w.with(r)
	next := w.asking(1)
	must(t, next.release(w.data))
	if !next.grants[w.data.ID].Predicate.Conditional {
		t.Error("the privacy of a lease whose key had left came back")
	}
}

// TestWhoseCodeAndWhichBuyer: lists in the terms hold, and an empty one admits nobody.
func TestWhoseCodeAndWhichBuyer(t *testing.T) {
	t.Parallel()
	stranger, err := envelope.GenerateSigner(envelope.RoleBuyer)
	must(t, err)
	for rule, change := range map[string]func(*dataset.Terms){
		"code": func(t *dataset.Terms) {
			t.Code = dataset.Code{Manifests: []envelope.Digest{envelope.Sum([]byte("x"))}, Owners: []envelope.PublicKey{}}
		},
		"buyer": func(t *dataset.Terms) { t.Buyers.Any, t.Buyers.Keys = false, []envelope.PublicKey{stranger.Public()} },
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withTerms(change))
			if got := rules(t, w.asking(1).release(w.data)); !slices.ContainsFunc(got, func(r string) bool { return strings.HasPrefix(r, rule) }) {
				t.Errorf("rules %v", got)
			}
		})
	}
	w := newWorld(t)
	owner := w.code.Manifest.Owner
	p := w.creator.pack(dataset.KindDataset, withTerms(func(t *dataset.Terms) {
		t.Code = dataset.Code{Manifests: []envelope.Digest{}, Owners: []envelope.PublicKey{owner}}
		t.Buyers.Any, t.Buyers.Keys = false, []envelope.PublicKey{*w.buyer.cfg.Buyer}
	}))
	w.data = p
	w.newJob(nil)
	must(t, w.asking(1).release(w.data))
}

// TestPlanSaysWhatToBring: before she pays, a buyer knows what a receipt must say, and whether hers does.
func TestPlanSaysWhatToBring(t *testing.T) {
	t.Parallel()
	w, m := shop(t, withTerms(func(t *dataset.Terms) { t.BrokerAway = dataset.AwayFail }))
	p := w.plan()
	a := p.Access
	if p.Allowed || a.Kind != dataset.AccessReceipt || a.Offer != w.data.Manifest.OfferDigest() || a.Version != 1 || a.Left != 0 ||
		a.Receipt == nil || a.Receipt.Issuer != entitlementtest.Issuer || a.Receipt.MinAmount != 5 || len(a.Receipt.Kids) != 2 || p.BrokerAway != dataset.AwayFail {
		t.Errorf("%+v", p)
	}
	w.with(w.sold(m, func(c *receipt.Claims) { c.Uses = 3 }))
	if p := w.plan(); !p.Allowed || p.Access.Left != 3 {
		t.Errorf("%+v", p)
	}
	must(t, w.again(1))
	w.with(w.job.Receipts...)
	if p := w.plan(); !p.Allowed || p.Access.Left != 2 {
		t.Errorf("after one job: %+v", p)
	}
}

// TestTheReceiptThatFitsIsUsed: of several the one that covers the job's epochs and leaves, wherever it stands.
func TestTheReceiptThatFitsIsUsed(t *testing.T) {
	t.Parallel()
	w, m := shop(t, func(c *dataset.PackConfig) {
		c.Source, c.SegmentBytes = strings.NewReader("a,b\n"+strings.Repeat("1,"+strings.Repeat("x", 64)+"\n", 10*rows)), 12<<10
	})
	all, first := w.data.Manifest.Tree.Size, w.data.Manifest.Segments[0].Leaves
	if first == all {
		t.Fatal("one segment: a receipt for a part of the package cannot be told from one for all")
	}
	few := func(c *receipt.Claims) { c.Epochs = 1 }
	enough := func(c *receipt.Claims) { c.Epochs = 3 }
	nothing := func(c *receipt.Claims) { c.Chunks = &receipt.Chunks{First: all, Count: 1} }
	part := func(c *receipt.Claims) { c.Chunks = &receipt.Chunks{First: 0, Count: first} }
	for name, c := range map[string]struct {
		x, y   func(*receipt.Claims)
		leaves int64
	}{
		"more epochs":        {few, enough, all},
		"another part":       {nothing, part, first},
		"more leaves":        {part, enough, all},
		"epochs over leaves": {few, part, first},
	} {
		t.Run(name, func(t *testing.T) {
			for _, order := range [][]func(*receipt.Claims){{c.x, c.y}, {c.y, c.x}} {
				w.with(w.sold(m, order[0]), w.sold(m, order[1]))
				e := w.asking(1)
				must(t, e.release(w.data))
				o := e.grants[w.data.ID].Predicate.Obligations
				if got := o.Leaves.Count(); got != c.leaves || o.Epochs != 2 {
					t.Errorf("%d leaves in %d epochs, want %d in 2", got, o.Epochs, c.leaves)
				}
			}
		})
	}
}
