"""What is thought of each pool's answer to one prompt: predicted where a model was trained, else by the tier rule; corrected by
what was learnt while serving. Pure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from router.choosing.features import Features
from router.choosing.learning.learning import Learning
from router.choosing.quality.prediction import Prediction, Predictor
from router.choosing.rule import STRENGTH, AutoRule, needed_tier
from router.snapshot import Pool, Tier

ENOUGH = 0.9  # what a tier that will do is taken for; nobody has measured it
A_TIER = 0.3  # what each tier that is missing costs
WIDEST = 0.25  # standard deviation of a quality of which nothing is known
LITTLE_TRUST = 0.5


@dataclass(frozen=True, slots=True)
class Belief:
    """Entries are per pool asked about, in that order.

    quality, uncertainty   with what was learnt
    output_tokens          expected of the answer; 0 where that is not known
    predicted, prior       without what was learnt; what a constant would have said
    why                    what was found in the prompt, for the reason
    need                   by rule: the tier that will do; None where qualities were predicted
    source                 the predictor's own words; by rule, the same in its shape
    version                of the artefact; "" is the rule
    """

    quality: Sequence[float]
    uncertainty: Sequence[float]
    output_tokens: Sequence[float]
    predicted: Sequence[float]
    prior: Sequence[float]
    why: str
    need: Tier | None
    source: Prediction
    version: str = ""


def by_rule(features: Features, pools: Sequence[Pool], rule: AutoRule) -> Belief:
    """Knows nothing of the models but their tier: the needed one and those above it will do, those below do worse."""
    need, why = needed_tier(features, rule)
    quality = [ENOUGH - A_TIER * max(0, STRENGTH[need] - STRENGTH[pool.tier]) for pool in pools]
    doubt, tokens = [WIDEST] * len(pools), [0.0] * len(pools)
    return Belief(quality, doubt, tokens, quality, [ENOUGH] * len(pools), why, need, _NOTHING_PREDICTED)


class Known:
    """What a predictor says of itself, looked up once: where each pool stands in its arrays, and their priors."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor
        self.version = predictor.version
        self.row = {name: place for place, name in enumerate(predictor.pools)}
        self.prior: list[float] = predictor.prior.tolist()
        self.mean = sum(self.prior) / len(self.prior)


def by_prediction(known: Known, prediction: Prediction, pools: Sequence[Pool]) -> Belief:
    """As predicted. A pool that the predictor does not know is taken for the mean of those it does, with the widest doubt."""
    quality, uncertainty = prediction.quality.tolist(), prediction.uncertainty.tolist()
    tokens = prediction.output_tokens.tolist()
    prior, mean = known.prior, known.mean
    rows = [known.row.get(pool.name) for pool in pools]
    predicted = [mean if row is None else quality[row] for row in rows]
    return Belief(
        predicted,
        [WIDEST if row is None else uncertainty[row] for row in rows],
        [0.0 if row is None else tokens[row] for row in rows],
        predicted,
        [mean if row is None else prior[row] for row in rows],
        "" if prediction.trust > LITTLE_TRUST else f" (unlike what was trained on: trust {prediction.trust:.1f})",
        None,
        prediction,
        known.version,
    )


class Beliefs:
    """One per router. `predictor` gives the newest model, which may be exchanged between any two requests, or None."""

    def __init__(
        self, rule: AutoRule, learning: Learning | None = None, predictor: Callable[[], Predictor | None] = lambda: None
    ) -> None:
        self._rule = rule
        self._learning = learning
        self._predictor = predictor
        self._known: Known | None = None

    def of(self, features: Features, pools: Sequence[Pool]) -> Belief:
        """What is thought of each of the pools, for a prompt like this."""
        predictor = self._predictor()
        if predictor is None or not features.window:  # of token ids nothing can be read
            return self._learnt(features, pools, by_rule(features, pools, self._rule))
        if self._known is None or self._known.predictor is not predictor:
            self._known = Known(predictor)
        return self._learnt(features, pools, by_prediction(self._known, predictor.predict(features), pools))

    def _learnt(self, features: Features, pools: Sequence[Pool], belief: Belief) -> Belief:
        learning = self._learning
        if learning is None:
            return belief
        if note := learning.note:
            return replace(belief, why=f"{belief.why} ({note})")
        if learning.version != belief.version or not learning.learner.pools:
            return belief
        names = tuple(pool.name for pool in pools)
        context = learning.context(features, belief.source)
        now = learning.belief(names, np.array(belief.predicted), np.array(belief.uncertainty), context)
        return replace(belief, quality=now.mean.tolist(), uncertainty=now.std.tolist())


_NOTHING_PREDICTED = Prediction(np.zeros(0), np.zeros(0), np.zeros(0))
