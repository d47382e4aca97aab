// SPDX-License-Identifier: Apache-2.0

package name_test

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/name"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// letter is a mail of the usual mix: headers, prose, a quotation, a signature.
const letter = `From: Clara Weidenfeld <clara@example.com>
To: "Okonkwo, Daniel" <daniel@example.org>
Subject: Re: minutes of the last meeting
Date: Thu, 14 Mar 2024 09:12:44 +0100

Hi Daniel,

thank you for the quick answer. I have read the draft that your office in Lyon sent on Tuesday, and there are three points
that we should talk about before the contract goes to Meridian Shipping Ltd. in Rotterdam. The first is the price: it is now
four percent above the offer of last year, and nobody has said why. The second is the delivery date, which depends on the
weather and on the trains. The third is smaller; the annex still names Mr. Petrov as our contact, but he left in May.

On Wed, 13 Mar 2024, Daniel Okonkwo wrote:
> Could you look at the attached file before the weekend? I will be
> on the road with Maria until Friday, but my phone is on.

If you want to send the signed copy by post, please use the new address: 18 Harbour Street, Apt. 4, Cork T12 XY45, Ireland.

Best regards,
Clara

--
Clara Weidenfeld
Head of Purchasing, Nordwind Logistik GmbH
Lange Reihe 27
20099 Hamburg
`

func BenchmarkTag(b *testing.B) {
	text := []byte(strings.Repeat(letter, 40))
	tagger := name.Default()
	var found []span.Finding
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		found = tagger.Tag(found[:0], text)
	}
	b.ReportMetric(float64(len(found))/40, "findings/letter")
}

func BenchmarkLoad(b *testing.B) {
	model, err := modelFile()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := name.New(model); err != nil {
			b.Fatal(err)
		}
	}
}
