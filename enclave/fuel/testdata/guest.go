// SPDX-License-Identifier: Apache-2.0

//go:build wasip1

// A guest that does a little of everything: maps, garbage, JSON, big numbers, regular expressions, recovered panics.
package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"regexp"
	"sort"
	"strconv"
)

type record struct {
	Name   string
	Values []float64
	Tags   map[string]int
}

func main() {
	rounds, _ := strconv.Atoi(os.Args[1])
	total := new(big.Int)
	word := regexp.MustCompile(`(\w+)-(\d+)`)
	for i := range rounds {
		r := record{Name: fmt.Sprintf("name-%d", i), Tags: map[string]int{}}
		for j := range 200 {
			r.Values = append(r.Values, float64(j)/7)
			r.Tags[strconv.Itoa(j*7919%1000)] = j
		}
		b, err := json.Marshal(r)
		if err != nil {
			panic(err)
		}
		var back record
		if err := json.Unmarshal(b, &back); err != nil {
			panic(err)
		}
		keys := make([]string, 0, len(back.Tags))
		for k := range back.Tags {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		total.Add(total, new(big.Int).Exp(big.NewInt(int64(len(b))), big.NewInt(20), nil))
		total.Add(total, big.NewInt(int64(recovered(word.FindString(r.Name), keys, i))))
	}
	fmt.Println(total)
}

func recovered(s string, keys []string, i int) (n int) {
	defer func() {
		if recover() != nil {
			n = 42
		}
	}()
	return len(s) + len(keys[i*100])
}
