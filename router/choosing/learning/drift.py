"""When what is believed of the pools has become clearly wrong: sequential tests with a stated rate of false alarms. Pure.

Each test bets against "all is well". A gain g, within -1-ε and 1-ε, has a mean of at most 0 while all is well, given what came
before; so L = 1 + λ·w·g has a mean of at most 1 for any bet λ and weight w fixed before the outcome. With R' = (R + 1)·L, begun
at 0 (the Shiryaev–Roberts sum; Shin, Ramdas and Rinaldo 2023 call it an e-detector), R less the number of outcomes is a
supermartingale, so that P(R reaches c within T outcomes) ≤ T / c. The alarm is at c = HORIZON / RATE: at most RATE false alarms
in HORIZON outcomes, whatever the distribution, with no need to know when a change began. Several bets at once: their mean keeps
the bound. docs/learning.md has the proof.

Only outcomes that a caller labelled count. They are of pools that were chosen: no forecaster is judged where nobody went, and
all are judged on the same outcomes, which are what serving means. Weighting by the inverse probability of the choice is left
out on purpose: greedy choices give the others probability 0, and no weight mends that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from router.snapshot import Floats

RATE = 0.01
HORIZON = 10_000
ALARM_AT = HORIZON / RATE
BETS: Floats = np.array([0.05, 0.1, 0.2, 0.4, 0.8])
# A forecaster is worse when its Brier score is by more than this; a pool has changed when it is off by more than that.
BRIER_MARGIN = 0.01
OFF_MARGIN = 0.1
# Outcomes of a pool before it is watched: what is new is not yet known, and that is no change.
SETTLED_AFTER = 50.0
ROLLING_HALF_LIFE = 200.0


def advance(capital: Floats, gain: Floats | float, weight: float = 1.0) -> Floats:
    """The sums after one more outcome, [..., bets]; `gain` has the shape before the bets."""
    gains = np.asarray(gain, dtype=np.float64)[..., None]
    raised: Floats = (capital + 1.0) * (1.0 + weight * BETS * gains)
    return raised


def evidence_of(capital: Floats) -> Floats:
    """What is held against ALARM_AT."""
    mean: Floats = capital.mean(axis=-1)
    return mean


class Detector:
    """One test that goes on for ever; an alarm starts it anew."""

    def __init__(self) -> None:
        self._capital = np.zeros(len(BETS))

    def saw(self, gain: float, weight: float = 1.0) -> bool:
        """Whether this outcome raises the alarm."""
        self._capital = advance(self._capital, gain, weight)
        if evidence_of(self._capital) < ALARM_AT:
            return False
        self._capital = np.zeros(len(BETS))
        return True


@dataclass(frozen=True, slots=True)
class Forecasts:
    """What was expected of one answer.

    served      what the choice was made by
    artefact    by the artefact alone
    prior       by a constant for its pool
    """

    served: float
    artefact: float
    prior: float


@dataclass(frozen=True, slots=True)
class Alarms:
    """What one outcome brought to light.

    learning   what was learnt makes the artefact worse
    worthless  what serves is worse than constants
    changed    "better" or "worse": how the pool does now against what is believed of it; "" as believed
    """

    learning: bool = False
    worthless: bool = False
    changed: str = ""

    def __bool__(self) -> bool:
        return self.learning or self.worthless or bool(self.changed)


class Watch:
    """Over one artefact and what is learnt on top of it."""

    def __init__(self) -> None:
        self._learning = Detector()
        self._worthless = Detector()
        self._changed: dict[str, tuple[Detector, Detector]] = {}
        self._settled: dict[str, float] = {}
        self.outcomes = 0.0  # by weight
        self._rolling_weight = 0.0
        self._losses = np.zeros(3)

    def saw(self, pool: str, forecasts: Forecasts, score: float, weight: float = 1.0) -> Alarms:
        """One labelled outcome."""
        self.outcomes += weight
        served, artefact, prior = ((score - each) ** 2 for each in (forecasts.served, forecasts.artefact, forecasts.prior))
        left = 2.0 ** (-weight / ROLLING_HALF_LIFE)
        self._rolling_weight = self._rolling_weight * left + weight
        self._losses = self._losses * left + weight * np.array([served, artefact, prior])
        return Alarms(
            self._learning.saw(served - artefact - BRIER_MARGIN, weight),
            self._worthless.saw(served - prior - BRIER_MARGIN, weight),
            self._change(pool, score - forecasts.served, weight),
        )

    def brier(self) -> Sequence[float]:
        """Rolling, of what served, of the artefact alone and of the constants; 0 before the first outcome."""
        rolling: list[float] = (self._losses / max(self._rolling_weight, 1e-12)).tolist()
        return rolling

    def renewed(self, pool: str) -> None:
        """The pool is learnt anew: it is watched again when it is known."""
        self._settled.pop(pool, None)
        self._changed.pop(pool, None)

    def mute(self, pool: str) -> None:
        """It changed, and nothing is learnt anew: to be told of it again helps nobody."""
        self._settled[pool] = -inf

    def _change(self, pool: str, off: float, weight: float) -> str:
        settled = self._settled.get(pool, 0.0) + weight
        self._settled[pool] = settled
        if settled <= SETTLED_AFTER:
            return ""
        above, below = self._changed.setdefault(pool, (Detector(), Detector()))
        # Both are told of each outcome.
        better, worse = above.saw(off - OFF_MARGIN, weight), below.saw(-off - OFF_MARGIN, weight)
        if not better and not worse:
            return ""
        self.renewed(pool)
        return "better" if better else "worse"
