"""Expected length of each pool's answer: the logarithm is linear in the features. Pure."""

import numpy as np

from training.fit.ridge import fit_ridge
from training.outcomes.table import Floats

_FEWEST = 30


def fit_lengths(x: Floats, tokens: Floats) -> tuple[Floats, Floats]:
    """weights float64[P, K], its last row for x's last column, 1; range float64[2, K]. NaN for a pool with too few lengths.

    The factor that turns the exponential of a mean logarithm into a mean (Duan's smearing, 1983) is within the weights.
    """
    weights = np.full((x.shape[1], tokens.shape[1]), np.nan)
    limits = np.full((2, tokens.shape[1]), np.nan)
    for pool in range(tokens.shape[1]):
        told = ~np.isnan(tokens[:, pool])
        if told.sum() < _FEWEST:
            continue
        true = tokens[told, pool]
        line = fit_ridge(x[told, :-1], np.log(np.maximum(true, 1.0))[:, None])
        weights[:-1, pool] = line.weights[:, 0]
        said = np.exp(line.predict(x[told, :-1])[:, 0])
        weights[-1, pool] = line.intercept[0] + np.log(max(true.mean(), 1e-9) / said.mean())
        limits[:, pool] = true.min(), true.max()
    return weights, limits
