// SPDX-License-Identifier: Apache-2.0

package mail

import (
	"encoding/json"
	"hash/fnv"
	"io"
	"math"
	"unicode"
	"unicode/utf8"
)

const (
	buckets  = 1 << 16
	longest  = 40 // bytes of a word
	testPart = 5  // one record in so many is kept for the test, by a hash of its ID
)

// Classifier tells spam from ham by hashed words: naive Bayes over whether a word is in a mail.
type Classifier struct {
	mails [2]int            // by label: ham, spam
	with  [2][buckets]int32 // mails with a word
}

// Metrics say how well a classifier did on records that it had not learned from.
type Metrics struct {
	Train, Test, Right int
	SpamFound, SpamAll int // of spam, how much was told
	HamLost, HamAll    int // of ham, how much was taken for spam
}

// Accuracy is the share of test records that were told rightly.
func (m *Metrics) Accuracy() float64 { return ratio(m.Right, m.Test) }

// Recall is the share of spam that was told.
func (m *Metrics) Recall() float64 { return ratio(m.SpamFound, m.SpamAll) }

// Lost is the share of ham that was taken for spam.
func (m *Metrics) Lost() float64 { return ratio(m.HamLost, m.HamAll) }

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// ForTest reports whether a record is kept for the test.
func ForTest(id string) bool {
	h := fnv.New32a()
	_, _ = io.WriteString(h, id)
	return h.Sum32()%testPart == 0
}

// words calls f once for each different word of a mail, by its bucket. Words of the subject count apart.
func words(r *Record, f func(bucket int)) {
	seen := map[uint32]struct{}{}
	add := func(prefix byte, text string) {
		word := make([]byte, 0, longest+4)
		end := func() {
			if len(word) > 2 && len(word) <= longest {
				h := fnv.New32a()
				_, _ = h.Write([]byte{prefix})
				_, _ = h.Write(word)
				b := h.Sum32() % buckets
				if _, ok := seen[b]; !ok {
					seen[b] = struct{}{}
					f(int(b))
				}
			}
			word = word[:0]
		}
		for _, u := range text {
			if unicode.IsLetter(u) || u == '$' || u == '!' || u == '%' || u == '<' || u == '>' || u == '_' {
				if len(word) <= longest {
					word = utf8.AppendRune(word, unicode.ToLower(u))
				}
				continue
			}
			end()
		}
		end()
	}
	add('s', r.Subject)
	add('f', r.From)
	add('b', r.Body)
}

// Learn learns one record.
func (c *Classifier) Learn(r *Record) {
	label := index(r.Label)
	c.mails[label]++
	words(r, func(b int) { c.with[label][b]++ })
}

func index(label string) int {
	if label == Spam {
		return 1
	}
	return 0
}

// Spam reports whether a mail is spam. Weights are sums of logarithms, each rounded to 2⁻²⁰, so that the verdict does not depend on the order
// of words, nor on how a machine fuses its arithmetic.
func (c *Classifier) Spam(r *Record) bool {
	score := weight(c.mails[1]+1, c.mails[0]+1)
	words(r, func(b int) {
		spam, ham := int(c.with[1][b]), int(c.with[0][b])
		if spam+ham > 0 {
			score += weight(spam+1, c.mails[1]+2) - weight(ham+1, c.mails[0]+2)
		}
	})
	return score > 0
}

func weight(a, b int) int64 {
	return int64(math.Round(math.Ldexp(math.Log(float64(a)/float64(b)), 20)))
}

// Test asks the classifier about a record that it has not learned.
func (c *Classifier) Test(r *Record, m *Metrics) {
	told := c.Spam(r)
	m.Test++
	if told == (r.Label == Spam) {
		m.Right++
	}
	if r.Label == Spam {
		m.SpamAll++
		if told {
			m.SpamFound++
		}
		return
	}
	m.HamAll++
	if told {
		m.HamLost++
	}
}

// Write writes the model: for each bucket with a word, in how many mails of each kind it was.
func (c *Classifier) Write(w io.Writer) error {
	type entry struct {
		Bucket int   `json:"bucket"`
		Ham    int32 `json:"ham"`
		Spam   int32 `json:"spam"`
	}
	model := struct {
		Ham   int     `json:"ham"`
		Spam  int     `json:"spam"`
		Words []entry `json:"words"`
	}{c.mails[0], c.mails[1], []entry{}}
	for b := range buckets {
		if c.with[0][b]+c.with[1][b] > 1 {
			model.Words = append(model.Words, entry{b, c.with[0][b], c.with[1][b]})
		}
	}
	return json.NewEncoder(w).Encode(&model)
}
