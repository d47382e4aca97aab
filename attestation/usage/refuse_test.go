// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// bad is one way to bend a run, and the rule that must notice.
type bad struct {
	rule, part string
	scenario   usagetest.Scenario
	after      func(r *usagetest.Run)                   // changes parts; they are sealed again
	proof      func(r *usagetest.Run, p map[string]any) // changes the log entry as JSON
}

var other = envelope.Sum([]byte("something else"))

func onGrant(i int, f func(g *grant.Grant)) usagetest.Scenario {
	return usagetest.Scenario{Grant: func(n int, g *grant.Grant) {
		if n == i {
			f(g)
		}
	}}
}

func onCommit(f func(c *grant.Commit)) usagetest.Scenario {
	return usagetest.Scenario{Commit: func(i int, c *grant.Commit) {
		if i == 1 {
			f(c)
		}
	}}
}

func onOffer(f func(m *dataset.Manifest)) usagetest.Scenario {
	return usagetest.Scenario{Offer: func(i int, m *dataset.Manifest) {
		if i == 1 {
			f(m)
		}
	}}
}

func onUsage(f func(s *usage.Statement)) usagetest.Scenario { return usagetest.Scenario{Statement: f} }
func onJob(f func(j *job.Job)) usagetest.Scenario           { return usagetest.Scenario{Job: f} }
func onTrust(f func(t *usage.Trust)) usagetest.Scenario     { return usagetest.Scenario{Trust: f} }
func onTicket(f func(t *grant.Ticket)) usagetest.Scenario   { return usagetest.Scenario{Ticket: f} }
func onBinding(f func(b *attestation.Binding)) usagetest.Scenario {
	return usagetest.Scenario{Binding: f}
}

func onEvidence(f func(e *attestation.Evidence)) usagetest.Scenario {
	return usagetest.Scenario{Evidence: f}
}

func evidenceCases() map[string]bad {
	return map[string]bad{
		"evidence of another enclave":  {rule: "evidence.authenticate", part: "evidence", after: func(r *usagetest.Run) { r.Platform = usagetest.NewPlatform(attestation.AssuranceSoftwareTPM) }},
		"evidence for another binding": {rule: "evidence.bind", part: "evidence", scenario: onEvidence(func(e *attestation.Evidence) { e.Claims.LeaseID = envelope.NewNonce() })},
		"unknown measurement": {rule: "evidence.appraise", part: "evidence", scenario: usagetest.Scenario{Reference: func(r *attestation.Reference) {
			for k := range r.Values[0].Measurements {
				r.Values[0].Measurements[k] = strings.Repeat("bb", 32)
			}
		}}},
		"reference values expired by then": {rule: "evidence.appraise", part: "evidence", scenario: usagetest.Scenario{Reference: func(r *attestation.Reference) { r.NotAfter = usagetest.Now/1000 - 1 }}},
		"unknown platform":                 {rule: "evidence.platform", part: "evidence", scenario: onEvidence(func(e *attestation.Evidence) { e.Platform = "sgx" })},
		"evidence never appraised":         {rule: "evidence.unappraised", part: "evidence", scenario: onTrust(func(t *usage.Trust) { t.References = nil })},
		"bound to another job":             {rule: "binding.job", part: "evidence", scenario: onBinding(func(b *attestation.Binding) { b.Job = other })},
		"bound to another runtime":         {rule: "binding.runtime", part: "evidence", scenario: onBinding(func(b *attestation.Binding) { b.Runtime = "native/1" })},
		"bound to another manifest":        {rule: "binding.owners", part: "evidence", scenario: onBinding(func(b *attestation.Binding) { b.Owners[1].Manifest = other })},
		"bound to the owners reordered":    {rule: "binding.owners", part: "evidence", scenario: onBinding(func(b *attestation.Binding) { slices.Reverse(b.Owners) })},
		"bound to one owner more": {rule: "binding.owners", part: "evidence", scenario: onBinding(func(b *attestation.Binding) {
			b.Owners = append(b.Owners, attestation.Owner{Audience: b.Owners[0].Audience, Nonce: envelope.NewNonce(), Manifest: other})
		})},
		"bound to another audience":                 {rule: "binding.owners", part: "evidence", scenario: onBinding(func(b *attestation.Binding) { b.Owners[1].Audience = b.Owners[0].Audience })},
		"one key for two roles":                     {rule: "keys.reuse", part: "manifest[1]", scenario: onTrust(func(t *usage.Trust) { t.References[0].Key = t.Owners[0] })},
		"assurance overstated by a grant":           {rule: "assurance.grant", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Assurance = "tpm" })},
		"assurance understated by a grant":          {rule: "assurance.grant", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Assurance = "simulated" })},
		"assurance overstated by the enclave":       {rule: "assurance.statement", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Assurance = "tee" })},
		"assurance below the auditor's minimum":     {rule: "assurance.minimum", part: "evidence", scenario: onTrust(func(t *usage.Trust) { t.MinAssurance = attestation.AssuranceTPM })},
		"assurance below the terms":                 {rule: "assurance.terms", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Terms.MinAssurance = "tee" })},
		"a real dataset released to a software TPM": {rule: "assurance.test", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Test, m.Terms.MinAssurance = false, "tpm" })},
	}
}

