"""Cost–quality curves of choosing a pool per prompt, and the lines that they are held against. Pure numpy.

A policy takes, for every prompt, the pool with the largest `predicted quality - weight * mean cost of the pool`; the weight
sweeps from nothing to so much that the cheapest pool always wins. AIQ (average improvement in quality, RouterBench, arXiv
2403.12031) is the mean height of the non-decreasing convex hull of such a curve between the cheapest and the dearest pool. The
zero router is the hull of the pools themselves: what drawing lots between two fixed choices gives. APGR (RouteLLM, arXiv
2406.18665) is the area under (quality - weak) / (strong - weak) against the share of prompts that go to the strong pool.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.outcomes.table import Floats

Ints = NDArray[np.int64]
STEPS = 160
# Of fifty pools and many prompts not every turn is looked at: it would take a gigabyte, to keep 160 of them.
_MOST_TURNS = 2_000_000


@dataclass(frozen=True, slots=True)
class Curve:
    """Mean cost and mean quality of the answers, a point per weight of cost; dearest first. float64[S] each."""

    cost: Floats
    quality: Floats


def weights_of_cost(predicted: Floats, costs: Floats, steps: int = STEPS) -> Floats:
    """0 and the weights at which choices change, thinned to `steps`, rising; the last always takes the cheapest pool.

    predicted is [N, K], costs [K].
    """
    dearer, cheaper = np.nonzero(costs[:, None] > costs[None, :])
    if not len(dearer):
        return np.zeros(1)
    thinned = predicted[:: 1 + predicted.shape[0] * len(dearer) // _MOST_TURNS]
    turns = (thinned[:, dearer] - thinned[:, cheaper]) / (costs[dearer] - costs[cheaper])
    turns = np.unique(turns[turns > 0])
    if len(turns) > steps:
        turns = turns[np.linspace(0, len(turns) - 1, steps).astype(np.int64)]
    return np.concatenate(([0.0], turns * (1 + 1e-9), [2 * (turns[-1] if len(turns) else 1.0)]))


def choices(predicted: Floats, costs: Floats, weights: Floats) -> Ints:
    """Pool of every prompt under every weight, int64[S, N]; of equals the cheapest."""
    order = np.argsort(costs, kind="stable")
    ranked, priced = predicted[:, order], costs[order]
    return np.stack([order[np.argmax(ranked - weight * priced, axis=1)] for weight in weights])


def curve_of(chosen: Ints, quality: Floats, cost: Floats) -> Curve:
    """What these choices, int64[S, N], come to; quality and cost are [N, K]."""
    rows = np.arange(len(quality))
    return Curve(cost[rows, chosen].mean(axis=1), quality[rows, chosen].mean(axis=1))


def oracle(quality: Floats, costs: Floats) -> Curve:
    """Knows every answer's quality beforehand; costs [K]."""
    chosen = choices(quality, costs, weights_of_cost(quality, costs))
    return curve_of(chosen, quality, np.broadcast_to(costs, quality.shape))


def hull(cost: Floats, quality: Floats) -> Curve:
    """The non-decreasing concave cover of these points, cheapest first: what mixing them can reach."""
    order = np.lexsort((-quality, cost))
    kept: list[tuple[float, float]] = []
    for x, y in zip(cost[order].tolist(), quality[order].tolist(), strict=True):
        if kept and y <= kept[-1][1]:
            continue
        while len(kept) > 1 and _below(kept[-2], kept[-1], (x, y)):
            kept.pop()
        kept.append((x, y))
    return Curve(np.array([x for x, _ in kept]), np.array([y for _, y in kept]))


def _below(first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]) -> bool:
    return (middle[1] - first[1]) * (last[0] - first[0]) <= (last[1] - first[1]) * (middle[0] - first[0])


def mean_height(curve: Curve, low: float, high: float) -> float:
    """Mean of the hull's quality from cost `low` to `high`; left of its first point it has that point's height."""
    cover = hull(curve.cost, curve.quality)
    if high <= low:
        return float(cover.quality[-1])
    inner = cover.cost[(cover.cost > low) & (cover.cost < high)]
    at = np.concatenate(([low], inner, [high]))
    return float(np.trapezoid(np.interp(at, cover.cost, cover.quality), at) / (high - low))


def cost_at(curve: Curve, quality: float) -> float:
    """Least cost of a point whose quality is at least this; NaN where the curve never gets there."""
    enough = curve.quality >= quality - 1e-12
    return float(curve.cost[enough].min()) if enough.any() else float("nan")


def gap_recovered(gain: Floats, weak: Floats, strong: Floats) -> float:
    """APGR of sending prompts to the strong pool by falling predicted gain; all are [N]. NaN where both pools are as good."""
    gap = float(strong.mean() - weak.mean())
    if gap == 0:
        return float("nan")
    order = np.argsort(-gain, kind="stable")
    taken = np.concatenate(([0.0], np.cumsum((strong - weak)[order]))) / len(gain)
    return float(np.trapezoid(taken / gap, np.linspace(0, 1, len(taken))))
