// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

func TestPrivate(t *testing.T) {
	keep := func(name ...string) dataset.Step {
		s := `{"fields":[`
		for i, n := range name {
			if i > 0 {
				s += ","
			}
			s += `{"field":"` + n + `","optional":true}`
		}
		return pin(t, "keep", s+`]}`)
	}
	krr := pin(t, "k-rr", `{"fields":[{"field":"ill","categories":["flu","none"],"default":"none","epsilon":1,"optional":true}]}`)
	laplace := pin(t, "discrete-laplace", `{"fields":[{"field":"age","lower":0,"upper":120,"default":40,"epsilon":2,"optional":true}]}`)
	gaussian := pin(t, "discrete-gaussian", `{"fields":[{"field":"age","lower":0,"upper":120,"default":40,"epsilon":2,"delta":0.000001,"optional":true}]}`)
	drop, code := pin(t, "drop", `{"fields":[{"field":"name","optional":true}]}`), pin(t, "code", `{"fields":[{"field":"age","top":90}]}`)
	// Whether any record has a field is told without noise by a run that fails.
	mustHave := pin(t, "discrete-laplace", `{"fields":[{"field":"age","lower":0,"upper":120,"default":40,"epsilon":2}]}`)
	mustKeep, mustDrop := pin(t, "keep", `{"fields":[{"field":"age"}]}`), pin(t, "drop", `{"fields":[{"field":"name"}]}`)
	for name, c := range map[string]struct {
		steps []dataset.Step
		ok    bool
	}{
		"all fields":              {[]dataset.Step{drop, keep("ill", "age"), krr, laplace}, true},
		"kept last":               {[]dataset.Step{krr, laplace, keep("ill", "age")}, false},
		"kept between":            {[]dataset.Step{krr, keep("ill", "age"), laplace}, true},
		"fewer than noisy":        {[]dataset.Step{keep("age"), laplace}, true},
		"coded afterwards":        {[]dataset.Step{keep("age"), laplace, code}, true},
		"none":                    {nil, false},
		"no noise":                {[]dataset.Step{keep("ill")}, false},
		"nothing is left out":     {[]dataset.Step{krr, laplace}, false},
		"one field has no noise":  {[]dataset.Step{keep("ill", "age"), krr}, false},
		"a step that quarantines": {[]dataset.Step{keep("age"), code, laplace}, false},
		"fails without noise":     {[]dataset.Step{keep("age"), mustHave}, false},
		"fails without kept":      {[]dataset.Step{mustKeep, laplace}, false},
		"fails without dropped":   {[]dataset.Step{mustDrop, keep("age"), laplace}, false},
		"dropped after the noise": {[]dataset.Step{keep("age"), laplace, mustDrop}, true},
		"a delta":                 {[]dataset.Step{keep("age"), gaussian}, false},
		"a module":                {[]dataset.Step{keep("age"), {Name: dataset.StepModule, Config: []byte(`{"fields":[{"field":"age"}]}`)}, laplace}, false},
	} {
		if err := builtin.Private(c.steps); (err == nil) != c.ok || err != nil && !errors.Is(err, builtin.ErrNotPrivate) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
