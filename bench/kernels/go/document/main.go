// SPDX-License-Identifier: Apache-2.0

// Command document encodes 2,400 records as JSON and decodes them twice, with encoding/json: reflection, allocation, text.
package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
)

type record struct {
	ID     int               `json:"id"`
	Name   string            `json:"name"`
	Scores []float64         `json:"scores"`
	Tags   map[string]string `json:"tags"`
	Next   *record           `json:"next,omitempty"`
}

func made(i, depth int) *record {
	r := &record{ID: i * 7919, Name: fmt.Sprintf("record \"%d\" of größe", i), Tags: map[string]string{"colour": "green", "place": fmt.Sprint(i % 97)}}
	for s := range 6 {
		r.Scores = append(r.Scores, float64(i*s)/7)
	}
	if depth > 0 {
		r.Next = made(i+1, depth-1)
	}
	return r
}

func main() {
	h := fnv.New64a()
	for i := range 800 {
		b, err := json.Marshal(made(i, 2))
		for range 2 {
			var r record
			if err == nil {
				err = json.Unmarshal(b, &r)
			}
			if err == nil {
				b, err = json.Marshal(&r)
			}
		}
		if err != nil {
			panic(err)
		}
		h.Write(b)
	}
	fmt.Printf("%016x\n", h.Sum64())
}
