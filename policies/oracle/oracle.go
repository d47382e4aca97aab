// SPDX-License-Identifier: Apache-2.0

// Package oracle decides the same requests as the Rego rules in policies, in plain Go and without OPA. Tests compare the
// two, and people's tools explain terms with it. Brokers ask the rules.
//
// Trust domain: the owner's side; the package is pure. Its one job: a second opinion, written from docs/spec/policy.md
// and not from the rules. It knows nothing of creators' own rules, which can only narrow what it allows.
package oracle

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/licence"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// Decide says whether the terms, the job and the broker's books allow a release, every reason why not, and what the
// enclave must enforce where they do. Reasons are sorted by rule. A request that is not complete is denied by rule
// "input".
func Decide(r input.Request) (allow bool, reasons []grant.Reason, o grant.Obligations) {
	if err := r.Validate(); err != nil {
		return false, []grant.Reason{{Rule: "input", Message: err.Error(), Satisfy: "send every field of the request"}}, o
	}
	c := &check{Request: r, data: r.Package.Kind == dataset.KindDataset}
	c.packageAndJob()
	c.machine()
	c.account()
	c.validity()
	c.withdrawn()
	if c.data {
		c.terms()
		c.licence()
		c.entitlement()
	} else {
		c.ownCode()
	}
	c.privacy()
	c.declared()
	if len(c.reasons) > 0 {
		slices.SortFunc(c.reasons, func(a, b grant.Reason) int { return cmp.Compare(a.Rule, b.Rule) })
		return false, c.reasons, o
	}
	return true, nil, c.obligations()
}

type check struct {
	input.Request
	data    bool // not code
	reasons []grant.Reason
}

// need denies by a rule unless ok.
func (c *check) need(ok bool, rule, message, satisfy string) {
	if !ok {
		c.reasons = append(c.reasons, grant.Reason{Rule: rule, Message: message, Satisfy: satisfy})
	}
}

func (c *check) has(rule string) bool {
	return slices.ContainsFunc(c.reasons, func(r grant.Reason) bool { return r.Rule == rule })
}

func (c *check) packageAndJob() {
	id := c.Package.Manifest.String()
	named := c.Job.Code == id
	if c.data {
		named = slices.Contains(c.Job.Datasets, id)
	}
	c.need(named, "package", "the job does not name this package", "submit a job that names the package's manifest")
	c.need(dataset.Enforced(c.Job.Mode) && slices.Contains(c.Terms.Modes, c.Job.Mode), "mode",
		fmt.Sprintf("privacy mode %q is not allowed", c.Job.Mode),
		fmt.Sprintf("ask for one of %s; this release enforces %s", quote(c.Terms.Modes), quote(dataset.Modes())))
	want, some := c.data && c.Job.Mode != dataset.ModeRaw, len(c.Terms.Steps) > 0
	c.need(c.has("mode") || want == some || want && dataset.Private(c.Job.Mode), "steps", fmt.Sprintf("privacy mode %q does not have the steps that it rests on", c.Job.Mode),
		"ask the owner for a version of the package with steps for the mode, and none for raw-in-tee")
	most := c.Terms.MaxEpochs
	if dataset.Private(c.Job.Mode) {
		most = min(most, 1)
	}
	c.need(c.epochs() <= most, "epochs", fmt.Sprintf("%d epochs are more than allowed", c.Job.Epochs), fmt.Sprintf("ask for at most %d", most))
}

// epochs: code is read once.
func (c *check) epochs() int {
	if c.data {
		return c.Job.Epochs
	}
	return 1
}

