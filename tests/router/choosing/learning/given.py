"""Prompts, pools and outcomes for the tests of learning."""

import numpy as np

from router.choosing.features import Features
from router.choosing.learning.context import Context, context
from router.choosing.learning.learner import Occasion
from router.choosing.quality.prediction import Prediction
from router.snapshot import Floats


def a_context(domain: int = 0, *, trust: float = 1.0, code: bool = False, prompt_tokens: int = 100) -> Context:
    prediction = Prediction(np.array([0.5]), np.array([0.1]), np.zeros(1), trust, domain)
    return context(Features(prompt_tokens, 100, code=code), prediction)


def an_occasion(
    pool: str = "small", *, predicted: float = 0.7, tenant: str = "acme", version: str = "v1", **more: float
) -> Occasion:
    believed, prior = more.get("believed", predicted), more.get("prior", predicted)
    return Occasion(pool, a_context(int(more.get("domain", 0))), predicted, believed, prior, tenant, version)


def floats(*values: float) -> Floats:
    return np.array(values, dtype=np.float64)