func packageCases() map[string]bad {
	return map[string]bad{
		"job signed by somebody else":      {rule: "job.signature", part: "job", after: resign(func(p *usage.Parts) *[]byte { return &p.Job }, func(k usagetest.Keys) usagetest.Key { return k.Nobody })},
		"manifest signed by another owner": {rule: "manifest.signature", part: "manifest[1]", after: resign(func(p *usage.Parts) *[]byte { return &p.Manifests[1] }, func(k usagetest.Keys) usagetest.Key { return k.CodeOwner })},
		"owner not trusted":                {rule: "manifest.owner", part: "manifest[1]", scenario: onTrust(func(t *usage.Trust) { t.Owners = t.Owners[1:] })},
		"a dataset as code":                {rule: "manifest.kind", part: "manifest[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Kind = dataset.KindCode })},
		"job names another manifest":       {rule: "manifest.job", part: "manifest[1]", scenario: onJob(func(j *job.Job) { j.Datasets[0] = other })},
		"job names one manifest more":      {rule: "manifest.job", part: "bundle", scenario: onJob(func(j *job.Job) { j.Datasets = append(j.Datasets, other) })},
		"mode not asked for":               {rule: "grant.mode", part: "grant[1]", scenario: onJob(func(j *job.Job) { j.Mode = "redacted" })},
		"purpose not in the terms":         {rule: "terms.purpose", part: "grant[1]", scenario: onJob(func(j *job.Job) { j.Purpose = "surveillance" })},
		"a prohibited purpose":             {rule: "terms.licence", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Terms.Licence.Prohibited = []string{"research"} })},
		"another territory":                {rule: "terms.licence", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Terms.Licence.Territories = []string{"CH"} })},
		"commercial use": {rule: "terms.licence", part: "grant[1]", scenario: usagetest.Scenario{
			Offer: onOffer(func(m *dataset.Manifest) { m.Terms.Licence.Commercial = false }).Offer, Job: func(j *job.Job) { j.Use.Commercial = true },
		}},
		"derivatives": {rule: "terms.licence", part: "grant[1]", scenario: usagetest.Scenario{
			Offer: onOffer(func(m *dataset.Manifest) { m.Terms.Licence.Derivatives = false }).Offer, Job: func(j *job.Job) { j.Use.Derive = true },
		}},
		"a table out of training": {rule: "terms.licence", part: "grant[1]", scenario: usagetest.Scenario{
			Offer: onOffer(training).Offer, Grant: onGrant(1, tables).Grant, Job: func(j *job.Job) { j.Outputs[0].Class = "table" },
			Statement: func(s *usage.Statement) { s.Outputs[0].Class = "table" },
		}},
		"tables let out of training": {rule: "terms.licence", part: "grant[1]", scenario: usagetest.Scenario{Offer: onOffer(training).Offer, Grant: onGrant(1, tables).Grant}},
		"a buyer not in the terms": {rule: "terms.buyers", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) {
			m.Terms.Buyers.Any, m.Terms.Buyers.Keys = false, []envelope.PublicKey{mustKey(envelope.RoleBuyer).Public()}
		})},
		"code not in the terms": {rule: "terms.code", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) {
			m.Terms.Code = dataset.Code{Manifests: []envelope.Digest{other}, Owners: []envelope.PublicKey{}}
		})},
		"code of another owner": {rule: "terms.code", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) {
			m.Terms.Code = dataset.Code{Manifests: []envelope.Digest{}, Owners: []envelope.PublicKey{mustKey(envelope.RoleOwner).Public()}}
		})},
		"code that does not verify":      {rule: "terms.code", part: "grant[1]", scenario: byCoder(), after: resign(func(p *usage.Parts) *[]byte { return &p.Manifests[0] }, func(k usagetest.Keys) usagetest.Key { return k.Creator })},
		"debited to another account":     {rule: "grant.population", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Population = "elsewhere" })},
		"debited to no account":          {rule: "grant.population", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Population = "" })},
		"code debited to an account":     {rule: "grant.population", part: "grant[0]", scenario: onGrant(0, func(g *grant.Grant) { g.Population = "default" })},
		"a permit that nobody brought":   {rule: "grant.entitlement", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Terms.Access = dataset.AccessPermit })},
		"more leaves than there are":     {rule: "terms.leaves", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Obligations.Leaves[0].Count++ })},
		"a segment cut in half":          {rule: "terms.leaves", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Obligations.Leaves[0].Count = 1 })},
		"a contributor cut in half":      {rule: "terms.leaves", part: "grant[1]", scenario: contributed(nil, func(g *grant.Grant) { g.Obligations.Leaves[0].Count-- })},
		"a contributor who never agreed": {rule: "terms.consent", part: "grant[1]", scenario: contributed(nil, nil)},
		"consent that ended": {rule: "terms.consent", part: "grant[1]", scenario: contributed(agreeing, func(g *grant.Grant) {
			g.Issued, g.Obligations.Expires = contributorsEnd*1000, contributorsEnd*1000+1000
		})},
		"a lease longer than a consent": {rule: "terms.consent", part: "grant[1]", scenario: contributed(agreeing, func(g *grant.Grant) { g.Obligations.Expires = contributorsEnd*1000 + 1 })},
		"more epochs than the terms":    {rule: "terms.epochs", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Terms.MaxEpochs = 1 })},
		"more epochs than the job":      {rule: "grant.epochs", part: "grant[1]", scenario: onJob(func(j *job.Job) { j.Epochs = 1 })},
		"output class not in the terms": {rule: "terms.outputs", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Terms.Outputs = []string{"metrics"} })},
		"more output than the terms":    {rule: "terms.outputs", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Terms.MaxOutputBytes = 1 << 15 })},
		"logs the terms forbid":         {rule: "terms.logs", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Obligations.Logs = grant.LogsSealed })},
		"more allowance than the terms": {rule: "terms.allowance", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Obligations.Allowance++ })},
		"a longer lease than the terms": {rule: "terms.lease", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Terms.LeaseSeconds = 10 })},
		"terms expired":                 {rule: "terms.expiry", part: "grant[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Terms.NotAfter = usagetest.Now/1000 - 10 })},
		"capability nobody asked for":   {rule: "grant.entitlement", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { d := other; g.Entitlement = &d })},
		"job expired":                   {rule: "grant.expiry", part: "grant[1]", scenario: onJob(func(j *job.Job) { j.NotAfter = usagetest.Now/1000 - 10 })},
	}
}

