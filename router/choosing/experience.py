"""What a router makes of its experience: what it thinks of pools, what outcomes teach it, which pool it tries to learn.

Owns the memories behind `model: auto`; the thinking is in `choosing/learning`, the clock is given. Told of every answer that
the router chose a pool for, and of what callers said of it later. Holds no text of any prompt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from secrets import token_bytes
from typing import NamedTuple, Protocol

import numpy as np

from router.choosing.beliefs import Belief, Beliefs, Known, by_prediction
from router.choosing.choose import AUTO, PoolChoice
from router.choosing.features import Features
from router.choosing.latency import LatencyBook
from router.choosing.learning import learner
from router.choosing.learning.context import context
from router.choosing.learning.exploration import Exploration, Purse, Stakes, explore
from router.choosing.learning.learner import Occasion
from router.choosing.learning.learning import Learning
from router.choosing.learning.shadow import Pair, ShadowBook
from router.choosing.learning.signals import AskedBefore, Signal
from router.choosing.quality.prediction import Prediction, Predictor
from router.choosing.rule import AutoRule
from router.choosing.terms import Terms
from router.request import Request
from router.snapshot import Pool


class Said(NamedTuple):
    """The fields of Occasion but its context."""

    pool: str
    predicted: float
    believed: float
    prior: float
    tenant: str
    version: str


@dataclass(frozen=True)
class Trace:
    """What is kept of an answer until somebody judges it, which hardly ever happens: so the occasion is made then.

    features   without the text
    shadow     version of the shadow artefact, and what it expected
    """

    said: Said
    features: Features
    prediction: Prediction
    shadow: tuple[str, float] | None = None

    @cached_property
    def occasion(self) -> Occasion:
        said = self.said
        seen = context(self.features, self.prediction)
        return Occasion(said.pool, seen, said.predicted, said.believed, said.prior, said.tenant, said.version)


class Predictors(Protocol):
    """Where artefacts come from: `router.predictor_files.PredictorFiles`."""

    @property
    def current(self) -> Predictor | None: ...
    @property
    def shadow(self) -> Predictor | None: ...


@dataclass(frozen=True, slots=True)
class NoPredictors:
    """None at all: the rule chooses."""

    current: Predictor | None = None
    shadow: Predictor | None = None


class Experience:
    """One per router. `clock` only goes forward, in seconds. `predictors` may be exchanged between any two requests."""

    def __init__(
        self, rule: AutoRule, learning: Learning, predictors: Predictors, rng: Random, clock: Callable[[], float]
    ) -> None:
        self.learning = learning
        self.predictors = predictors
        self.book = ShadowBook()
        self.latency = LatencyBook()
        self._beliefs = Beliefs(rule, learning, lambda: self.predictors.current)
        self._asked = AskedBefore(token_bytes(16))
        self.purses: dict[str, Purse] = {}  # by policy
        self._rng = rng
        self._clock = clock

    def believe(self, features: Features, pools: Sequence[Pool]) -> Belief:
        return self._beliefs.of(features, pools)

    def another(self, choices: Sequence[PoolChoice], terms: Terms) -> Exploration | None:
        """The pool to try in place of the best one, or None. `choices` as ranked; `take` when it stands."""
        share = terms.policy.explore_share
        belief = choices[0].ranking.belief
        ready = [choice for choice in choices if choice.ready]
        if not share or belief is None or len(ready) < 2 or terms.policy.strategy not in ("balanced", "budget"):
            return None
        if not self.learning.hears(self._clock()):  # nobody tells how answers were: trying would be paid for nothing
            return None
        purse = self._purse(terms)
        purse.asked()
        stakes = Stakes(
            [choice.utility for choice in ready],
            [choice.cost_usd for choice in ready],
            [choice.bound_usd for choice in ready],
            terms.policy.weights.quality,
        )
        thought = learner.Belief(
            np.array([choice.option.quality for choice in ready]), np.array([choice.option.uncertainty for choice in ready])
        )
        return explore(stakes, thought, purse, self._rng.random())

    def take(self, exploration: Exploration, terms: Terms) -> None:
        self._purse(terms).take(exploration)

    def paid(self, terms: Terms, cost_usd: float, exploration: Exploration | None) -> None:
        """An answer cost this much; `exploration` is the one it was taken for."""
        if not terms.policy.explore_share:
            return
        purse = self._purse(terms)
        purse.spent(cost_usd)
        if exploration is not None:
            purse.settle(exploration, cost_usd)

    def answered(self, request: Request, features: Features, choice: PoolChoice, prompt: bytes) -> Trace | None:
        """An answer of this choice ended; None where the caller chose the pool."""
        trace = self._trace(request, features, choice)
        if trace is not None and request.session:
            self._asked.answered(request, prompt, trace.occasion, self._clock())
        return trace

    def saw(self, request: Request, features: Features, choice: PoolChoice, signal: Signal) -> None:
        """A sign that this choice was not good."""
        if (trace := self._trace(request, features, choice)) is not None:
            self.learning.signalled(trace.occasion, signal, self._clock())

    def asks(self, request: Request, prompt: bytes) -> None:
        """A request comes in; the same one again in one session is a sign."""
        if request.session and (again := self._asked.asks(request, prompt, self._clock())) is not None:
            self.learning.signalled(again, Signal.ASKED_AGAIN, self._clock())

    def heard(self, trace: object, score: float, weight: float = 1.0) -> None:
        """A caller's verdict, 0 to 1. `weight`: always 1, that of a verdict."""
        if not isinstance(trace, Trace):
            return
        if self.learning.heard(trace.occasion, score, self._clock()) and trace.shadow is not None:
            version, expected = trace.shadow
            self.book.judged(version, trace.occasion.believed, expected, score)

    def revised(self, trace: object, score: float, before: float) -> None:
        """The caller changed their mind, from `before`."""
        if isinstance(trace, Trace):
            self.learning.taken_back(trace.occasion)
            self.learning.heard(trace.occasion, score, self._clock())

    def preferred(self, winner: object, loser: object) -> None:
        """A caller finds the one answer better than the other."""
        if isinstance(winner, Trace) and isinstance(loser, Trace):
            self.learning.preferred(winner.occasion, loser.occasion, self._clock())

    def tick(self) -> None:
        """Lets what was learnt fade. Every minute."""
        self.learning.tick(self._clock())
        self.latency.sweep()

    def _purse(self, terms: Terms) -> Purse:
        policy = terms.policy
        purse = self.purses.get(policy.name)
        if purse is None:
            purse = self.purses[policy.name] = Purse(policy.explore_share)
        purse.explore_share = policy.explore_share
        return purse

    def _trace(self, request: Request, features: Features, choice: PoolChoice) -> Trace | None:
        belief = choice.ranking.belief
        if belief is None or request.model != AUTO:
            return None
        pools = [option.pool for option in choice.ranking.asked_about]
        at = next(at for at, pool in enumerate(pools) if pool.name == choice.pool.name)
        said = Said(
            choice.pool.name,
            belief.predicted[at],
            choice.option.quality,
            belief.prior[at],
            choice.ranking.asked.tenant.name,
            belief.version,
        )
        shadow = self._compared(features, choice, pools, at)
        return Trace(said, features.without_text(), belief.source, shadow)

    def _compared(self, features: Features, choice: PoolChoice, pools: Sequence[Pool], at: int) -> tuple[str, float] | None:
        """Asks the shadow too, after the answer, so that no caller waits for it."""
        shadow = self.predictors.shadow
        if shadow is None or not features.window:
            return None
        belief = by_prediction(Known(shadow), shadow.predict(features), pools)
        options = [
            option._replace(quality=quality) for option, quality in zip(choice.ranking.asked_about, belief.quality, strict=True)
        ]
        utilities = choice.ranking.strategy.utilities(options, choice.ranking.terms)
        best = max(range(len(options)), key=lambda row: -float("inf") if utilities[row] is None else utilities[row] or 0.0)
        first = choice.ranking.options[0][0]
        self.book.decided(
            Pair(
                first.pool.name,
                options[best].pool.name,
                first.quality,
                options[best].quality,
                first.estimate.cost_usd,
                options[best].estimate.cost_usd,
            )
        )
        return shadow.version, belief.quality[at]
