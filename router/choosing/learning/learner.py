"""A contextual bandit on top of the trained prior: per pool a Bayesian linear model of score − predicted quality. Pure.

The model of linear Thompson sampling (Agrawal and Goyal 2013), of the residual and with a prior of mean zero: without outcomes
the prediction stands as it is. Scores lie within 0 and 1, so their noise has at most the variance 1/4 (Popoviciu), which is
taken throughout. Evidence fades as `evidence.py` says; the prior does not, so what fades makes room for doubt.
"""

from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

from router.choosing.learning.context import PRIOR_VARIANCE, QUALITY, WIDTH, Context, for_pool
from router.choosing.learning.evidence import ALL_HALVINGS, HALF_LIFE_OUTCOMES, Evidence, Sums, faded, heaviest, merged, summed
from router.snapshot import Floats

NOISE_VARIANCE = 0.25
# How surely the better answer of two is preferred: at a difference in quality of 0.5 in 88 of 100 cases.
PREFERENCE_SLOPE = 4.0
# Of each half of a preference: it says which is better, and nothing of how good they are.
PREFERENCE_WEIGHT = 0.5
MOST_POOLS = 512

_PRIOR_PRECISION = np.diag(1.0 / PRIOR_VARIANCE)
_QUALITY_VARIANCE = float(PRIOR_VARIANCE[QUALITY])
# The row of every pool that nothing is known of.
_UNKNOWN = 0


@dataclass(frozen=True, slots=True)
class Belief:
    """Of one prompt, an entry per pool asked about, in that order: expected quality, 0 to 1, and its standard deviation."""

    mean: Floats
    std: Floats


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Occasion:
    """One answer as it was decided on; kept until its outcome is known. No text. Each is only equal to itself.

    predicted   by the artefact (or the rule)
    believed    with what was learnt, as it was then
    prior       what a constant would have said of this pool
    version     of the artefact: outcomes under another one teach nothing here
    """

    pool: str
    context: Context
    predicted: float
    believed: float
    prior: float
    tenant: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Taught:
    """What one outcome added; needed to take it back. `so_far`: what the pool had been taught before, not fading."""

    pool: str
    vector: Floats
    residual: float
    weight: float
    so_far: float


