"""Whether predicted qualities come true: reliability curves and their summary, the expected calibration error. Pure numpy."""

from dataclasses import dataclass

import numpy as np

from training.outcomes.table import Floats

BINS = 10
# Smaller bins measure their own noise.
_FEWEST_IN_BIN = 25


@dataclass(frozen=True, slots=True)
class Reliability:
    """Of one pool, by bins of equal count: mean prediction, mean outcome, answers in each. `error` is the ECE.

    The ECE is the mean distance of prediction and outcome over the bins, weighted by their counts (Naeini et al., AAAI 2015,
    here with bins of equal count).
    """

    predicted: Floats
    observed: Floats
    count: Floats
    error: float


def reliability(predicted: Floats, observed: Floats) -> Reliability:
    """Both are [N]; answers whose outcome is NaN are left out. Ten bins, fewer of few answers; of none the error is NaN."""
    known = ~np.isnan(observed)
    predicted, observed = predicted[known], observed[known]
    if not len(observed):
        nothing = np.empty(0)
        return Reliability(nothing, nothing, nothing, float("nan"))
    # Equal predictions share a bin: split at random, their noise would count as an error.
    bins = min(BINS, max(1, len(observed) // _FEWEST_IN_BIN))
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1]))
    bin_of = np.searchsorted(edges, predicted, side="right")
    total = np.bincount(bin_of)
    used = total > 0
    count = total[used].astype(np.float64)
    mean_predicted = np.bincount(bin_of, predicted)[used] / count
    mean_observed = np.bincount(bin_of, observed)[used] / count
    error = float((np.abs(mean_predicted - mean_observed) * count).sum() / count.sum())
    return Reliability(mean_predicted, mean_observed, count, error)
