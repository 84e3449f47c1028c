"""Which of the scored replicas is taken. Randomness is an argument."""

from dataclasses import dataclass
from random import Random
from typing import Annotated

import numpy as np
from pydantic import Field

from router.snapshot import Floats

# Totals closer than this are equal: they differ only by rounding.
_TIE = 1e-9


@dataclass(frozen=True)
class Best:
    """The highest total; a random one of several."""

    def pick(self, totals: Floats, rng: Random) -> int:
        tied = (totals >= totals[totals.argmax()] - _TIE).nonzero()[0]
        return int(tied[int(rng.random() * len(tied))])


@dataclass(frozen=True)
class TwoChoices:
    """The better of two drawn at random (Mitzenmacher 2001).

    For several routers on the same pool: each knows only its own latest picks, and `best` would send them all to the replica
    that looked idle in the last report.
    """

    def pick(self, totals: Floats, rng: Random) -> int:
        rows = (totals >= 0).nonzero()[0]
        first = int(rng.random() * len(rows))
        if len(rows) == 1:
            return int(rows[0])
        # A second draw among the others.
        second = int(rng.random() * (len(rows) - 1))
        second += second >= first
        one, other = int(rows[first]), int(rows[second])
        return one if totals[one] >= totals[other] else other


@dataclass(frozen=True)
class WeightedRandom:
    """At random, in proportion to the total to the power of `sharpness`. A total of 0 is taken only where all are 0."""

    sharpness: Annotated[float, Field(gt=0, le=64)] = 4.0

    def pick(self, totals: Floats, rng: Random) -> int:
        best = totals.max()
        if best <= 0:
            return Best().pick(totals, rng)
        reach = np.cumsum((np.maximum(totals, 0.0) / best) ** self.sharpness)
        return int(np.searchsorted(reach, rng.random() * reach[-1], side="right"))
