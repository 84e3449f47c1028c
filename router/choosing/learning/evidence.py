"""What outcomes add up to: per pool the sums of a linear regression, which routers can add to one another's. Pure.

Forgetting is by outcomes and by time. What was learnt of a pool halves with every HALF_LIFE_OUTCOMES further outcomes of that
pool, so that a change shows after some hundreds of them however many came before; and every HALF_LIFE_S, so that a pool which
nobody asks any more becomes unknown again, and is tried.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from router.choosing.learning.context import WIDTH
from router.snapshot import Floats

HALF_LIFE_OUTCOMES = 500.0
HALF_LIFE_S = 7 * 24 * 3600.0
# Less than this of an outcome is nothing.
NOTHING = 1e-3
# Halvings that leave nothing of whatever came before.
ALL_HALVINGS = 60.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Sums over outcomes, a row per pool; x is the pool's context vector, w the outcome's weight, r its score less what was
    predicted. Arrays are not written to.

    weight    Σ w, [K]
    moments   Σ w·x·xᵀ, [K, WIDTH, WIDTH]
    products  Σ w·r·x, [K, WIDTH]
    seen      Σ w since these sums began, not fading, [K]: what came before them fades by as much
    """

    pools: tuple[str, ...]
    weight: Floats
    moments: Floats
    products: Floats
    seen: Floats


class Sums:
    """The same, being added to. Rows are numbered by the owner."""

    def __init__(self, rows: int) -> None:
        self.weight = np.zeros(rows)
        self.moments = np.zeros((rows, WIDTH, WIDTH))
        self.products = np.zeros((rows, WIDTH))
        self.seen = np.zeros(rows)

    def add(self, row: int, vector: Floats, residual: float, weight: float) -> None:
        """One outcome; `vector` is the pool's own context."""
        weighted = weight * vector
        self.weight[row] += weight
        self.moments[row] += np.outer(weighted, vector)
        self.products[row] += residual * weighted
        self.seen[row] += weight

    def fade(self, rows: int | slice, left: float) -> None:
        """`left` of these rows stays."""
        self.weight[rows] *= left
        self.moments[rows] *= left
        self.products[rows] *= left

    def value(self, pools: Sequence[str]) -> Evidence:
        """A copy of the first rows, which are those of `pools`."""
        count = len(pools)
        return Evidence(
            tuple(pools),
            self.weight[:count].copy(),
            self.moments[:count].copy(),
            self.products[:count].copy(),
            self.seen[:count].copy(),
        )


def no_evidence() -> Evidence:
    return Sums(0).value(())


def faded(evidence: Evidence, share: Floats | float) -> Evidence:
    """`share` of it is left, per pool or of all."""
    left = np.broadcast_to(np.asarray(share, dtype=np.float64), evidence.weight.shape)
    return Evidence(
        evidence.pools,
        evidence.weight * left,
        evidence.moments * left[:, None, None],
        evidence.products * left[:, None],
        evidence.seen,
    )


def merged(earlier: Evidence, later: Evidence, half_life_outcomes: float = HALF_LIFE_OUTCOMES) -> Evidence:
    """Both together: the earlier fades by what was seen since."""
    pools = tuple(dict.fromkeys((*earlier.pools, *later.pools)))
    first, second = (summed(each, pools).value(pools) for each in (earlier, later))
    first = faded(first, np.exp2(-second.seen / half_life_outcomes))
    return Evidence(
        pools,
        first.weight + second.weight,
        first.moments + second.moments,
        first.products + second.products,
        first.seen + second.seen,
    )


def heaviest(evidence: Evidence, most: int) -> Evidence:
    """The `most` pools with the most outcomes, in their order; without those that neither hold nor say anything any more."""
    rows = np.flatnonzero((evidence.weight >= NOTHING) | (evidence.seen > 0))
    if len(rows) > most:
        rows = np.sort(rows[np.argsort(-evidence.weight[rows], kind="stable")[:most]])
    return _rows(evidence, rows)


def left_after(elapsed_s: float, half_life_s: float = HALF_LIFE_S) -> float:
    """The share that time leaves. A clock that went back takes nothing away."""
    return float(2.0 ** (-max(elapsed_s, 0.0) / half_life_s))


def summed(evidence: Evidence, pools: Sequence[str]) -> Sums:
    """To go on adding, with a row for each of `pools` in their order; what is known of others is left out."""
    row_of = {pool: row for row, pool in enumerate(pools)}
    known = [at for at, pool in enumerate(evidence.pools) if pool in row_of]
    rows = [row_of[evidence.pools[at]] for at in known]
    sums = Sums(len(pools))
    sums.weight[rows] = evidence.weight[known]
    sums.moments[rows] = evidence.moments[known]
    sums.products[rows] = evidence.products[known]
    sums.seen[rows] = evidence.seen[known]
    return sums


def _rows(evidence: Evidence, rows: NDArray[np.intp]) -> Evidence:
    return Evidence(
        tuple(evidence.pools[row] for row in rows),
        evidence.weight[rows],
        evidence.moments[rows],
        evidence.products[rows],
        evidence.seen[rows],
    )