func training(m *dataset.Manifest) {
	m.Terms.Licence.TrainingOnly, m.Terms.Outputs = true, []string{"metrics", "model", "table"}
}

func tables(g *grant.Grant) { g.Obligations.Outputs = []string{"metrics", "model", "table"} }

// byCoder is a run over data whose terms admit the code of this run's code owner only.
func byCoder() usagetest.Scenario {
	var coder envelope.PublicKey
	return usagetest.Scenario{Pack: func(i int, c *dataset.PackConfig) {
		if i == 0 {
			coder = c.Signer.Public()
			return
		}
		c.Manifest.Terms.Code = dataset.Code{Manifests: []envelope.Digest{}, Owners: []envelope.PublicKey{coder}}
	}}
}

func grantCases() map[string]bad {
	return map[string]bad{
		"grant by another broker":      {rule: "grant.signature", part: "grant[1]", after: resign(func(p *usage.Parts) *[]byte { return &p.Grants[1] }, func(k usagetest.Keys) usagetest.Key { return k.Nobody })},
		"grant by the code's broker":   {rule: "grant.signature", part: "grant[1]", after: resign(func(p *usage.Parts) *[]byte { return &p.Grants[1] }, func(k usagetest.Keys) usagetest.Key { return k.CodeBroker })},
		"grant for another job":        {rule: "grant.job", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Job = other })},
		"grant for another lease":      {rule: "grant.binding", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Binding = other })},
		"grant for other evidence":     {rule: "grant.evidence", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Evidence = other })},
		"grant for another package":    {rule: "grant.manifest", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Manifest = other })},
		"grant for another buyer":      {rule: "grant.buyer", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Buyer = mustKey(envelope.RoleBuyer).Public() })},
		"grant for another attempt":    {rule: "grant.attempt", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Attempt = 2 })},
		"grant of another policy":      {rule: "grant.policy", part: "grant[1]", scenario: onUsage(func(s *usage.Statement) { s.Packages[1].Policy = other })},
		"grant not in the statement":   {rule: "grant.usage", part: "grant[1]", scenario: onUsage(func(s *usage.Statement) { s.Packages[1].Grant = other })},
		"grant for another ticket":     {rule: "grant.ticket", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Ticket = &other })},
		"grant without a ticket":       {rule: "grant.ticket", part: "grant[1]", scenario: onGrant(1, func(g *grant.Grant) { g.Ticket = nil })},
		"the code's grant on a ticket": {rule: "grant.ticket", part: "grant[0]", scenario: onGrant(0, func(g *grant.Grant) { g.Ticket = &other })},
		"grant on an expired ticket":   {rule: "grant.ticket", part: "grant[1]", scenario: onTicket(func(t *grant.Ticket) { t.Issued, t.Expires = usagetest.Now+50, usagetest.Now+100 })},
		"ticket by another broker":     {rule: "ticket.signature", part: "ticket", after: resign(func(p *usage.Parts) *[]byte { return &p.Ticket }, func(k usagetest.Keys) usagetest.Key { return k.CreatorBroker })},
		"ticket for another job":       {rule: "ticket.job", part: "ticket", scenario: onTicket(func(t *grant.Ticket) { t.Job = other })},
		"ticket for another lease":     {rule: "ticket.binding", part: "ticket", scenario: onTicket(func(t *grant.Ticket) { t.Binding = other })},
		"ticket for another attempt":   {rule: "ticket.attempt", part: "ticket", scenario: onTicket(func(t *grant.Ticket) { t.Attempt = 2 })},
		"commit by another broker":     {rule: "commit.signature", part: "commit[1]", after: resign(func(p *usage.Parts) *[]byte { return &p.Commits[1] }, func(k usagetest.Keys) usagetest.Key { return k.Nobody })},
		"no commit":                    {rule: "commit.missing", part: "commit[1]", after: func(r *usagetest.Run) { r.Parts.Commits[1] = nil }},
		"commit for another lease":     {rule: "commit.binding", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Binding = other })},
		"commit for another package":   {rule: "commit.manifest", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Manifest = other })},
		"commit for another job":       {rule: "commit.job", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Job = other })},
		"commit for another grant":     {rule: "commit.grant", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Grant = other })},
		"commit of other usage":        {rule: "commit.usage", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Usage = other })},
		"commit of another outcome":    {rule: "commit.outcome", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Outcome, c.Amount, c.Records = "failed", 0, 0 })},
		"commit before its grant":      {rule: "commit.time", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Time = usagetest.Now - 1 })},
		"commit out of sequence":       {rule: "commit.sequence", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Sequence = 4 })},
		"commit in a forked chain":     {rule: "commit.sequence", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Previous = &other })},
		"commit bills other records":   {rule: "commit.records", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Records-- })},
		"commit bills another amount":  {rule: "commit.amount", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Amount++ })},
		"commit in another currency":   {rule: "commit.currency", part: "commit[1]", scenario: onCommit(func(c *grant.Commit) { c.Currency = "USD" })},
		"a price beyond every amount":  {rule: "commit.amount", part: "commit[1]", scenario: onOffer(func(m *dataset.Manifest) { m.Terms.Price.PerRecord = 1<<53 - 1 })},
		"commits beyond the spend cap": {rule: "commit.spend", part: "job", scenario: onJob(func(j *job.Job) { j.SpendCap = 100 })},
	}
}

