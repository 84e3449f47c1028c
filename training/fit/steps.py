"""Counts of form as steps at their quantiles: an additive model of them can then have any shape. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.outcomes.table import Floats

_BINS = 8
_FAR_SDS = 4.0


@dataclass(frozen=True)
class Steps:
    """As in `router.choosing.quality.model.Parts`."""

    centre: Floats
    scale: Floats
    step_of: NDArray[np.int64]
    step_at: Floats

    def standardise(self, numbers: Floats) -> Floats:
        return np.clip((numbers - self.centre) / self.scale, -_FAR_SDS, _FAR_SDS)

    def steps(self, standard: Floats) -> Floats:
        """float64[N, T] of 0 and 1."""
        return (standard[:, self.step_of] > self.step_at).astype(np.float64)


def fit_steps(numbers: Floats) -> Steps:
    centre, spread = numbers.mean(axis=0), numbers.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    standard = np.clip((numbers - centre) / scale, -_FAR_SDS, _FAR_SDS)
    step_of, step_at = [], []
    for at in range(standard.shape[1]):
        values = np.unique(standard[:, at])
        below = values.searchsorted(np.quantile(standard[:, at], np.arange(1, _BINS) / _BINS, method="lower"))
        for place in np.unique(below[below < len(values) - 1]):
            step_of.append(at)
            # Half-way to the next value: rounding can't turn a comparison round.
            step_at.append((values[place] + values[place + 1]) / 2)
    return Steps(centre, scale, np.array(step_of, dtype=np.int64), np.array(step_at, dtype=np.float64))
