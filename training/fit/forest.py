"""A forest of randomised trees (Geurts, Ernst, Wehenkel 2006) for what parts of the features say together. scikit-learn."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from training.outcomes.table import Floats

TREES = 48
DEPTH = 6
_LEAST_IN_LEAF = 12
_MOST_ROWS = 30_000


@dataclass(frozen=True)
class Forest:
    """As in `router.choosing.quality.model.Parts`; without trees it says 0."""

    roots: NDArray[np.int64]
    node_of: NDArray[np.int64]
    node_at: Floats
    children: NDArray[np.int64]
    node_scores: Floats

    def predict(self, x: Floats) -> Floats:
        """float64[N, R]."""
        at = np.repeat(self.roots[None, :], len(x), axis=0)
        rows = np.arange(len(x))[:, None]
        for _ in range(DEPTH):
            at = self.children[2 * at + (x[rows, self.node_of[at]] > self.node_at[at])]
        total = np.zeros((len(x), self.node_scores.shape[1]))
        for tree in range(at.shape[1]):
            total += self.node_scores[at[:, tree]]
        return total


def fit_forest(x: Floats, y: Floats, seed: int) -> Forest:
    """x float64[N, P], y float64[N, R]. At most 30,000 rows are used, drawn by the seed."""
    if len(x) < 4 * _LEAST_IN_LEAF:
        none = np.zeros(1, dtype=np.int64)
        return Forest(none, none, np.zeros(1), np.zeros(2, dtype=np.int64), np.zeros((1, y.shape[1])))
    if len(x) > _MOST_ROWS:
        chosen = np.sort(np.random.default_rng(seed).permutation(len(x))[:_MOST_ROWS])
        x, y = x[chosen], y[chosen]
    fitted = ExtraTreesRegressor(
        TREES, max_depth=DEPTH, min_samples_leaf=_LEAST_IN_LEAF, max_features=0.4, random_state=seed, n_jobs=1
    ).fit(x, y if y.shape[1] > 1 else y[:, 0])
    return _flat([tree.tree_ for tree in fitted.estimators_], y.shape[1])


def _flat(trees: list[Any], scores: int) -> Forest:
    """All nodes in one array; a leaf is its own child, so that every walk may take the same number of steps."""
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])
    node_of, node_at, children, values = [], [], [], []
    for start, tree in zip(starts, trees, strict=False):
        leaf = tree.children_left < 0
        own = np.arange(tree.node_count)
        node_of.append(np.where(leaf, 0, tree.feature))
        node_at.append(np.where(leaf, 0.0, tree.threshold))
        both = np.stack([np.where(leaf, own, tree.children_left), np.where(leaf, own, tree.children_right)], axis=1)
        children.append((both + start).reshape(-1))
        values.append(np.where(leaf[:, None], tree.value.reshape(tree.node_count, scores), 0.0) / len(trees))
    return Forest(
        starts[:-1].astype(np.int64),
        np.concatenate(node_of).astype(np.int64),
        np.concatenate(node_at).astype(np.float64),
        np.concatenate(children).astype(np.int64),
        np.concatenate(values),
    )
