// SPDX-License-Identifier: Apache-2.0

// Package dp is what a buyer does with a model that was trained with differential privacy: she evaluates it on data of her own, by
// the same guest that it was trained with. The folders beside it hold guests, in C and in Go.
//
// Trust domain: the buyer's, after the job. Its one job: how often the model is right.
package dp