func (c *check) machine() {
	may := []string{job.RuntimeWASM}
	if dataset.Private(c.Job.Mode) {
		may = dataset.RuntimesFor(c.Job.Mode)
		if c.data {
			may = slices.DeleteFunc(may, func(r string) bool { return !slices.Contains(c.Terms.Private.Runtimes, r) })
		}
	}
	beside := dataset.Private(c.Job.Mode) && c.has("mode")
	words := fmt.Sprintf("runtime %q was asked for, %q attested", c.Job.Runtime, c.Evidence.Runtime)
	if c.Evidence.Runtime == c.Job.Runtime {
		words = fmt.Sprintf("runtime %q is not allowed", c.Job.Runtime)
	}
	c.need(beside || slices.Contains(may, c.Job.Runtime) && c.Evidence.Runtime == c.Job.Runtime, "runtime", words, "use one of "+quote(may))
	strong := c.Evidence.Assurance.AtLeast(attestation.AssuranceTPM) || c.Package.Test && c.Evidence.Assurance.AtLeast(attestation.AssuranceSimulated)
	c.need(strong && c.Evidence.Assurance.AtLeast(attestation.Assurance(c.Terms.MinAssurance)), "assurance",
		fmt.Sprintf("assurance %q is too weak", c.Evidence.Assurance),
		fmt.Sprintf("run on a platform of assurance %q or better; below %q only packages packed as tests are released", c.Terms.MinAssurance, attestation.AssuranceTPM))
}

func (c *check) account() {
	a, t := &c.Account, &c.Terms
	c.need(a.Uses < t.MaxUses, "uses", fmt.Sprintf("all %d uses are taken", t.MaxUses), "ask the owner for a version of the package with more uses")
	c.need(a.BuyerUses < t.Buyers.MaxUses, "buyer-uses",
		fmt.Sprintf("this buyer has used the package in %d jobs, and one buyer may in %d", a.BuyerUses, t.Buyers.MaxUses),
		"ask the owner for a version of the package with more uses for each buyer")
	c.need(a.Cost <= c.Job.SpendCap && a.Reserved <= c.Job.SpendCap-a.Cost, "cost",
		fmt.Sprintf("this package may cost %s, and %s of the job's spend cap %s is reserved already", c.money(a.Cost), c.money(a.Reserved), c.money(c.Job.SpendCap)),
		"raise the job's spend cap or ask for fewer epochs")
}

func (c *check) money(millionths int64) string {
	return fmt.Sprintf("%d.%06d %s", millionths/1_000_000, millionths%1_000_000, c.Terms.Currency)
}

// micro writes millionths as the number that they are, and pico 10⁻¹².
func micro(n int64) string { return strconv.FormatFloat(float64(n)/1_000_000, 'f', -1, 64) }
func pico(n int64) string  { return strconv.FormatFloat(float64(n)/1_000_000_000_000, 'g', -1, 64) }

func (c *check) before(seconds int64) bool { return c.Now < seconds*1000 }

func day(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(time.RFC3339) }

func (c *check) validity() {
	c.need(c.before(c.Terms.NotAfter), "terms-expired", "the terms ended on "+day(c.Terms.NotAfter), "ask the owner for a current version of the package")
	c.need(c.before(c.Job.NotAfter), "job-expired", "the job ended on "+day(c.Job.NotAfter), "submit a new job with a later expiry")
	c.need(c.Package.Version == c.Package.Latest, "version",
		fmt.Sprintf("version %d of the package was replaced by version %d", c.Package.Version, c.Package.Latest),
		"submit a job that names the package's current manifest")
}

func (c *check) withdrawn() {
	var what []string
	for name, yes := range map[string]bool{
		"buyer": c.Revoked.Buyer, "code": c.Revoked.Code, "dataset": c.Revoked.Dataset, "grant": c.Revoked.Grant,
		"job": c.Revoked.Job, "manifest": c.Revoked.Manifest, "permit": c.Revoked.Permit,
	} {
		if yes {
			what = append(what, name)
		}
	}
	slices.Sort(what)
	c.need(len(what) == 0, "revoked", "revoked by the owner: "+strings.Join(what, ", "), "ask the owner why; a revocation is not undone")
	c.need(!c.Cancelled, "cancelled", "the buyer cancelled this job", "submit a new job")
}

// ownCode: code is for jobs of its owner.
func (c *check) ownCode() {
	c.need(c.Buyer != "" && c.Job.Buyer == c.Buyer, "buyer", "the code's owner did not sign this job", "sign the job with the buyer key of the code's owner")
	c.need(c.Terms.Access == dataset.AccessOpen, "entitlement", "code takes no entitlement, and its terms ask for one", "pack the code with open access")
}

