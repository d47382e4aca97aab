// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/release"
)

// ofPeople packs rows of "kind,x,who" by who gave them, and lets the first contributions of each count.
func (w *world) ofPeople(rows []string, contributions int64) {
	w.t.Helper()
	keys := map[envelope.Digest]dataset.Key{}
	offer := w.offer(w.creator, dataset.KindDataset)
	offer.Terms = w.data.Manifest.Terms
	offer.Terms.Privacy.Unit, offer.Terms.Private[0].Contributions = dataset.UnitContributor, contributions
	w.data = w.pack(w.creator, dataset.PackConfig{
		Manifest: offer, Source: strings.NewReader("kind,x,who\n" + strings.Join(rows, "\n") + "\n"), Temp: w.t.TempDir(),
		Contributors: &dataset.Contributors{By: "who", Unit: func(name string) (envelope.Digest, dataset.Key, error) {
			id := dataset.UnitID([]byte("index"), name)
			keys[id] = dataset.NewKey()
			return id, keys[id], nil
		}},
	})
	k, err := keyholder.Open(w.creator.cfg.Layout().Keyholder(), w.creator.cfg.Layout().KeyholderIdentity())
	check(w.t, err)
	wrapped := map[envelope.Digest][]byte{}
	for id, key := range keys {
		wrapped[id], err = k.Wrap(w.t.Context(), keyholder.UnitContext(w.data.Manifest.Dataset, id), key.Bytes())
		check(w.t, err)
	}
	check(w.t, config.AddUnits(w.creator.dir, w.data.Manifest.Dataset, wrapped))
	v, err := job.Verify(w.job)
	check(w.t, err)
	w.signJob(func(j *job.Job) {
		id, data := j.ID, j.Datasets
		*j = v.Predicate
		j.ID, j.Datasets = id, data
		j.Privacy.Unit, j.Privacy.Contributions = dataset.UnitContributor, contributions
	})
}

// crowd is rows of people with two records each, and of one who has hundreds, all of another kind.
func crowd(people int) (rows []string) {
	for i := range people {
		rows = append(rows, fmt.Sprintf("h,1,p%d", i), fmt.Sprintf("h,1,p%d", i))
		for range 5 {
			rows = append(rows, "z,9,flood")
		}
	}
	return rows
}

// TestContributorWhoFloodsQueries: of hundreds of records of one person, as many count as of everybody else.
func TestContributorWhoFloodsQueries(t *testing.T) {
	const queries = `{"version": 1, "queries": [
		{"name": "all", "kind": "count", "epsilon": 50},
		{"name": "kinds", "kind": "histogram", "field": "kind", "keys": ["h", "z"], "epsilon": 50}]}`
	q, err := release.Parse([]byte(queries))
	check(t, err)
	ms, err := q.Mechanisms(dataset.UnitContributor, dp.AddOrRemove, 2)
	check(t, err)
	w := inPrivate(t, dataset.ModeRelease, ofRecords(ms), []byte("m"), map[string][]byte{release.FileName: []byte(queries)}, numbered(3, "h"), nil)
	w.ofPeople(crowd(60), 2)
	res, abandon := w.run(noCode{})
	s := wantPrivate(t, w, res, abandon, usage.ReasonNone)
	if len(s.Spent) != 1 || s.Spent[0].Unit != dataset.UnitContributor || s.Spent[0].Contributions != 2 {
		t.Errorf("%+v", s.Spent)
	}
	var out release.Results
	check(t, json.Unmarshal((&trainingWorld{world: w}).opened(res)["answers.json"], &out))
	if n := *out.Results[0].Value; math.Abs(n-122) > 2 {
		t.Errorf("%v records, want 122", n)
	}
	if g := out.Results[1].Groups; math.Abs(g[0].Count-120) > 2 || math.Abs(g[1].Count-2) > 2 {
		t.Errorf("groups %+v", g)
	}
}

// TestContributorIsInOneShard: all records of a person that count are in the same shard, and no others of theirs are anywhere.
func TestContributorIsInOneShard(t *testing.T) {
	w := shardWorld(t, []byte("m"), 5, 1000, numbered(3, "h"), nil)
	w.ofPeople(crowd(60), 2)
	r := &answering{do: func(string) (*sandbox.Outcome, error) { return answers("5") }}
	_, s := aggregated(t, w, r)
	if len(s.Spent) != 1 || s.Spent[0].Contributions != 2 || len(r.saw) != 5 {
		t.Fatalf("%+v, %d shards", s.Spent, len(r.saw))
	}
	in, people := map[string]int{}, map[string]bool{}
	for shard, text := range r.saw {
		for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n")[1:] {
			who := line[strings.LastIndexByte(line, ',')+1:]
			people[who] = true
			in[fmt.Sprint(who, shard)]++
		}
	}
	if len(people) != 61 || len(in) != 61 {
		t.Errorf("%d people in %d places, want 61 in one shard each", len(people), len(in))
	}
	for place, n := range in {
		if n != 2 {
			t.Errorf("%d records of one person in a shard (%s), want 2", n, place)
		}
	}
}
