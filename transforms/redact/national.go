// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"

	"github.com/glovebox-dev/glovebox/transforms/redact/national"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// nationalTypes are the types of national identifiers.
func nationalTypes() []span.Type {
	all := national.Recognisers()
	out := make([]span.Type, 0, len(all))
	for i := range all {
		out = append(out, all[i].Type)
	}
	return out
}

// countries are the types of national identifiers by the country's code, in lower case.
func countries() map[string][]span.Type {
	out := map[string][]span.Type{}
	for _, r := range national.Recognisers() {
		if c := strings.ToLower(r.Country); c != "" {
			out[c] = append(out[c], r.Type)
		}
	}
	return out
}
