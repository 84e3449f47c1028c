"""How far predictions are from outcomes, and the line that brings them there. Pure; NaN marks a missing outcome."""

import numpy as np

from training.outcomes.table import Floats

_BINS = 10
# Rows' worth of "as it is" in the slope: a few outcomes don't turn a pool's predictions round.
_KEEP_ROWS = 50.0


def fit_lines(predicted: Floats, quality: Floats, prior: Floats) -> tuple[Floats, Floats]:
    """Slope and offset of each pool, float64[K]: least squares of quality on predictions, drawn to slope 1 around the prior."""
    slopes, offsets = np.ones(len(prior)), np.zeros(len(prior))
    for at in range(len(prior)):
        told = ~np.isnan(quality[:, at])
        said = predicted[told, at] - prior[at]
        keep = _KEEP_ROWS * predicted[:, at].var()
        below = (said * said).sum() + keep
        if below > 1e-12:
            slopes[at] = max(0.0, ((said * (quality[told, at] - prior[at])).sum() + keep) / below)
        offsets[at] = prior[at] * (1.0 - slopes[at])
    return slopes, offsets


def calibration_error(predicted: Floats, quality: Floats, bins: int = _BINS) -> float:
    """Expected calibration error of one pool, float64[N] each: mean |mean prediction - mean outcome| over bins of equally many
    predictions (Naeini, Cooper, Hauskrecht 2015, with equal-mass bins). NaN without outcomes."""
    told = ~np.isnan(quality)
    if not told.any():
        return float("nan")
    order = np.argsort(predicted[told], kind="stable")
    said, true = predicted[told][order], quality[told][order]
    parts = np.array_split(np.arange(len(said)), min(bins, len(said)))
    return float(sum(len(at) * abs(said[at].mean() - true[at].mean()) for at in parts) / len(said))
