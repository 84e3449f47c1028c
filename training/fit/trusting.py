"""Where predictions may be trusted: how far a prompt is from the training prompts. Pure."""

from dataclasses import dataclass

import numpy as np

from training.outcomes.table import Floats

_RIDGE = 10.0
# Within this quantile of the training prompts, and half as far beyond, trust is full.
_INSIDE = 0.98
_BEYOND = 1.5
_FEWEST_KNOWN = 0.02


@dataclass(frozen=True)
class Nearness:
    """metric float64[P, P]: x metric x is the leverage of x, its variance in a linear model of unit noise; near float64[2]:
    leverage up to which trust is full, and share of known spans from which on."""

    metric: Floats
    near: Floats


def fit_nearness(x: Floats, known: Floats) -> Nearness:
    """x float64[N, P]; known float64[N], share of each prompt's spans that are in the table."""
    metric = np.linalg.inv(x.T @ x + _RIDGE * np.eye(x.shape[1]))
    metric = (metric + metric.T) / 2
    leverage = np.einsum("np,np->n", x @ metric, x)
    share = max(_FEWEST_KNOWN, 0.75 * float(np.quantile(known, 1.0 - _INSIDE)))
    return Nearness(metric, np.array([_BEYOND * np.quantile(leverage, _INSIDE), share]))
