"""Domains of the prompts: those that the outcomes name, else clusters; told from the text by a softmax. scikit-learn."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from training.outcomes.table import Floats

_MOST = 64
_CLUSTERS = 12
_FEWEST_PROMPTS = 8
# Prompts' worth of the overall mean in the mean of a domain.
_SHRINK = 15.0
_ROUNDS = 60
_WEAKNESS = 10.0
_MOST_ROWS = 15_000


@dataclass(frozen=True)
class Teller:
    """weights float64[P+1, C]: logits of each domain, the last row for 1."""

    weights: Floats

    def tell(self, x: Floats) -> Floats:
        """float64[N, C], each row adds up to 1."""
        logits: Floats = x @ self.weights[:-1] + self.weights[-1]
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        told: Floats = odds / odds.sum(axis=1, keepdims=True)
        return told


def label(domain: tuple[str, ...] | None, vectors: Floats, seed: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Number of each row's domain, and their names. Domains of few prompts, and none, go together under ""."""
    if domain is not None and len(set(domain)) > 1:
        names, at, counts = np.unique(np.array(domain, dtype=object), return_inverse=True, return_counts=True)
        kept = [i for i in np.argsort(-counts, kind="stable")[:_MOST] if counts[i] >= _FEWEST_PROMPTS and names[i]]
        if len(kept) > 1:
            place = {old: new for new, old in enumerate(sorted(kept))}
            labels = np.array([place.get(old, len(place)) for old in at], dtype=np.int64)
            told = tuple(str(names[old]) for old in sorted(kept))
            return labels, told if labels.max() < len(told) else (*told, "")
    clusters = min(_CLUSTERS, max(1, len(vectors) // 50))
    labels = KMeans(clusters, n_init=3, random_state=seed).fit_predict(vectors).astype(np.int64)
    return labels, tuple(f"cluster {at}" for at in range(clusters))


def fit_teller(x: Floats, labels: NDArray[np.int64], count: int, seed: int) -> Teller:
    """x float64[N, P]. A domain that has no row gets a logit that never wins."""
    if len(x) > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(x))[:_MOST_ROWS])
        x, labels = x[chosen], labels[chosen]
    weights = np.zeros((x.shape[1] + 1, count))
    present = np.unique(labels)
    if len(present) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose: it bounds the time
            fitted = LogisticRegression(C=_WEAKNESS, max_iter=_ROUNDS, tol=1e-3).fit(x, labels)
        absent = np.setdiff1d(np.arange(count), present)
        weights[-1, absent] = -30.0
        coefficients, intercept = fitted.coef_, fitted.intercept_
        if len(present) == 2:
            coefficients, intercept = (
                np.stack([-coefficients[0], coefficients[0]]) / 2,
                np.array([-intercept[0], intercept[0]]) / 2,
            )
        weights[:-1, present] = coefficients.T
        weights[-1, present] = intercept
    return Teller(weights)


def domain_means(scores: Floats, labels: NDArray[np.int64], count: int) -> Floats:
    """float64[C, R], drawn to the overall mean."""
    sizes = np.bincount(labels, minlength=count)[:, None]
    sums = np.zeros((count, scores.shape[1]))
    np.add.at(sums, labels, scores)
    means: Floats = (sums + _SHRINK * scores.mean(axis=0)) / (sizes + _SHRINK)
    return means