func usageCases() map[string]bad {
	data := func(f func(p *usage.Package)) usagetest.Scenario {
		return onUsage(func(s *usage.Statement) { f(&s.Packages[1]) })
	}
	return map[string]bad{
		"usage signed by another lease":  {rule: "usage.signature", part: "usage", after: resign(func(p *usage.Parts) *[]byte { return &p.Usage }, func(k usagetest.Keys) usagetest.Key { return k.Nobody })},
		"usage of another job":           {rule: "usage.job", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Job = other })},
		"usage of another lease":         {rule: "usage.binding", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Binding = other })},
		"usage under other evidence":     {rule: "usage.evidence", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Evidence = other })},
		"usage in another runtime":       {rule: "usage.runtime", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Runtime = "native/1" })},
		"usage without a dataset":        {rule: "usage.packages", part: "usage", scenario: usagetest.Scenario{Datasets: 2, Statement: func(s *usage.Statement) { s.Packages = s.Packages[:2] }}},
		"usage out of order":             {rule: "usage.packages", part: "usage", scenario: onUsage(func(s *usage.Statement) { slices.Reverse(s.Packages) })},
		"usage of a package twice":       {rule: "usage.signature", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Packages[1] = s.Packages[0] })},
		"usage of an unknown package":    {rule: "usage.packages", part: "usage", scenario: data(func(p *usage.Package) { p.Manifest = other })},
		"ran longer than the job allows": {rule: "usage.wall", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Measured.WallMillis, s.Time.Finished = 70_000, 80_000 })},
		"ran longer than it took":        {rule: "usage.time", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Measured.WallMillis = 10_000 })},
		"output not declared":            {rule: "usage.outputs", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Outputs[0].Name = "records.csv" })},
		"output of another class":        {rule: "usage.outputs", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Outputs[0].Class = "metrics" })},
		"output larger than declared":    {rule: "usage.outputs", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Outputs[1].Bytes = 1<<10 + 1 })},
		"output twice":                   {rule: "usage.outputs", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Outputs[1] = s.Outputs[0] })},
		"outputs reordered":              {rule: "usage.outputs", part: "usage", scenario: onUsage(func(s *usage.Statement) { slices.Reverse(s.Outputs) })},
		"more output than the job":       {rule: "usage.outputs", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Outputs[0].Bytes = 1 << 16 })},
		"output class not granted":       {rule: "use.outputs", part: "usage", scenario: onGrant(1, func(g *grant.Grant) { g.Obligations.Outputs = []string{"metrics"} })},
		"more output than granted":       {rule: "use.outputs", part: "usage", scenario: onGrant(1, func(g *grant.Grant) { g.Obligations.MaxOutput = 5000 })},
		"leaves not granted":             {rule: "use.leaves", part: "usage", scenario: onGrant(1, func(g *grant.Grant) { g.Obligations.Leaves[0].Count-- })},
		"more epochs than granted":       {rule: "use.epochs", part: "usage", scenario: onGrant(1, func(g *grant.Grant) { g.Obligations.Epochs = 1 })},
		"more leaves than heartbeats":    {rule: "use.allowance", part: "usage", scenario: data(func(p *usage.Package) { p.Heartbeat -= 2 })},
		"more records than were there":   {rule: "use.records", part: "usage", scenario: data(func(p *usage.Package) { p.Records++ })},
		"more billable than were there":  {rule: "use.records", part: "usage", scenario: data(func(p *usage.Package) { p.Records, p.Billable = p.Records+1, p.Records+1 })},
		"fewer billable than records":    {rule: "use.billable", part: "usage", scenario: data(func(p *usage.Package) { p.Billable-- })},
		"nothing billable":               {rule: "use.billable", part: "usage", scenario: data(func(p *usage.Package) { p.Billable = 0 })},
		"more reads than epochs":         {rule: "use.reads", part: "usage", scenario: data(func(p *usage.Package) { p.Reads *= 100; p.Bytes *= 100; p.Heartbeat = 100_000 })},
		"one byte a leaf":                {rule: "use.bytes", part: "usage", scenario: data(func(p *usage.Package) { p.Bytes = p.Reads })},
		"one byte less than one pass":    {rule: "use.bytes", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Packages[0].Bytes-- })},
		"read and nothing delivered":     {rule: "use.records", part: "usage", scenario: data(func(p *usage.Package) { p.Records, p.Billable, p.Epochs = 0, 0, 0 })},
		"more epochs than reads":         {rule: "use.epochs", part: "usage", scenario: data(func(p *usage.Package) { p.Reads /= 2; p.Bytes /= 2 })},
		"code never read": {rule: "use.code", part: "usage", scenario: onUsage(func(s *usage.Statement) {
			p := &s.Packages[0]
			p.Leaves, p.ReadRoot, p.Reads, p.Bytes, p.Records, p.Billable, p.Epochs = []grant.Range{}, nil, 0, 0, 0, 0, 0
		})},
		"code read in part":          {rule: "use.code", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Packages[0].Records, s.Packages[0].Billable = 0, 0 })},
		"isolation in free text":     {rule: "usage.isolation", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Isolation = "none" })},
		"completed without a worker": {rule: "usage.isolation", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Isolation = usage.NotStarted; s.Measured = usage.Measured{} })},
		"executed without a worker": {rule: "usage.execution", part: "usage", scenario: usagetest.Scenario{Failed: usage.ReasonWorker, Statement: func(s *usage.Statement) {
			s.Isolation, s.Measured = usage.NotStarted, usage.Measured{}
		}}},
		"counted by another table":     {rule: "usage.execution", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Execution.Costs = "fuel/0" })},
		"out of fuel without a module": {rule: "usage.execution", part: "usage", scenario: usagetest.Scenario{Failed: usage.ReasonFuel, Statement: func(s *usage.Statement) { s.Execution = nil }}},
		"more fuel than the job":       {rule: "usage.fuel", part: "usage", scenario: onJob(func(j *job.Job) { j.Limits.Fuel = 1_499_999_999 })},
		"completed without fuel":       {rule: "usage.fuel", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Execution.Fuel = 0 })},
		"out of fuel with some left":   {rule: "usage.fuel", part: "usage", scenario: usagetest.Scenario{Failed: usage.ReasonFuel}},
		"a thousand years of CPU time": {rule: "usage.cpu", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Measured.CPUMillis = 1 << 50 })},
		"more memory than the job":     {rule: "usage.memory", part: "usage", scenario: onUsage(func(s *usage.Statement) { s.Measured.PeakMemory = 1 << 50 })},
		"more bytes than leaves":       {rule: "use.bytes", part: "usage", scenario: data(func(p *usage.Package) { p.Bytes = p.Reads*65656 + 1 })},
		"another tree was read":        {rule: "use.root", part: "usage", scenario: data(func(p *usage.Package) { p.ReadRoot = &other })},
		"ran beyond a creator's lease": {rule: "use.expiry", part: "usage", scenario: usagetest.Scenario{Statement: late, Grant: func(i int, g *grant.Grant) { g.Obligations.Expires = g.Issued + int64(1+(1-i)*100)*10_000 }}},
		"ran beyond the buyer's lease": {rule: "use.expiry", part: "usage", scenario: usagetest.Scenario{Statement: late, Grant: func(i int, g *grant.Grant) { g.Obligations.Expires = g.Issued + int64(1+i*100)*10_000 }}},
		"granted before the challenge": {rule: "use.time", part: "usage", scenario: onGrant(0, func(g *grant.Grant) { g.Issued -= 60_000 })},
		"granted after the release":    {rule: "use.time", part: "usage", scenario: onGrant(0, func(g *grant.Grant) { g.Issued += 60_000 })},
		"granted on an old nonce":      {rule: "use.time", part: "usage", scenario: usagetest.Scenario{Grant: func(_ int, g *grant.Grant) { g.Issued += 200_000 }, Statement: func(s *usage.Statement) { s.Time.Released, s.Time.Started, s.Time.Finished = 300_000, 300_000, 301_000 }}},
	}
}

