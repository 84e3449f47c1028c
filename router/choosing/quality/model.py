"""The trained predictor, run by numpy alone. Pure: arrays in, a `Prediction` out.

Owns the arithmetic of one prediction; `training/fit` finds the arrays, `artefact.py` keeps them. A prompt becomes

    numbers  counts of its form, each also as steps ("above this threshold?"): an additive model of any shape, one bit a step
    vector   sum of the vectors of its words, at unit length: latent semantic analysis
    domain   softmax over the domains (or clusters) of the training prompts

and these add up, with a forest of small trees over all of them, to `R` scores in a rotated basis of the pools: their mean, and
contrasts between them. Each score has its own regularisation and its own mixture of the parts, so that a small gain between two
pools is not drowned in how hard prompts are. Cost: docs/quality.md.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from router.choosing.features import Features
from router.choosing.quality.form import NUMBERS
from router.choosing.quality.prediction import Prediction
from router.choosing.quality.text import LOOKED_AT, Text, read
from router.snapshot import Floats

Floats32 = NDArray[np.float32]
Ints64 = NDArray[np.int64]

_TINY: Final = 1e-12
# No answer is sure: a model of some thousand outcomes can't tell less than half a percent from nothing.
_LEAST: Final = 0.005
_FAR_SDS: Final = 4.0
# Below this a prediction is worth nothing: a small part of it would still turn choices that the prior leaves level.
_NO_TRUST: Final = 0.3
_LONGEST_LOG: Final = 20.0


@dataclass(frozen=True, slots=True)
class Parts:
    """Arrays of a model with K pools, R scores, D dimensions of text, T steps, C domains, V known words, N = NUMBERS.

    slots            uint32[2^b]      row of `vectors` for the top b bits of a word's hash; 0: unknown
    vectors          float32[V+1, D]  of each word; row 0 is zero
    centre, scale    float64[N]       of the numbers
    step_of, step_at intp[T], float64[T]  which number, and its threshold after centring
    step_weights     float64[T, R]    scores of each step
    score_weights    float64[N+D+1, R]  scores of numbers, vector and 1
    domain_weights   float64[N+D+1, C]  logits of the domains
    domain_scores    float64[C, R]    mean scores of each domain
    mixture          float64[R]       weight of the domain's scores
    roots, node_of, node_at, children, node_scores
                     int64[trees], int64[M], float64[M], int64[2M], float64[M, R]  a forest over x and the domain's scores:
                     node i goes to children[2i] or, above its threshold, to children[2i + 1]; a leaf goes to itself
    depth            int64[1]         steps from any root to a leaf
    basis            float64[R, K]    pools of each score
    prior            float64[K]       mean quality
    slope, offset    float64[K]       calibration: quality = slope x + offset
    metric           float64[N+D+1, N+D+1]  x metric x = leverage of a prompt
    near             float64[2]       leverage up to which trust is 1; share of known words from which on it is 1
    noise, between   float64[K]       sd of an outcome around its prediction, and of predictions over the training prompts
    token_weights    float64[N+D+1, K]  log of the output's length; NaN where unknown
    token_range      float64[2, K]    smallest and largest length that is told
    """

    slots: NDArray[np.uint32]
    vectors: Floats32
    centre: Floats
    scale: Floats
    step_of: NDArray[np.int64]
    step_at: Floats
    step_weights: Floats
    score_weights: Floats
    domain_weights: Floats
    domain_scores: Floats
    mixture: Floats
    roots: Ints64
    node_of: Ints64
    node_at: Floats
    children: Ints64
    node_scores: Floats
    depth: Ints64
    basis: Floats
    prior: Floats
    slope: Floats
    offset: Floats
    metric: Floats
    near: Floats
    noise: Floats
    between: Floats
    token_weights: Floats
    token_range: Floats


class QualityModel:
    """One per artefact; `version` is its digest. A `Predictor`."""

    def __init__(self, version: str, pools: tuple[str, ...], parts: Parts) -> None:
        self.version = version
        self.pools = pools
        self.parts = parts
        self.prior = parts.prior
        self.domains = parts.domain_scores.shape[0]
        self._scores = parts.basis.shape[0]
        self._logits = slice(self._scores, self._scores + self.domains)
        self._shift = np.uint64(64 - (len(parts.slots).bit_length() - 1))
        self._inverse_scale = 1.0 / parts.scale
        self._offset = -parts.centre / parts.scale
        self._wide = parts.metric.shape[0]
        self._ones = np.ones(LOOKED_AT, dtype=np.float32)
        self._weights = np.concatenate([parts.score_weights, parts.domain_weights, parts.metric], axis=1)
        self._pool_weights = parts.basis * parts.slope
        self._pool_constant = parts.prior * parts.slope + parts.offset
        self._near_leverage, self._near_known = parts.near.tolist()
        # Nodes are counted twofold in the walk: what a step reads then needs no arithmetic.
        self._depth = parts.depth.item(0)
        self._roots = 2 * parts.roots
        self._node_of = np.repeat(parts.node_of, 2)
        self._node_at = np.repeat(parts.node_at, 2)
        self._children = 2 * parts.children
        self._root_of = parts.node_of[parts.roots]
        self._root_at = parts.node_at[parts.roots]
        self._no_tokens = np.zeros(len(pools))
        self._no_tokens.setflags(write=False)
        self._has_tokens = bool(np.isfinite(parts.token_range).any())

    def predict(self, features: Features) -> Prediction:
        """Never fails. A prompt without text has trust 0 and the prior."""
        if not features.window:
            return Prediction(self.prior, np.hypot(self.parts.noise, self.parts.between), self._no_tokens, 0.0, 0)
        x, known = self.look(read(features))
        sums = x.dot(self._weights)
        logits = sums[self._logits]
        odds = np.exp(logits - np.maximum.reduce(logits))
        subject = odds.dot(self.parts.domain_scores) / np.add.reduce(odds)
        fitted = self._scored(x, sums[: self._scores], subject).dot(self._pool_weights) + self._pool_constant
        leverage = max(x.dot(sums[-self._wide :]).item(), _TINY)
        trust = min(1.0, self._near_leverage / leverage) ** 2 * min(1.0, known / self._near_known)
        trust = max(0.0, (trust - _NO_TRUST) / (1.0 - _NO_TRUST))
        return Prediction(
            quality=np.minimum(np.maximum(self.prior + trust * (fitted - self.prior), _LEAST), 1.0 - _LEAST),
            uncertainty=self._uncertainty(min(leverage, 1.0), trust),
            output_tokens=self._lengths(x) if self._has_tokens else self._no_tokens,
            trust=trust,
            domain=logits.argmax().item(),
        )

    def look(self, text: Text) -> tuple[Floats, float]:
        """Numbers, vector and 1, as float64[N+D+1], and the share of its words that were met in training."""
        rows = self.parts.slots.take((text.words >> self._shift).view(np.int64))
        vector = self._ones[: len(rows)].dot(self.parts.vectors.take(rows, axis=0))
        x = np.empty(self._wide)
        numbers = x[:NUMBERS]
        np.multiply(text.numbers, self._inverse_scale, out=numbers)
        numbers += self._offset
        np.minimum(np.maximum(numbers, -_FAR_SDS, out=numbers), _FAR_SDS, out=numbers)
        np.multiply(vector, 1.0 / (vector.dot(vector).item() ** 0.5 + _TINY), out=x[NUMBERS:-1])
        x[-1] = 1.0
        return x, np.count_nonzero(rows) / max(len(rows), 1)

    def _scored(self, x: Floats, linear: Floats, subject: Floats) -> Floats:
        """Scores of all parts together."""
        parts = self.parts
        steps = (x[parts.step_of] > parts.step_at).dot(parts.step_weights)
        scores: Floats = linear + subject * parts.mixture + steps + self._walk(np.concatenate((x, subject)))
        return scores

    def _walk(self, x: Floats) -> Floats:
        """What the forest adds: all trees take a step at once."""
        at = self._children[self._roots + (x[self._root_of] > self._root_at)] if self._depth else self._roots
        for _ in range(self._depth - 1):
            at = self._children[at + (x[self._node_of[at]] > self._node_at[at])]
        scores: Floats = np.add.reduce(self.parts.node_scores[at >> 1])
        return scores

    def _uncertainty(self, leverage: float, trust: float) -> Floats:
        """Of the fitted line, as in a linear model with this noise; and of the prior that replaces it."""
        fitted: Floats = leverage**0.5 * self.parts.noise
        return fitted if trust == 1.0 else np.hypot(fitted, (1.0 - trust) * self.parts.between)

    def _lengths(self, x: Floats) -> Floats:
        low, high = self.parts.token_range
        told = np.minimum(np.maximum(np.exp(np.minimum(x.dot(self.parts.token_weights), _LONGEST_LOG)), low), high)
        return np.where(np.isnan(told), 0.0, told)


def shapes(pools: int, parts: Parts) -> dict[str, tuple[int, ...]]:
    """What each array's shape must be, by the sizes that other arrays give. Raises nothing; the reader compares."""
    wide = NUMBERS + parts.vectors.shape[1] + 1
    scores, steps, domains = parts.basis.shape[0], len(parts.step_of), parts.domain_scores.shape[0]
    return {
        "slots": (1 << max(len(parts.slots).bit_length() - 1, 0),),
        "vectors": parts.vectors.shape,
        "centre": (NUMBERS,),
        "scale": (NUMBERS,),
        "step_of": (steps,),
        "step_at": (steps,),
        "step_weights": (steps, scores),
        "score_weights": (wide, scores),
        "domain_weights": (wide, domains),
        "domain_scores": (domains, scores),
        "mixture": (scores,),
        "roots": parts.roots.shape,
        "node_of": parts.node_of.shape,
        "node_at": parts.node_of.shape,
        "children": (2 * parts.node_of.size,),
        "node_scores": (parts.node_of.size, scores),
        "depth": (1,),
        "basis": (scores, pools),
        "prior": (pools,),
        "slope": (pools,),
        "offset": (pools,),
        "metric": (wide, wide),
        "near": (2,),
        "noise": (pools,),
        "between": (pools,),
        "token_weights": (wide, pools),
        "token_range": (2, pools),
    }


PART_NAMES: Final = tuple(field.name for field in fields(Parts))
