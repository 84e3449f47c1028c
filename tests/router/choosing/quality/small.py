"""A model small enough to be computed by hand: two pools, two scores, a text of one dimension, one tree."""

import numpy as np

from router.choosing.quality.form import NUMBERS
from router.choosing.quality.model import Parts

POOLS = ("a", "b")
WIDE = NUMBERS + 2


def small_parts() -> Parts:
    """Every bucket but the first is known; the tree asks whether the second number (capital letters) is above its mean."""
    weights = np.zeros((WIDE, 2))
    weights[0], weights[-2], weights[-1] = (0.02, 0.0), (0.0, 0.1), (-0.01, 0.0)
    domains = np.zeros((WIDE, 2))
    domains[0] = (1.0, -1.0)
    return Parts(
        slots=np.concatenate([[0], np.ones(15)]).astype(np.uint32),
        vectors=np.array([[0.0], [2.0]], dtype=np.float32),
        centre=np.full(NUMBERS, 1.0),
        scale=np.full(NUMBERS, 2.0),
        step_of=np.array([0, 5]),
        step_at=np.array([0.5, 0.0]),
        step_weights=np.array([[0.01, 0.0], [0.0, 0.03]]),
        score_weights=weights,
        domain_weights=domains,
        domain_scores=np.array([[0.1, 0.0], [0.0, -0.1]]),
        mixture=np.array([0.5, 1.0]),
        roots=np.array([0]),
        node_of=np.array([1, 0, 0]),
        node_at=np.zeros(3),
        children=np.array([1, 2, 1, 1, 2, 2]),
        node_scores=np.array([[0.0, 0.0], [0.02, 0.0], [-0.02, 0.01]]),
        depth=np.array([2]),
        basis=np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2),
        prior=np.array([0.4, 0.7]),
        slope=np.array([1.0, 0.9]),
        offset=np.array([0.0, 0.07]),
        metric=np.eye(WIDE) * 1e-4,
        near=np.array([1.0, 0.5]),
        noise=np.array([0.4, 0.3]),
        between=np.array([0.1, 0.05]),
        token_weights=np.stack([np.full(WIDE, np.nan), np.eye(WIDE)[-1] * 5.0], axis=1),
        token_range=np.array([[np.nan, 1.0], [np.nan, 1000.0]]),
    )
