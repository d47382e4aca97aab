// SPDX-License-Identifier: Apache-2.0

package job

import (
	"slices"

	"github.com/glovebox-dev/glovebox/internal/licence"
)

// LicenceUse is what the job does with the data, as licences see it.
func (j *Job) LicenceUse() licence.Use {
	u := licence.Use{Commercial: j.Use.Commercial, Derive: j.Use.Derive, Territory: j.Use.Territory, Purpose: j.Purpose}
	for _, o := range j.Outputs {
		u.Outputs = append(u.Outputs, o.Class)
	}
	slices.Sort(u.Outputs)
	u.Outputs = slices.Compact(u.Outputs)
	return u
}