class Learner:
    """One per artefact and router; used from one thread."""

    def __init__(self, half_life_outcomes: float = HALF_LIFE_OUTCOMES) -> None:
        self._half_life = half_life_outcomes
        self._names: list[str] = [""]  # by row; the first is everybody unknown
        self._rows: dict[str, int] = {}
        self._asked: dict[tuple[str, ...], NDArray[np.intp]] = {}
        self._sent: Evidence | None = None
        self._so_far: dict[str, float] = {}
        self._total, self._fresh = Sums(1), Sums(1)
        self._block = np.zeros((1, WIDTH + 1, WIDTH))
        self._refresh(slice(0, 1))

    @property
    def pools(self) -> tuple[str, ...]:
        """Those that there is evidence of."""
        return tuple(self._names[1:])

    def weight(self, pool: str) -> float:
        """Outcomes that still count for this pool."""
        return float(self._total.weight[self._rows.get(pool, _UNKNOWN)])

    def belief(self, pools: tuple[str, ...], quality: Floats, uncertainty: Floats, context: Context) -> Belief:
        """What to expect of each of `pools`; `quality` and `uncertainty` are the prediction's, in the same order.

        The doubt of the prediction wears away with that of the correction. A pool not heard of keeps the prediction, and all
        doubt.
        """
        rows = self._asked.get(pools)
        if rows is None:
            rows = self._found(pools)
        # Covariance and weights lie below each other, so that one product with the context serves both.
        block = self._block.take(rows, axis=0)
        values = context.values
        along = (block.reshape(-1, WIDTH) @ values).reshape(-1, WIDTH + 1)
        by_quality = block[:, :, QUALITY]
        centred = quality - 0.5
        mean = quality + along[:, WIDTH] + by_quality[:, WIDTH] * centred
        left = along[:, :WIDTH] @ values + centred * (2.0 * along[:, QUALITY] + by_quality[:, QUALITY] * centred)
        prior = context.variance + _QUALITY_VARIANCE * centred * centred
        std = np.sqrt((uncertainty * uncertainty / prior + 1.0) * left)
        return Belief(np.minimum(np.maximum(mean, 0.0), 1.0), std)

    def expected(self, pool: str, context: Context, predicted: float) -> float:
        """Of one pool, now; within 0 and 1."""
        weights = self._block[self._rows.get(pool, _UNKNOWN), WIDTH]
        return min(max(predicted + float(weights @ for_pool(context.values, predicted)), 0.0), 1.0)

    def observe(self, pool: str, context: Context, predicted: float, score: float, weight: float = 1.0) -> Taught:
        """One outcome: `score` for an answer of which `predicted` was expected. `weight` 1 is a caller's verdict.

        Raises ValueError for a score or a weight that is not within 0 and 1.
        """
        if not 0.0 <= score <= 1.0:
            raise ValueError("score must be within 0 and 1")
        if not 0.0 <= weight <= 1.0:
            raise ValueError("weight must be within 0 and 1")
        return self._take(pool, context, predicted, score - predicted, weight)

    def prefer(self, winner: Occasion, loser: Occasion, weight: float = 1.0) -> tuple[Taught, ...]:
        """The one answer is better than the other: a Bradley–Terry step, as two pseudo-scores.

        With p, the probability believed so far that the winner wins, the winner is taught (1−p)/2 more than what is believed of
        it, the loser as much less: what was expected teaches little, a surprise up to half a score each. Within 0 and 1 the sum
        of both stays, since a preference says nothing of how good they are. Two answers of one pool teach nothing about pools.
        """
        if winner.pool == loser.pool:
            return ()
        above = self.expected(winner.pool, winner.context, winner.predicted)
        below = self.expected(loser.pool, loser.context, loser.predicted)
        step = 0.5 / (1.0 + exp(PREFERENCE_SLOPE * (above - below)))
        return tuple(
            self._take(each.pool, each.context, each.predicted, target - each.predicted, weight * PREFERENCE_WEIGHT)
            for each, target in ((winner, min(above + step, 1.0)), (loser, max(below - step, 0.0)))
        )

    def take_back(self, taught: Taught) -> None:
        """An outcome does not hold: from now on it says what is believed anyway. Its weight stays, and fades as it did."""
        row = self._rows.get(taught.pool)
        if row is None:
            return
        left = 2.0 ** (-(self._so_far[taught.pool] - taught.so_far) / self._half_life)
        believed = float(self._block[row, WIDTH] @ taught.vector)
        change = left * taught.weight * (believed - taught.residual) * taught.vector
        self._total.products[row] += change
        self._fresh.products[row] += change
        self._refresh(slice(row, row + 1))

    def forget(self, pool: str) -> None:
        """The pool changed: what was learnt of it holds no more, here and where the sums are shared."""
        if (row := self._rows.get(pool)) is not None:
            self._total.fade(row, 0.0)
            self._fresh.fade(row, 0.0)
            self._fresh.seen[row] += ALL_HALVINGS * self._half_life
            self._so_far[pool] = self._so_far.get(pool, 0.0) + ALL_HALVINGS * self._half_life
            self._refresh(slice(row, row + 1))

    def age(self, left: float) -> None:
        """Time went by: `left` of all evidence stays (`evidence.left_after`)."""
        everything = slice(0, len(self._names))
        self._total.fade(everything, left)
        self._fresh.fade(everything, left)
        if self._sent is not None:
            self._sent = faded(self._sent, left)
        self._refresh(everything)

    def evidence(self) -> Evidence:
        """All that is known here."""
        return self._known(self._total)

    def outgoing(self) -> Evidence | None:
        """What was learnt here and is not known to have reached the others; None where there is nothing.

        The same again until `adopt` or `kept_back`, so that whoever is sent it twice can tell.
        """
        if self._sent is None and (self._fresh.seen.any() or self._fresh.products.any()):
            self._sent = self._known(self._fresh)
            self._fresh = Sums(len(self._total.weight))
        return self._sent

    def adopt(self, shared: Evidence) -> None:
        """Takes the sums of all routers, in which those are that `outgoing` gave, and adds what was seen here since."""
        fresh = self._known(self._fresh)
        total = heaviest(merged(shared, fresh, self._half_life), MOST_POOLS)
        self._sent = None
        self._number(total.pools, total, fresh)

    def _take(self, pool: str, context: Context, predicted: float, residual: float, weight: float) -> Taught:
        row = self._rows.get(pool) or self._add(pool)
        vector = for_pool(context.values, predicted)
        left = 2.0 ** (-weight / self._half_life)
        so_far = self._so_far[pool] = self._so_far.get(pool, 0.0) + weight
        for sums in (self._total, self._fresh):
            sums.fade(row, left)
            sums.add(row, vector, residual, weight)
        self._refresh(slice(row, row + 1))
        return Taught(pool, vector, residual, weight, so_far)

    def _add(self, pool: str) -> int:
        """A row of its own for this pool; where there are too many, the one least known gives way."""
        total, fresh = self._known(self._total), self._known(self._fresh)
        kept = total if len(total.pools) < MOST_POOLS else heaviest(total, MOST_POOLS - 1)
        self._number((*kept.pools, pool), total, fresh)
        return self._rows[pool]

    def _number(self, pools: tuple[str, ...], total: Evidence, fresh: Evidence) -> None:
        self._names = ["", *pools]
        self._rows = {name: row for row, name in enumerate(self._names) if row}
        self._asked.clear()
        self._total, self._fresh = summed(total, self._names), summed(fresh, self._names)
        self._block = np.zeros((len(self._names), WIDTH + 1, WIDTH))
        self._refresh(slice(0, len(self._names)))

    def _known(self, sums: Sums) -> Evidence:
        whole = sums.value(self._names)
        return Evidence(whole.pools[1:], whole.weight[1:], whole.moments[1:], whole.products[1:], whole.seen[1:])

    def _found(self, pools: tuple[str, ...]) -> NDArray[np.intp]:
        if len(self._asked) >= MOST_POOLS:
            self._asked.clear()
        rows = self._asked[pools] = np.array([self._rows.get(pool, _UNKNOWN) for pool in pools], dtype=np.intp)
        return rows

    def _refresh(self, rows: slice) -> None:
        """The posterior of these rows, from their sums."""
        covariance = np.linalg.inv(_PRIOR_PRECISION + self._total.moments[rows] / NOISE_VARIANCE)
        self._block[rows, :WIDTH] = covariance
        self._block[rows, WIDTH] = (covariance @ self._total.products[rows][..., None])[..., 0] / NOISE_VARIANCE
