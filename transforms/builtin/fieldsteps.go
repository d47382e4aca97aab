// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms/kanon"
	"github.com/glovebox-dev/glovebox/transforms/localdp"
	"github.com/glovebox-dev/glovebox/transforms/tabular"
)

// fieldSteps are the steps that work on columns and members.
func fieldSteps() []Entry {
	return []Entry{
		{
			Name: "drop", Version: tabular.Version, Shape: dataset.ShapeMap, New: tabular.NewDrop,
			What: "leaves columns out, or members with all below them", Members: members(tabular.DropMembers()),
		},
		{
			Name: "keep", Version: tabular.Version, Shape: dataset.ShapeMap, New: tabular.NewKeep,
			What: "leaves everything out but the columns, or members, that it names", Members: members(tabular.KeepMembers()),
		},
		{
			Name: "rename", Version: tabular.Version, Shape: dataset.ShapeFilter, New: tabular.NewRename,
			What: "gives columns and members other names", Members: members(tabular.RenameMembers()),
		},
		{
			Name: "generalise", Version: tabular.Version, Shape: dataset.ShapeFilter, New: tabular.NewGeneralise,
			What: "makes values coarser: ranges, groups, prefixes, months and years", Members: members(tabular.GeneraliseMembers()),
		},
		{
			Name: "code", Version: tabular.Version, Shape: dataset.ShapeFilter, New: tabular.NewCode,
			What: "bounds numbers: top and bottom coding", Members: members(tabular.CodeMembers()),
		},
		{
			Name: "suppress", Version: tabular.Version, Shape: dataset.ShapeMap, New: tabular.NewSuppress,
			What: "empties fields, or those of their values that conditions hold for", Members: members(tabular.SuppressMembers()),
		},
		{
			Name: dataset.StepFPE, Version: tabular.Version, Shape: dataset.ShapeFilter, Needs: "keys", New: tabular.NewFPE,
			What: "encrypts values and keeps their format (FF1), so that whoever has the key can decrypt them", Members: members(tabular.FPEMembers()),
		},
		{
			Name: dataset.StepTokenise, Version: tabular.Version, Shape: dataset.ShapeFilter, Needs: "keys", New: tabular.NewTokenise,
			What: "replaces values by keyed tokens that tables can be joined by", Members: members(tabular.TokeniseMembers()),
		},
		{
			Name: dataset.StepKAnon, Version: kanon.Version, Shape: dataset.ShapeFilter, Needs: "noise", New: kanon.New,
			What: "leaves out the records that stand out, and states the k and l of the rest", Members: members(kanon.Members()),
		},
		{
			Name: "k-rr", Version: localdp.Version, Shape: dataset.ShapeMap, Needs: "noise", New: localdp.NewKRR, Epsilon: localdp.KRREpsilon,
			What: "answers at random, and more often the truth (k-ary randomised response)", Members: members(localdp.KRRMembers()),
		},
		{
			Name: "discrete-laplace", Version: localdp.Version, Shape: dataset.ShapeMap, Needs: "noise", New: localdp.NewLaplace, Epsilon: localdp.LaplaceEpsilon,
			What: "adds discrete Laplace noise to numbers", Members: members(localdp.LaplaceMembers()),
		},
		{
			Name: "discrete-gaussian", Version: localdp.Version, Shape: dataset.ShapeMap, Needs: "noise", New: localdp.NewGaussian, Epsilon: localdp.GaussianEpsilon,
			What: "adds discrete Gaussian noise to numbers; at ingest only", Members: members(localdp.GaussianMembers()),
		},
	}
}