func (c *check) terms() {
	t, j := &c.Terms, &c.Job
	c.need(slices.Contains(t.Purposes, j.Purpose), "purpose", fmt.Sprintf("purpose %q is not allowed", j.Purpose), "state one of "+quote(t.Purposes))
	c.need(subset(j.Outputs, t.Outputs), "outputs", fmt.Sprintf("output classes %s are not all allowed", quote(j.Outputs)), "declare only "+quote(t.Outputs))
	c.need(j.OutputBytes <= t.MaxOutputBytes, "output-bytes", fmt.Sprintf("%d bytes of output are more than allowed", j.OutputBytes),
		fmt.Sprintf("limit outputs to %d bytes", t.MaxOutputBytes))
	c.need(t.Buyers.Any || slices.Contains(t.Buyers.Keys, j.Buyer), "buyer", "the terms do not admit this buyer",
		"ask the owner for a version of the package that admits your key")
	c.need(t.Code.Any || slices.Contains(t.Code.Manifests, j.Code) || j.CodeOwner != "" && slices.Contains(t.Code.Owners, j.CodeOwner), "code",
		"the terms do not admit this code", "run a code package that the terms name, by its manifest or by its owner")
}

func (c *check) licence() {
	use := licence.Use{
		Commercial: c.Job.Commercial, Derive: c.Job.Derive, Territory: c.Job.Territory, Purpose: c.Job.Purpose, Outputs: c.Job.Outputs,
	}
	for _, r := range c.Terms.Licence.Permits(use) {
		c.need(false, r.Rule, r.Message, r.Satisfy)
	}
}

func (c *check) entitlement() {
	t, e := &c.Terms, &c.Entitlement
	if t.Access == dataset.AccessOpen {
		c.need(len(t.Buyers.Require) == 0, "attributes", "the terms ask what buyers are, and for no receipt that states it", "ask the owner for a version of the package with receipts")
		return
	}
	if e.Kind != t.Access {
		c.need(false, "entitlement", fmt.Sprintf("access is by %s, and the buyer brought %s", t.Access, e.Kind), "bring a "+t.Access+" for this package")
		return
	}
	c.need(e.Left >= 1, "entitlement-uses", fmt.Sprintf("the %s is used up", e.Kind), "bring another one")
	c.need(c.before(e.NotAfter), "entitlement-expired", fmt.Sprintf("the %s ended on %s", e.Kind, day(e.NotAfter)), "bring a current one")
	c.need(slices.Contains(e.Operations, c.Job.Operation), "operation", fmt.Sprintf("the %s is for %s", e.Kind, quote(e.Operations)), fmt.Sprintf("bring one for %q", c.Job.Operation))
	c.need(e.Code == input.Any || e.Code == c.Job.Code, "entitlement-code", fmt.Sprintf("the %s is for other code", e.Kind), "run the code that it names, or bring another one")
	c.need(e.Buyer == input.Any || e.Buyer == c.Job.Buyer, "entitlement-buyer", fmt.Sprintf("the %s is for another buyer", e.Kind), "bring one that names the buyer who signed the job")
	c.need(int64(c.Job.Epochs) <= e.Epochs, "entitlement-epochs", fmt.Sprintf("%d epochs are more than the %s allows", c.Job.Epochs, e.Kind), fmt.Sprintf("ask for at most %d", e.Epochs))
	if e.Kind == input.EntitlementReceipt {
		c.need(e.Currency == t.Currency && e.Paid >= t.MinPaid, "paid", fmt.Sprintf("the receipt says that %d millionths of %s were paid", e.Paid, e.Currency), "pay at least "+c.money(t.MinPaid))
	}
	c.need(c.Account.Cost >= e.MinPrice, "price", "the job would cost "+c.money(c.Account.Cost), fmt.Sprintf("submit a job that costs at least %s, as the %s asks", c.money(e.MinPrice), e.Kind))
	for _, a := range t.Buyers.Require {
		if !overlap(e.Attributes[a.Name], a.AnyOf) {
			c.need(false, "attributes", "the buyer is not known to be what the terms require", fmt.Sprintf("bring a receipt that states %s as one of %s", a.Name, quote(a.AnyOf)))
		}
	}
}

