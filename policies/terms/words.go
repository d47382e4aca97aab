// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"fmt"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/licence"
)

// Words says in plain sentences what terms allow. Nothing in them is decided: they repeat the terms.
func (c *Compiled) Words() []string {
	t := &c.Terms
	out := []string{
		fmt.Sprintf("Jobs for %s may run over the data%s.", either(t.Purposes), never(t.Licence.Prohibited)),
		c.modeWords(),
		fmt.Sprintf("%s may leave, at most %s of it in one job, sealed to the buyer.", capital(classWords(t.Outputs)), sizeWords(t.MaxOutputBytes)),
		fmt.Sprintf("There are %s in all, %s for one buyer, each with at most %s over the data. The offer ends at %s.",
			count(t.MaxUses, "job"), count(t.Buyers.MaxUses, "job"), count(int64(t.MaxEpochs), "pass"), time.Unix(t.NotAfter, 0).UTC().Format("2006-01-02 15:04 UTC")),
		priceWords(t),
		partyWords(t),
		accessWords(t),
	}
	out = append(out, licenceWords(&t.Licence)...)
	out = append(out, privacyWords(t))
	for i := range t.Private {
		out = append(out, jobWords(&t.Private[i], &t.Privacy))
	}
	return append(out, runWords(t, c.Test))
}

// jobWords is what one job may spend where the enclave adds the noise, and what that rests on.
func jobWords(p *dataset.ModePrivacy, account *dataset.Privacy) string {
	s := fmt.Sprintf("One job in %s spends at most epsilon %s at delta %s", p.Mode, decimal(p.Epsilon, 6), decimal(p.Delta, 12))
	switch {
	case account.Unit == dataset.UnitContributor:
		s += fmt.Sprintf(", %s of each contributor counted", count(p.Contributions, "record"))
	default:
		s += ", for one record: who gave several is protected less"
	}
	hides := "whether a person is there"
	if account.Adjacency == dataset.ReplaceOne {
		hides = "what a person gave, not how many people there are"
	}
	if p.Shards > 0 {
		s += fmt.Sprintf(", over at least %s", count(p.Shards, "shard"))
	}
	return s + fmt.Sprintf("; that hides %s (%s), and rests on noise and on runtime %s.", hides, account.Adjacency, either(p.Runtimes))
}

func (c *Compiled) modeWords() string {
	var parts []string
	for _, name := range c.Terms.Modes {
		m, _ := modeByName(name)
		parts = append(parts, fmt.Sprintf("%s (%s)", name, m.Says))
	}
	return "Privacy mode: " + strings.Join(parts, "; ") + "."
}

func priceWords(t *dataset.Terms) string {
	if t.Price.PerUse == 0 && t.Price.PerRecord == 0 {
		return "It costs nothing."
	}
	return fmt.Sprintf("A completed job costs %s, and every record delivered in one pass %s more.", Money(t.Price.PerUse, t.Price.Currency), Money(t.Price.PerRecord, t.Price.Currency))
}

func partyWords(t *dataset.Terms) string {
	who, code := "Any buyer", "any code"
	if !t.Buyers.Any {
		who = count(int64(len(t.Buyers.Keys)), "named buyer")
	}
	if !t.Code.Any {
		code = fmt.Sprintf("code of %s and %s", count(int64(len(t.Code.Manifests)), "named package"), count(int64(len(t.Code.Owners)), "named owner"))
	}
	for _, a := range t.Buyers.Require {
		who += fmt.Sprintf(", whose %s is stated as %s,", a.Name, either(a.AnyOf))
	}
	return fmt.Sprintf("%s may send jobs, with %s.", who, code)
}

func accessWords(t *dataset.Terms) string {
	switch t.Access {
	case dataset.AccessPermit:
		return "A job needs a permit that you signed; every permit is good for a counted number of jobs."
	case dataset.AccessReceipt:
		return fmt.Sprintf("A job needs a licence receipt of %s for this version, made out for %s, that %s was paid to %s.",
			t.Receipts.Issuer, t.Receipts.Audience, Money(t.Receipts.MinAmount, t.Price.Currency), t.Receipts.Payee)
	}
	return "A job needs neither receipt nor permit."
}

