"""How much each head counts in each score: stacking (Wolpert 1992; Breiman 1996) on prompts that they had not seen."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from training.outcomes.table import Floats, Ints

# Of form, words, subject and forest: what did well on average over several tables (docs/quality.md).
USUAL = np.array([0.1, 0.25, 0.05, 0.6])
DOUBT = 0.15


@dataclass(frozen=True)
class Mixture:
    """weights float64[H, R], 0 where constants did better; held_out float64[N, R], each fold mixed by weights of the others;
    beats bool[R], whether the held-out mixture has a smaller squared error than the constant."""

    weights: Floats
    held_out: Floats
    beats: NDArray[np.bool_]


def mix(said: Floats, scores: Floats, folds: Ints) -> Mixture:
    """said float64[H, N, R] held-out scores of the heads; scores float64[N, R]; folds int64[N]."""
    held_out = np.zeros_like(scores)
    if len(np.unique(folds)) == 1:  # nothing could be held out
        return Mixture(np.zeros((said.shape[0], scores.shape[1])), held_out, np.zeros(scores.shape[1], dtype=np.bool_))
    for fold in np.unique(folds):
        inside = folds == fold
        held_out[inside] = np.einsum("hnr,hr->nr", said[:, inside], _weights(said[:, ~inside], scores[~inside]))
    beats = ((scores - held_out) ** 2).sum(axis=0) < (scores**2).sum(axis=0)
    return Mixture(_weights(said, scores) * beats, held_out * beats, beats)


def fix(mixture: Mixture, weights: Floats) -> Mixture:
    """The same with given weights, float64[H], in every score; what it says was held out is left as it was."""
    return replace(mixture, weights=np.repeat(weights[:, None], mixture.weights.shape[1], axis=1))


def _weights(said: Floats, scores: Floats) -> Floats:
    """Non-negative least squares of each score on the heads, with a normal prior around USUAL of sd DOUBT."""
    heads = said.shape[0]
    weights = np.zeros((heads, scores.shape[1]))
    for at in range(scores.shape[1]):
        pull = scores[:, at].std() / DOUBT
        left = np.concatenate([said[:, :, at].T, pull * np.eye(heads)])
        weights[:, at] = nnls(left, np.concatenate([scores[:, at], pull * USUAL]))[0]
    return weights
