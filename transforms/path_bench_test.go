// SPDX-License-Identifier: Apache-2.0

package transforms_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

// mails is JSON Lines of made-up letters, with as much personal data as letters have: about one item in 60 words.
func mails(size int) []byte {
	words := strings.Fields("the of and to in a is that for it was on are as with they be at one have this from or had by hot but some what there we can out " +
		"other were all your when up use how said an each she which their time will way about many then them would write like so these her long make thing see him two " +
		"has look more day could go come did my sound no most number who over know water than call first people may down side been now find")
	items := []string{
		"Ann Lee", "bob.smith@mail.example", "+1 415 555 0134", "12 High Street, Springfield", "https://www.example.org/a?b=1", "2024-03-11 10:22", "4111 1111 1111 1111",
		"192.168.10.7", "GB82 WEST 1234 5698 7654 32", "Acme Trading Ltd.", "Berlin", "078-05-1120",
	}
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, `{"label":%d,"body":"`, r.IntN(2))
		for range 40 + r.IntN(160) {
			if r.IntN(60) == 0 {
				b.WriteString(items[r.IntN(len(items))])
			} else {
				b.WriteString(words[r.IntN(len(words))])
			}
			b.WriteByte(' ')
		}
		b.WriteString("\"}\n")
	}
	return b.Bytes()
}

// discard is a sink.
func discard(transforms.Item) error { return nil }

// trainer is logistic regression over hashed words.
type trainer struct {
	w     [1 << 16]float32
	codec *transforms.Codec
	rec   transforms.Record
	seen  []uint32
}

func (t *trainer) learn(it transforms.Item) error {
	if err := t.codec.Parse(&t.rec, "", it.Raw); err != nil {
		return err
	}
	label, sum := float32(0), float32(0)
	if string(t.rec.Field("label").Text) == "1" {
		label = 1
	}
	t.seen = t.seen[:0]
	for w := range bytes.FieldsSeq(t.rec.Field("body").Text) {
		h := fnv.New32a()
		h.Write(w)
		i := h.Sum32() % uint32(len(t.w))
		sum += t.w[i]
		t.seen = append(t.seen, i)
	}
	g := 0.1 * (label - float32(1/(1+math.Exp(-float64(sum)))))
	for _, i := range t.seen {
		t.w[i] += g
	}
	return nil
}

// BenchmarkPath is the way of a record from the ciphertext to a trainer, with more of it in each line.
func BenchmarkPath(b *testing.B) {
	text := mails(8 << 20)
	m, store, key := sealed(b, text)
	structured := []string{"EMAIL_ADDRESS", "URL", "IP_ADDRESS", "PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "DATE_TIME"}
	for _, c := range []struct {
		name   string
		detect []string
		train  bool
	}{
		{"decrypt", nil, false},
		{"decrypt+train", nil, true},
		{"decrypt+structured", structured, false},
		{"decrypt+structured+train", structured, true},
		{"decrypt+names+train", []string{"all"}, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				s, err := dataset.OpenStream(b.Context(), m, store, key, m.AllLeaves())
				if err != nil {
					b.Fatal(err)
				}
				sink := discard
				if c.train {
					sink = (&trainer{codec: transforms.NewCodec(transforms.Schema{Format: dataset.FormatJSONL})}).learn
				}
				if err := path(b.Context(), s.Reader(b.Context()), c.detect, sink); err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
		})
	}
}

func path(ctx context.Context, r io.Reader, detect []string, sink func(transforms.Item) error) error {
	var list []dataset.Step
	if detect != nil {
		s, err := builtin.Pin("redact", map[string]any{"fields": []string{"body"}, "detect": detect})
		if err != nil {
			return err
		}
		list = append(list, s)
	}
	src, err := transforms.NewSource(r, dataset.FormatJSONL)
	if err != nil {
		return err
	}
	p, err := transforms.New(ctx, list, src.Schema(), builtin.New, nil)
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // of a benchmark
	return p.Run(ctx, src, sink)
}

// sealed packs the text.
func sealed(b *testing.B, text []byte) (*dataset.Manifest, dataset.Store, dataset.Key) {
	b.Helper()
	owner, err := envelope.GenerateSigner(envelope.RoleOwner)
	if err != nil {
		b.Fatal(err)
	}
	broker, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		b.Fatal(err)
	}
	store, err := dataset.NewDirStore(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	key := dataset.NewKey()
	p, err := dataset.Pack(b.Context(), dataset.PackConfig{
		Store: store, Source: bytes.NewReader(text), Signer: owner, Key: key,
		Manifest: dataset.Manifest{
			Kind: dataset.KindDataset, Name: "mails", Format: dataset.FormatJSONL, Test: true,
			Broker: dataset.Broker{Address: "http://127.0.0.1:1", Key: broker.Public()}, Terms: dataset.Terms{
				Modes: []string{dataset.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"model"}, MaxOutputBytes: 1 << 20, MaxEpochs: 1, MaxUses: 1,
				Logs: dataset.LogsOff, Allowance: 16, LeaseSeconds: 600, BrokerAway: dataset.AwayWait, Price: dataset.Price{Currency: "EUR"}, NotAfter: 4_000_000_000,
				MinAssurance: "simulated",
			}.ForAnyone(),
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	return p.Manifest, store, key
}
