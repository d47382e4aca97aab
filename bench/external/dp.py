# SPDX-License-Identifier: Apache-2.0
"""What Google's dp-accounting says of the cases on standard input, as JSON: for each [ε by RDP, ε by PLD], or null."""

import json
import math
import sys

import dp_accounting
from dp_accounting import rdp
from dp_accounting.pld import pld_pmf
from dp_accounting.pld import privacy_loss_distribution as pld

MICRO = 1e6
RELATION = dp_accounting.NeighboringRelation


def event(m):
    noise = m["noise"] / MICRO
    if m["kind"] == "gaussian":
        e = dp_accounting.GaussianDpEvent(noise)
    elif m["kind"] == "laplace":
        e = dp_accounting.LaplaceDpEvent(noise)
    elif m["kind"] == "tree":
        e = dp_accounting.SingleEpochTreeAggregationDpEvent(noise, m["size"])
    elif m["kind"] == "k-rr":
        e = dp_accounting.RandomizedResponseDpEvent(noise, m["size"])
    else:
        return None
    if m["sampling"] == "poisson":
        e = dp_accounting.PoissonSampledDpEvent(m["rate"]["num"] / m["rate"]["den"], e)
    elif m["sampling"] == "fixed-size":
        e = dp_accounting.SampledWithoutReplacementDpEvent(m["rate"]["den"], m["rate"]["num"], e)
    return dp_accounting.SelfComposedDpEvent(e, m["count"])


def relation(case):
    if case["adjacency"] == "add-or-remove":
        return RELATION.ADD_OR_REMOVE_ONE
    # dp-accounting has trees under a relation of its own, in which the noise is as many times the sensitivity
    if any(m["kind"] == "tree" for m in case["mechanisms"]):
        return RELATION.REPLACE_SPECIAL
    return RELATION.REPLACE_ONE


def by_rdp(case):
    accountant = rdp.RdpAccountant(neighboring_relation=relation(case))
    for m in case["mechanisms"]:
        e = event(m)
        if e is None or not accountant.supports(e):
            return None
        accountant.compose(e)
    return accountant.get_epsilon(case["delta"])


def randomised_response(p, k):
    """Its own constructor rounds losses up; this connects the dots as for other mechanisms."""
    step, top = 1e-4, math.log1p(k * (1 - p) / p)
    points = sorted({f(l / step) for l in (-top, 0, top) for f in (math.floor, math.ceil)})
    masses = [(top, 1 - p + p / k), (0, p - 2 * p / k), (-top, p / k)]
    deltas = [math.fsum(m * max(0, -math.expm1(i * step - l)) for l, m in masses) for i in points]
    return pld.PrivacyLossDistribution(pld_pmf.create_pmf_pessimistic_connect_dots(step, points, deltas))


def distribution(m):
    noise, q = m["noise"] / MICRO, m["rate"]["num"] / m["rate"]["den"]
    if m["sampling"] == "fixed-size":
        return None
    if m["kind"] == "gaussian" and m["sampling"] == "none":
        return pld.from_gaussian_mechanism(noise / math.sqrt(m["count"]))
    if m["kind"] == "tree":
        depth = math.ceil(math.log2(m["size"] + 1))
        return pld.from_gaussian_mechanism(noise / math.sqrt(depth * m["count"]))
    if m["kind"] == "gaussian":
        d = pld.from_gaussian_mechanism(noise, sampling_prob=q)
    elif m["kind"] == "laplace":
        d = pld.from_laplace_mechanism(noise, sampling_prob=q)
    elif m["kind"] == "discrete-laplace":
        s = m["sensitivity"]
        d = pld.from_discrete_laplace_mechanism(1 / (noise * s), s, sampling_prob=q, use_connect_dots=True)
    elif m["kind"] == "discrete-gaussian":
        d = pld.from_discrete_gaussian_mechanism(noise, sampling_prob=q, use_connect_dots=True)
    elif m["kind"] == "k-rr":
        d = randomised_response(noise, m["size"])
    else:
        return None
    return d.self_compose(m["count"])


def by_pld(case):
    total = None
    for m in case["mechanisms"]:
        d = distribution(m)
        if d is None:
            return None
        total = d if total is None else total.compose(d)
    return total.get_epsilon_for_delta(case["delta"])


def finite(x):
    return x if x is not None and math.isfinite(x) else None


print(json.dumps([[finite(by_rdp(c)), finite(by_pld(c))] for c in json.load(sys.stdin)]))
