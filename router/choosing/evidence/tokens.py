"""Evidence from the probabilities of an answer's own tokens. Costs nothing: the engine has them anyway."""

from collections.abc import Sequence
from math import exp

import numpy as np

from router.snapshot import Floats

WINDOW_TOKENS = 32
_LEAST_LOG = -100.0  # engines say -9999 or minus infinity for what they think impossible


def mean_probability(logprobs: Sequence[float]) -> float | None:
    """exp(mean log-probability), 0 to 1: the geometric mean, so that long answers don't lose for being long. None: no tokens,
    or one whose probability is not a number.
    """
    told = _told(logprobs)
    return exp(told.mean()) if len(told) else None


def least_probability(logprobs: Sequence[float], window_tokens: int = WINDOW_TOKENS) -> float | None:
    """The same over the weakest `window_tokens` in a row; over all where there are fewer. One lost step shows here that the
    mean of a long answer hides.
    """
    told = _told(logprobs)
    if not len(told):
        return None
    width = min(window_tokens, len(told))
    sums = np.concatenate(([0.0], told.cumsum()))
    return min(exp((sums[width:] - sums[:-width]).min() / width), 1.0)


def _told(logprobs: Sequence[float]) -> Floats:
    told: Floats = np.array(logprobs, dtype=np.float64)
    return told[:0] if np.isnan(told).any() else told.clip(_LEAST_LOG, 0.0)