func licenceWords(l *licence.Licence) []string {
	var out []string
	if l.SPDX != "" {
		out = append(out, fmt.Sprintf("The licence is %s.", l.SPDX))
	}
	where := "everywhere"
	if l.Territories[0] != licence.Worldwide {
		where = "in " + strings.Join(l.Territories, ", ") + " only"
	}
	out = append(out, fmt.Sprintf("Results may be used %s, %s.", where, pick(l.Commercial, "also commercially", "never commercially")))
	switch {
	case !l.Derivatives:
		out = append(out, "Results may not be changed, built upon or passed on.")
	case l.ShareAlike:
		out = append(out, "Results may be changed and passed on, only under this licence.")
	default:
		out = append(out, "Results may be changed, built upon and passed on.")
	}
	for _, x := range []struct {
		is   bool
		text string
	}{
		{l.Attribution, "Results must name you."},
		{l.TrainingOnly, "The data is for training: tables never leave."},
		{l.Revocable, "When you withdraw, results must be given up."},
		{l.RoyaltyPPM > 0, fmt.Sprintf("You get %s of the revenue made with results.", licence.Percent(l.RoyaltyPPM))},
	} {
		if x.is {
			out = append(out, x.text)
		}
	}
	return out
}

func privacyWords(t *dataset.Terms) string {
	p := t.Privacy
	s := fmt.Sprintf("Every job is entered in the account %q, which is about everything on the same people; one person is one %s.", p.Population, p.Unit)
	if p.Epsilon == 0 {
		s += " No epsilon is promised."
	} else {
		s += fmt.Sprintf(" All jobs together spend at most epsilon %s at delta %s, one buyer's %s.", decimal(p.Epsilon, 6), decimal(p.Delta, 12), decimal(p.BuyerEpsilon, 6))
	}
	if t.Consent {
		s += " Records whose contributor did not consent to the job's purpose are left out."
	}
	return s
}

func runWords(t *dataset.Terms, test bool) string {
	s := fmt.Sprintf("An enclave must prove %s or better, and holds the key for %s at most.", t.MinAssurance, spanWords(t.LeaseSeconds))
	if test {
		s += " The package is a test: it may be released to an enclave without hardware."
	}
	s += pick(t.Logs == dataset.LogsOff, " The code's own words stay inside.", " The code's own words go into the buyer's sealed result.")
	return s + pick(t.BrokerAway == dataset.AwayWait, " A job waits while your broker is away.", " A job fails while your broker is away.")
}

func pick(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

func never(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return ", never for " + either(list)
}

func either(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}

func classWords(classes []string) string {
	names := map[string]string{"metrics": "metrics", "model": "models", "table": "tables"}
	out := make([]string, len(classes))
	for i, c := range classes {
		out[i] = names[c]
	}
	if len(out) < 2 {
		return strings.Join(out, "")
	}
	return strings.Join(out[:len(out)-1], ", ") + " and " + out[len(out)-1]
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %s", n, what+pick(strings.HasSuffix(what, "s"), "es", "s"))
}

func sizeWords(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

func spanWords(seconds int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{86400, "day"}, {3600, "hour"}, {60, "minute"}} {
		if seconds%u.size == 0 {
			return count(seconds/u.size, u.name)
		}
	}
	return count(seconds, "second")
}

// Money writes millionths of a currency unit.
func Money(millionths int64, currency string) string {
	s := decimal(millionths, 6)
	if !strings.Contains(s, ".") {
		s += ".00"
	}
	return s + " " + currency
}

// decimal writes integer units of 10^-places, exactly.
func decimal(n int64, places int) string {
	s := fmt.Sprintf("%0*d", places+1, n)
	whole, fraction := s[:len(s)-places], strings.TrimRight(s[len(s)-places:], "0")
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}
