// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// MadeUp writes mails about nobody: names, numbers and addresses are of the ranges that are kept for examples. About a third is spam.
func MadeUp(n int, seed uint64) []Record {
	w := &writer{rand.New(rand.NewPCG(seed, 1))}
	out := make([]Record, 0, n)
	for i := range n {
		r := w.ham()
		if w.IntN(3) == 0 {
			r = w.spam()
		}
		r.ID = fmt.Sprintf("made-up/%05d", i+1)
		out = append(out, r)
	}
	return out
}

// writer draws words.
type writer struct{ *rand.Rand }

func (w *writer) of(list string) string {
	all := strings.Split(list, "|")
	return all[w.IntN(len(all))]
}

const (
	firstNames = "Anna|Ben|Clara|David|Elif|Farid|Grace|Hugo|Ines|Jonas|Karin|Liam|Mona|Noah|Olga|Paul"
	lastNames  = "Abbot|Becker|Castillo|Dubois|Eriksen|Fontana|Green|Hoffmann|Ivanova|Jensen|Keller|Lindgren|Moreau|Novak|Okafor|Petrov"
	cities     = "Bristol|Dresden|Lyon|Porto|Turin|Uppsala|Leeds|Graz"
	things     = "release|meeting|report|server|parser|review|budget|mailing list|patch|workshop"
	offers     = "mortgage rates|herbal pills|a free holiday|lottery winnings|cheap software|easy money"
)

func (w *writer) person() (name, address string) {
	first, last := w.of(firstNames), w.of(lastNames)
	return first + " " + last, strings.ToLower(first+"."+last) + "@" + w.of("example.org|example.com|mail.example.net")
}

func (w *writer) date() string {
	return fmt.Sprintf("%d %s 2002 %02d:%02d:00 +0000", 1+w.IntN(28), w.of("Aug|Sep|Oct|Nov"), w.IntN(24), w.IntN(60))
}

func (w *writer) ham() Record {
	from, address := w.person()
	to, other := w.person()
	first, _, _ := strings.Cut(to, " ")
	body := []string{"Hi " + first + ",", ""}
	for range 2 + w.IntN(3) {
		body = append(body, w.of("thanks for the notes on the |I think the |could you look at the |we should talk about the |nothing new about the ")+w.of(things)+
			w.of(", it works for me now.| before Friday.|, see the diff below.| when you have time.| and then close the issue."))
	}
	switch w.IntN(4) {
	case 0:
		body = append(body, "Call me on +1 212 555 01"+fmt.Sprintf("%02d", w.IntN(100))+" if it is urgent.")
	case 1:
		body = append(body, "The machine is 192.0.2."+fmt.Sprint(1+w.IntN(250))+", the log of "+fmt.Sprintf("2002-09-%02d", 1+w.IntN(28))+" is there too.")
	case 2:
		body = append(body, "I am in "+w.of(cities)+" on Monday; "+w.of(firstNames)+" "+w.of(lastNames)+" is coming as well.")
	}
	body = append(body, "", "Regards,", from, address)
	return Record{
		Label: Ham, From: from + " <" + address + ">", To: to + " <" + other + ">", Date: w.date(),
		Subject: w.of("Re: |[list] |") + w.of(things) + w.of(" question| again| for review|"), Body: strings.Join(body, "\n"),
	}
}

func (w *writer) spam() Record {
	from, address := w.person()
	_, other := w.person()
	body := []string{"Dear friend,", ""}
	for range 2 + w.IntN(3) {
		body = append(body, w.of("you have been selected for |do not miss |order now and save on |this is a one time offer of |click here for ")+w.of(offers)+
			w.of("!!!|, 100% guaranteed.| - no obligation!| and earn $5000 a week.|, limited time only!"))
	}
	body = append(body, "Visit http://www.offers.example/"+fmt.Sprint(w.IntN(9999))+" or call 1-800-555-01"+fmt.Sprintf("%02d", w.IntN(100))+" today.",
		"To be removed, write to "+address)
	return Record{
		Label: Spam, From: from + " <" + address + ">", To: other, Date: w.date(),
		Subject: w.of("FREE |Urgent: |You won |") + w.of(offers) + w.of("!| now|"), Body: strings.Join(body, "\n"),
	}
}