// late makes a run finish half a minute after its release.
func late(s *usage.Statement) { s.Time.Finished, s.Measured.WallMillis = 30_000, 29_000 }

func logCases() map[string]bad {
	inclusion := func(p map[string]any) map[string]any { return p["inclusionProof"].(map[string]any) }
	return map[string]bad{
		"a proof for another tree": {rule: "log.proof", part: "proof", proof: func(r *usagetest.Run, p map[string]any) {
			foreign, err := usagetest.NewLog(5)
			r.Check(err)
			cp, err := foreign.Checkpoint()
			r.Check(err)
			inclusion(p)["checkpoint"].(map[string]any)["envelope"] = cp
		}},
		"a checkpoint without this entry": {rule: "log.proof", part: "proof", proof: func(r *usagetest.Run, p map[string]any) {
			r.Log.Append([]byte("another entry"))
			cp, err := r.Log.Checkpoint()
			r.Check(err)
			inclusion(p)["checkpoint"].(map[string]any)["envelope"] = cp
		}},
		"an audit path cut short": {rule: "log.proof", part: "proof", proof: func(_ *usagetest.Run, p map[string]any) {
			h := inclusion(p)["hashes"].([]any)
			inclusion(p)["hashes"] = h[1:]
		}},
		"a hash of the wrong length":   {rule: "log.proof", part: "proof", proof: func(_ *usagetest.Run, p map[string]any) { inclusion(p)["hashes"].([]any)[0] = "AAAA" }},
		"another index":                {rule: "log.proof", part: "proof", proof: func(_ *usagetest.Run, p map[string]any) { p["logIndex"], inclusion(p)["logIndex"] = "1", "1" }},
		"two indices":                  {rule: "log.proof", part: "proof", proof: func(_ *usagetest.Run, p map[string]any) { p["logIndex"] = "1" }},
		"an index with a leading zero": {rule: "log.proof", part: "proof", proof: func(_ *usagetest.Run, p map[string]any) { p["logIndex"], inclusion(p)["logIndex"] = "05", "05" }},
		"another root hash": {rule: "log.proof", part: "proof", proof: func(_ *usagetest.Run, p map[string]any) {
			inclusion(p)["rootHash"] = base64.StdEncoding.EncodeToString(other[:])
		}},
		"the entry of another statement": {rule: "log.body", part: "proof", proof: func(_ *usagetest.Run, p map[string]any) { p["canonicalizedBody"] = "AAAA" }},
		"an entry of another kind":       {rule: "log.kind", part: "proof", proof: func(_ *usagetest.Run, p map[string]any) { p["kindVersion"].(map[string]any)["version"] = "0.0.1" }},
		"an entry of another log": {rule: "log.key", part: "proof", proof: func(_ *usagetest.Run, p map[string]any) {
			p["logId"].(map[string]any)["keyId"] = base64.StdEncoding.EncodeToString(other[:])
		}},
		"a log that is not trusted": {rule: "log.key", part: "proof", scenario: onTrust(func(t *usage.Trust) {
			foreign, err := usagetest.NewLog(1)
			if err == nil {
				t.Log, err = usage.WriteTrustedRoot(foreign.Log, time.UnixMilli(usagetest.Now))
			}
			if err != nil {
				panic(err)
			}
		})},
		"no log is trusted":                 {rule: "trust.log", part: "trust", scenario: onTrust(func(t *usage.Trust) { t.Log = nil })},
		"a trusted root that is none":       {rule: "trust.log", part: "trust", scenario: onTrust(func(t *usage.Trust) { t.Log = []byte(`{"mediaType":"x"}`) })},
		"no owner is trusted":               {rule: "trust.owners", part: "trust", scenario: onTrust(func(t *usage.Trust) { t.Owners = nil })},
		"no reference values are trusted":   {rule: "trust.references", part: "trust", scenario: onTrust(func(t *usage.Trust) { t.References = nil })},
		"reference values by somebody else": {rule: "trust.references", part: "trust", scenario: onTrust(func(t *usage.Trust) { t.References[0].Key = mustKey(envelope.RoleReference).Public() })},
		"two lists of reference values":     {rule: "trust.references", part: "trust", scenario: onTrust(func(t *usage.Trust) { t.References = append(t.References, t.References[0]) })},
		"no minimum assurance":              {rule: "trust.assurance", part: "trust", scenario: onTrust(func(t *usage.Trust) { t.MinAssurance = "" })},
		"a minimum assurance nobody knows":  {rule: "trust.assurance", part: "trust", scenario: onTrust(func(t *usage.Trust) { t.MinAssurance = "perfect" })},
	}
}

