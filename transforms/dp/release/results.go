// SPDX-License-Identifier: Apache-2.0

package release

// Results is what a run gives, as JSON. Nothing in it is exact: all numbers come of noised ones.
type Results struct {
	Version       int      `json:"version"`
	Unit          string   `json:"unit"`
	Adjacency     string   `json:"adjacency"`
	Contributions int64    `json:"contributions"`
	Results       []Result `json:"results"`
}

// Result answers one query. Members that its kind does not have are left out.
type Result struct {
	Name  string   `json:"name"`
	Kind  string   `json:"kind"`
	Value *float64 `json:"value,omitempty"`
	// Interval has the value that there would be without noise, of the records that count, with the probability said.
	Interval *Interval `json:"interval,omitempty"`
	// Noise is what was added, in the unit of the value or of the sums it is made of.
	Noise     []Noise    `json:"noise,omitempty"`
	Quantiles []Quantile `json:"quantiles,omitempty"`
	Groups    []Group    `json:"groups,omitempty"`
	// Margin is half the interval of each group's count.
	Margin float64 `json:"margin,omitempty"`
	// Threshold is what a group's noised count had to reach to be in Groups, where keys are not declared.
	Threshold float64 `json:"threshold,omitempty"`
	Model     *Model  `json:"model,omitempty"`
}

// Interval is a confidence interval for the noise alone: it says nothing of how records were drawn from a population.
type Interval struct {
	Confidence float64 `json:"confidence"`
	Lower      float64 `json:"lower"`
	Upper      float64 `json:"upper"`
}

// Noise is the noise of one mechanism.
type Noise struct {
	Of    string  `json:"of"`    // what it was added to
	Kind  string  `json:"kind"`  // dp.Gaussian, dp.DiscreteLaplace or "exponential"
	Scale float64 `json:"scale"` // standard deviation of Gaussian noise, scale of Laplace's
}

// Quantile is the value at one quantile.
type Quantile struct {
	Quantile float64 `json:"quantile"`
	Value    float64 `json:"value"`
	// Records is by how many records that count the value is farther from the quantile than the best one of the grid, at most, with
	// the probability of an interval.
	Records float64 `json:"records"`
}

// Group is one bar of a histogram.
type Group struct {
	Key   string  `json:"key"`
	Other bool    `json:"other,omitempty"` // of records whose key is not declared
	Count float64 `json:"count"`
}

// Model is a regression, in the units of the fields.
type Model struct {
	Intercept    float64       `json:"intercept"`
	Coefficients []Coefficient `json:"coefficients"`
	// Ridge is the regularisation that was used, of features scaled to -1…1.
	Ridge float64 `json:"ridge"`
}

// Coefficient is that of one feature.
type Coefficient struct {
	Field string  `json:"field"`
	Value float64 `json:"value"`
}

// confidence of intervals, and what is left of it.
const (
	confidence = 0.95
	doubt      = 1 - confidence
)
