// SPDX-License-Identifier: Apache-2.0

package bom

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// place is the path of the first difference between two decoded documents.
func place(at string, want, have any) string {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return name(at) + " has another type"
		}
		return placeInObject(at, w, h)
	case []any:
		h, ok := have.([]any)
		if !ok {
			return name(at) + " has another type"
		}
		for i := range min(len(w), len(h)) {
			if !reflect.DeepEqual(w[i], h[i]) {
				return place(at+"["+strconv.Itoa(i)+"]", w[i], h[i])
			}
		}
		return name(at) + " has " + strconv.Itoa(len(h)) + " entries, not " + strconv.Itoa(len(w))
	}
	return name(at) + " differs"
}

func placeInObject(at string, want, have map[string]any) string {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		h, ok := have[k]
		switch {
		case !ok:
			return name(at+"."+k) + " is missing"
		case !reflect.DeepEqual(want[k], h):
			return place(at+"."+k, want[k], h)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[k]; !ok {
			return "a member of " + name(at) + " does not belong there"
		}
	}
	return name(at) + " differs"
}

// name is a path as people read it.
func name(at string) string {
	if at == "" {
		return "the document"
	}
	return strings.TrimPrefix(at, ".")
}