// resign signs one part again, unchanged, with another key.
func resign(part func(*usage.Parts) *[]byte, key func(usagetest.Keys) usagetest.Key) func(r *usagetest.Run) {
	return func(r *usagetest.Run) {
		p := part(&r.Parts)
		b, err := usagetest.Resign(*p, key(r.Keys), func(map[string]any) {})
		r.Check(err)
		*p = b
	}
}

func mustKey(role envelope.Role) usagetest.Key {
	k, err := usagetest.NewKey(role)
	if err != nil {
		panic(err)
	}
	return k
}

// bent builds the run of a case and its bundle.
func bent(t *testing.T, base *usagetest.Run, c bad) (*usagetest.Run, []byte) {
	t.Helper()
	var r *usagetest.Run
	if c.scenario.Offer != nil || c.scenario.Pack != nil || c.scenario.Datasets != 0 || c.scenario.Mode != "" {
		r = usagetest.New(t, c.scenario)
	} else {
		r = base.Again(t, c.scenario)
	}
	if c.after != nil {
		c.after(r)
		r.Seal()
	}
	if c.proof == nil {
		return r, r.Bundle
	}
	m := bundleJSON(t, r)
	c.proof(r, m["usage"].(map[string]any)["verificationMaterial"].(map[string]any)["tlogEntries"].([]any)[0].(map[string]any))
	return r, canonical(t, m)
}