// accounted reports whether a mode promises differential privacy, and so needs a budget.
func accounted(mode string) bool {
	switch mode {
	case "raw-in-tee", "redacted", "pseudonymised", "k-anonymous", "aggregate-only":
		return false
	}
	return true
}

func (c *check) privacy() {
	c.need(!c.Terms.Consent || c.Granted.Purpose == c.Job.Purpose, "consent", fmt.Sprintf("consent was not checked for purpose %q", c.Job.Purpose),
		"ask the owner whether contributors agree to the purpose")
	c.need(c.Released().Count() > 0, "leaves", "no record is left that may be released to this job",
		"ask the owner which purposes contributors agree to, or bring an entitlement to other records")
	if c.has("mode") {
		return // what a mode would cost that is not allowed is beside the point
	}
	c.budget()
}

// budget: what the job costs the population's account fits into what is left of it.
func (c *check) budget() {
	a, p := &c.Account, &c.Terms.Privacy
	all := a.Epsilon == 0 && (c.Terms.Spends == 0 || accounted(c.Job.Mode))
	own := all
	if accounted(c.Job.Mode) && c.data {
		spends := c.Terms.Spends
		if dataset.Private(c.Job.Mode) {
			spends = c.Job.Privacy.Epsilon
		}
		all = a.Epsilon > 0 && a.Epsilon == spends && (c.Terms.Spends == 0 || dataset.Noisy(c.Job.Mode)) && a.EpsilonAfter >= a.Epsilon && a.EpsilonAfter <= p.Epsilon
		own = a.Epsilon > 0 && a.BuyerEpsilonAfter >= a.Epsilon && a.BuyerEpsilonAfter <= p.BuyerEpsilon
	}
	c.need(all, "epsilon", fmt.Sprintf("all jobs together would come to ε %s, and %s is allowed; this job is ε %s",
		micro(a.EpsilonAfter), micro(p.Epsilon), micro(a.Epsilon)), "ask for less, or ask the owner for a larger budget")
	c.need(own, "buyer-epsilon", fmt.Sprintf("all jobs of this buyer together would come to ε %s, and %s is allowed; this job is ε %s",
		micro(a.BuyerEpsilonAfter), micro(p.BuyerEpsilon), micro(a.Epsilon)),
		"ask for less, or ask the owner for a larger budget for each buyer")
	n := c.Granted.Units
	c.need(!accounted(c.Job.Mode) || !c.data || n >= 1 && p.Delta <= 999_999_999_999/max(n, 1), "account-delta",
		fmt.Sprintf("the account holds at a δ of %s, which is not below one in %d %ss", pico(p.Delta), n, p.Unit),
		"ask the owner for a version of the package whose account has a smaller delta")
}

