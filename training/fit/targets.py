"""What is fitted: qualities in a rotated basis of the pools, their mean first, then contrasts by how much they vary. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.outcomes.table import Floats

# Contrasts beyond these vary too little to be told from noise.
MOST_SCORES = 16
# A pool with fewer outcomes is given a constant.
FEWEST_OUTCOMES = 20
# Pools' worth of "as usual" in how a row with missing cells is completed.
_FILL_SHRINK = 5.0
_PRIOR_SHRINK = 5.0


@dataclass(frozen=True)
class Targets:
    """prior float64[K]; learnt bool[K], false where a pool is constant or has too few outcomes; basis float64[R, K],
    orthonormal rows that are zero for pools not learnt; scores float64[N, R] = (completed quality - prior) basis^T."""

    prior: Floats
    learnt: NDArray[np.bool_]
    basis: Floats
    scores: Floats


def rotate(quality: Floats) -> Targets:
    """Missing cells are completed by the pool's mean and the row's own deviation from it, drawn to zero."""
    prior = means(quality)
    told = ~np.isnan(quality)
    varies = np.array([len(np.unique(quality[told[:, at], at])) > 1 for at in range(quality.shape[1])], dtype=np.bool_)
    learnt = varies & (told.sum(axis=0) >= FEWEST_OUTCOMES)
    count = int(learnt.sum())
    if count == 0:
        return Targets(prior, learnt, np.zeros((1, len(prior))), np.zeros((len(quality), 1)))
    filled = _complete((quality - prior)[:, learnt])
    contrasts = filled - filled.mean(axis=1, keepdims=True)
    _, _, directions = np.linalg.svd(contrasts.T @ contrasts)
    among = np.concatenate([np.full((1, count), count**-0.5), directions[: min(count, MOST_SCORES) - 1]])
    # The sign of a direction is arbitrary: fixed, so that the same input gives the same bytes.
    among *= np.sign(among[np.arange(len(among)), np.abs(among).argmax(axis=1)])[:, None]
    basis = np.zeros((len(among), len(prior)))
    basis[:, learnt] = among
    return Targets(prior, learnt, basis, filled @ among.T)


def means(quality: Floats) -> Floats:
    """Of each pool; few outcomes are drawn to the mean of all, and none give it."""
    told = ~np.isnan(quality)
    count = told.sum(axis=0)
    total = np.where(told, quality, 0.0).sum(axis=0)
    overall = total.sum() / count.sum() if count.sum() else 0.5
    few = np.where(count < FEWEST_OUTCOMES, _PRIOR_SHRINK, 0.0)
    drawn: Floats = (total + few * overall) / np.maximum(count + few, 1)
    return drawn


def _complete(centred: Floats) -> Floats:
    told = ~np.isnan(centred)
    row = np.where(told, centred, 0.0).sum(axis=1) / (told.sum(axis=1) + _FILL_SHRINK)
    return np.where(told, centred, row[:, None])