// refuse demands a finding of the case's rule about its part.
func refuse(t *testing.T, base *usagetest.Run, c bad) {
	t.Helper()
	r, bundle := bent(t, base, c)
	v := audit(t, r, bundle)
	if !slices.ContainsFunc(v.Findings, func(f usage.Finding) bool { return f.Rule == c.rule && f.Part == c.part && f.Message != "" }) {
		t.Errorf("want %s about %s, got %v", c.rule, c.part, v.Findings)
	}
}

func refusals() map[string]bad {
	all := map[string]bad{}
	for _, group := range []map[string]bad{evidenceCases(), packageCases(), grantCases(), usageCases(), logCases(), witnessCases(), transformCases(), spentCases(), declaredCases()} {
		for name, c := range group {
			all[name] = c
		}
	}
	return all
}

func TestRefusals(t *testing.T) {
	base := usagetest.New(t, usagetest.Scenario{})
	for name, c := range refusals() {
		t.Run(name, func(t *testing.T) { refuse(t, base, c) })
	}
}

// Attacks the issue names, by name.
func TestEvidenceOfAnotherEnclave(t *testing.T) { attack(t, "evidence of another enclave") }
func TestEmptyReferenceValues(t *testing.T)     { attack(t, "no reference values are trusted") }
func TestGrantForAnotherJob(t *testing.T)       { attack(t, "grant for another job") }
func TestGrantForAnotherLease(t *testing.T)     { attack(t, "grant for another lease") }
func TestGrantByAnotherBroker(t *testing.T)     { attack(t, "grant by another broker") }
func TestExpiredGrant(t *testing.T)             { attack(t, "ran beyond a creator's lease") }
func TestWrongOwnerKey(t *testing.T)            { attack(t, "manifest signed by another owner") }
func TestProofForAnotherTree(t *testing.T)      { attack(t, "a proof for another tree") }
func TestNoModelWithoutCommit(t *testing.T)     { attack(t, "no commit") }

