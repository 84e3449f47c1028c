"""Ridge regression of several targets at once, the penalty of each found by generalised cross-validation. Pure.

Golub, Heath, Wahba 1979: the penalty that minimises N·RSS / (N − degrees of freedom)². One eigendecomposition serves all.
"""

from dataclasses import dataclass

import numpy as np

from training.outcomes.table import Floats

PENALTIES = np.geomspace(1.0, 1e5, 21)


@dataclass(frozen=True)
class Line:
    """weights float64[P, R], intercept float64[R], penalty float64[R]."""

    weights: Floats
    intercept: Floats
    penalty: Floats

    def predict(self, x: Floats) -> Floats:
        return x @ self.weights + self.intercept


def fit_ridge(x: Floats, y: Floats, penalties: Floats = PENALTIES) -> Line:
    """x float64[N, P], y float64[N, R]. The intercept is free."""
    rows = len(x)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    x, y = x - x_mean, y - y_mean
    values, vectors = np.linalg.eigh(x.T @ x)
    values = np.maximum(values, 0.0)
    along = vectors.T @ (x.T @ y)
    total = (y * y).sum(axis=0)
    scores = []
    for penalty in penalties:
        shrunk = values + penalty
        rss = total - 2 * (along**2 / shrunk[:, None]).sum(axis=0) + (along**2 * (values / shrunk**2)[:, None]).sum(axis=0)
        free = (values / shrunk).sum() + 1
        scores.append(rows * rss / max(rows - free, 1e-9) ** 2)
    best = penalties[np.argmin(scores, axis=0)]
    weights = vectors @ (along / (values[:, None] + best[None, :]))
    return Line(weights, y_mean - x_mean @ weights, best)
