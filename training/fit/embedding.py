"""Vectors of the known spans by latent semantic analysis (Deerwester and others 1990): a truncated SVD of weighted counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from training.fit.spans import Spans, matrix
from training.outcomes.table import Floats

DIMENSIONS = 48
_ROWS_FITTED = 12_000
_CHUNK = 4_000


@dataclass(frozen=True)
class Embedding:
    """vectors float32[V+1, D]: what one occurrence of a span adds. Row 0 is zero."""

    spans: Spans
    vectors: NDArray[np.float32]

    def embed(self, buckets: Sequence[NDArray[np.uint32]]) -> Floats:
        """float64[N, D], of unit length; zeros where no span is known."""
        parts = [self._sums(buckets[at : at + _CHUNK]) for at in range(0, len(buckets), _CHUNK)]
        return normalize(np.concatenate(parts)) if parts else np.zeros((0, self.vectors.shape[1]))

    def _sums(self, buckets: Sequence[NDArray[np.uint32]]) -> Floats:
        return np.stack([self.vectors[self.spans.slots[each]].sum(axis=0, dtype=np.float64) for each in buckets])


def fit_embedding(buckets: Sequence[NDArray[np.uint32]], spans: Spans, seed: int, dimensions: int = DIMENSIONS) -> Embedding:
    rng = np.random.default_rng(seed)
    at = np.sort(rng.permutation(len(buckets))[:_ROWS_FITTED])
    counts = normalize(matrix([buckets[row] for row in at], spans))
    dimensions = max(1, min(dimensions, min(counts.shape) - 1))
    _, _, directions = randomized_svd(counts, dimensions, n_iter=4, random_state=seed)
    vectors = (directions.T * spans.weights[:, None]).astype(np.float32)
    vectors[0] = 0.0
    return Embedding(spans, vectors)