// declared: in modes in which the enclave adds the noise a job says what it spends, as its owner's terms mean it and within
// them, and the broker comes to no more.
func (c *check) declared() {
	p, t := &c.Job.Privacy, &c.Terms.Private
	private := dataset.Private(c.Job.Mode)
	c.need(p.Declared == private, "privacy-declared", "in modes with noise of the enclave's a job says what it spends, and elsewhere it does not",
		fmt.Sprintf("declare privacy in the job exactly if its mode is one of %s, %s and %s", dataset.ModeTraining, dataset.ModeRelease, dataset.ModeAggregate))
	if !private || !p.Declared || !c.data || c.has("mode") {
		return
	}
	fits := p.Epsilon >= 1 && p.Epsilon <= t.Epsilon
	c.need(fits, "privacy-epsilon", fmt.Sprintf("the job would spend ε %s, and one job may spend %s", micro(p.Epsilon), micro(t.Epsilon)),
		"add noise, take fewer steps, or sample less")
	together := c.Account.JobEpsilonAfter
	c.need(!fits || together >= p.Epsilon && together <= t.Epsilon, "privacy-attempts",
		fmt.Sprintf("the attempts of this job would come to ε %s with this one, and one job may spend %s, its attempts together", micro(together), micro(t.Epsilon)),
		"submit a new job, which the account counts as one more; to leave room for a second attempt, ask for less than half of that, or ask the owner for a version of the package that allows one job more")
	bound := "no bound on ε"
	if p.Bounded {
		bound = "ε " + micro(p.Computed)
	}
	c.need(!fits || p.Bounded && p.Computed-p.Epsilon <= 2, "privacy-bound", fmt.Sprintf("the mechanisms come to %s, and the job states ε %s", bound, micro(p.Epsilon)),
		"state what glovebox creator privacy epsilon computes for the mechanisms, or more")
	n := c.Granted.Records
	c.need(p.Delta >= 1 && p.Delta <= t.Delta && n >= 1 && p.Delta <= 999_999_999_999/max(n, 1), "privacy-delta",
		fmt.Sprintf("a δ of %s is too much", pico(p.Delta)), fmt.Sprintf("ask for a δ of at most %s, and less than one in %d records", pico(t.Delta), n))
	c.need(c.Granted.Together >= 2, "privacy-units",
		fmt.Sprintf("what would be released is of %d %s, and each is to be hidden among others", c.Granted.Together, c.Terms.Privacy.Unit),
		"choose more data, or bring an entitlement to more of it")
	c.need(p.Unit == c.Terms.Privacy.Unit && p.Adjacency == c.Terms.Privacy.Adjacency, "privacy-unit",
		fmt.Sprintf("the job counts by unit %q and adjacency %q", p.Unit, p.Adjacency),
		fmt.Sprintf("declare unit %q and adjacency %q", c.Terms.Privacy.Unit, c.Terms.Privacy.Adjacency))
	c.need(p.Contributions >= 1 && p.Contributions <= t.Contributions, "privacy-contributions",
		fmt.Sprintf("%d records of one contributor are more than count", p.Contributions), fmt.Sprintf("declare contributions of at most %d", t.Contributions))
	shards := p.Shards == 0
	if c.Job.Mode == dataset.ModeAggregate {
		shards = t.Shards >= 1 && p.Shards >= t.Shards
	}
	c.need(shards, "privacy-shards", fmt.Sprintf("%d shards are not what the terms ask for", p.Shards),
		fmt.Sprintf("cut the data into at least %d shards in mode %s, and into none in others", t.Shards, dataset.ModeAggregate))
}

func (c *check) obligations() grant.Obligations {
	j, t := &c.Job, &c.Terms
	o := grant.Obligations{
		Mode: j.Mode, Transforms: digests(t.Steps), Leaves: c.Released(), Epochs: c.epochs(), MaxOutput: j.OutputBytes, Logs: t.Logs,
		Privacy: c.Account.Epsilon, Allowance: t.Allowance, Expires: min(c.Now+t.LeaseSeconds*1000, j.NotAfter*1000, t.NotAfter*1000),
	}
	o.Outputs = slices.Clone(j.Outputs)
	slices.Sort(o.Outputs)
	o.Outputs = slices.Compact(o.Outputs)
	if c.data {
		o.MaxOutput = min(o.MaxOutput, t.MaxOutputBytes)
	}
	if t.Licence.TrainingOnly || dataset.Silent(j.Mode) {
		o.Logs = grant.LogsOff
	}
	if c.data && t.Access != dataset.AccessOpen {
		o.Expires = min(o.Expires, c.Entitlement.NotAfter*1000)
	}
	return o
}

// digests reads what a manifest said. What is none has no identity, and no enclave takes it.
func digests(list []string) []envelope.Digest {
	out := []envelope.Digest{}
	for _, s := range list {
		d, err := envelope.ParseDigest(s)
		if err != nil {
			d = envelope.Digest{}
		}
		out = append(out, d)
	}
	return out
}

func subset(a, of []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(of, s) })
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func quote(list []string) string {
	if len(list) == 0 {
		return "(none)"
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}