func attack(t *testing.T, name string) {
	t.Helper()
	c, ok := refusals()[name]
	if !ok {
		t.Fatalf("no case %q", name)
	}
	refuse(t, usagetest.New(t, usagetest.Scenario{}), c)
}

// elsewhere are rules that other tests meet, or that nothing can break in this release, with the reason.
var elsewhere = map[string]string{
	"bundle.malformed":   "TestParseBundle",
	"evidence.malformed": "TestMalformedEvidence",
	"trust.platforms":    "TestNoPlatform",
	"lost.signature":     "TestLeaseLostRefusals",
	"use.erased":         "TestErasedLeafIsRead",
	"log.hint":           "TestEveryProofFieldDeletedOrZeroed",
}

// TestEveryRuleHasARefusal reads the source: a rule nobody tests is a check one could take out.
func TestEveryRuleHasARefusal(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range refusals() {
		tested[c.rule] = true
	}
	rules := rulesInSource(t)
	spec, err := os.ReadFile("../../docs/spec/bundle.md")
	if err != nil {
		t.Fatal(err)
	}
	for rule := range rules {
		if !tested[rule] && elsewhere[rule] == "" && lostCases[rule] == nil {
			t.Errorf("no test breaks rule %s", rule)
		}
		if !strings.Contains(string(spec), "`"+rule+"`") {
			t.Errorf("docs/spec/bundle.md does not list rule %s", rule)
		}
	}
	for rule := range tested {
		if !rules[rule] {
			t.Errorf("rule %s is not in the source", rule)
		}
	}
}

func rulesInSource(t *testing.T) map[string]bool {
	t.Helper()
	rule := regexp.MustCompile(`"((?:trust|job|manifest|evidence|binding|usage|grant|terms|ticket|use|commit|assurance|keys|log|lost|bundle)\.[a-z]+)"`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range rule.FindAllSubmatch(b, -1) {
			out[string(m[1])] = true
		}
	}
	if len(out) < 60 {
		t.Fatalf("only %d rules found", len(out))
	}
	return out
}

func TestNoPlatform(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	for name, formats := range map[string]usage.Formats{
		"none":  nil,
		"empty": func([]envelope.PublicKey) []attestation.Format { return nil },
	} {
		v, err := usage.Audit(context.Background(), r.Bundle, r.Trust, formats)
		if err != nil || v.OK() {
			t.Errorf("%s: verified without a platform: %v", name, err)
		}
	}
}

func TestMalformedEvidence(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{})
	v := audit(t, r, replace(t, r, "evidence", []byte(`{"version":2}`)))
	if v.OK() || v.Findings[0].Rule != "evidence.malformed" {
		t.Errorf("got %v", v.Findings)
	}
}
