"""Intervals by redrawing the prompts (bootstrap): groups of equal prompts are drawn with replacement, whole. Pure numpy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.outcomes.table import Floats, Ints

DRAWS = 400
# Of a hundred thousand prompts all draws at once would take a gigabyte.
_AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its central 95 % over redrawn prompts."""

    value: float
    low: float
    high: float


def redrawn_means(figures: Sequence[Floats], groups: Ints, seed: int) -> Iterator[tuple[Floats, ...]]:
    """Means over the prompts of each figure, [S, N] → [S]: first as they are, then of 400 draws. groups is int64[N]."""
    at = np.unique(groups, return_inverse=True)[1]
    size = np.bincount(at)
    sums = [np.stack([np.bincount(at, row) for row in figure]) for figure in figures]
    for times in _draws(len(size), seed):
        rows = times @ size
        yield from zip(*(times @ figure.T / rows[:, None] for figure in sums), strict=True)


def _draws(groups: int, seed: int) -> Iterator[Floats]:
    """How often each group is drawn, float64[draws, groups], in blocks."""
    yield np.ones((1, groups))
    chance, even = np.random.default_rng(seed), np.full(groups, 1 / groups)
    for _ in range(DRAWS // _AT_ONCE):
        yield chance.multinomial(groups, even, size=_AT_ONCE).astype(np.float64)


def interval(values: Sequence[float]) -> Interval:
    """The first value is the figure itself, the rest are draws."""
    low, high = np.quantile(values[1:], (0.025, 0.975))
    return Interval(values[0], float(low), float(high))
