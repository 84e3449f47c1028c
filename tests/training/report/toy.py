"""A predictor that knows the invented subjects by their words, and one that learns means; enough to test the report."""

import numpy as np

from router.choosing.features import Features
from router.choosing.quality.prediction import Prediction
from router.snapshot import Floats
from tests.training.invented import CHANCES, SUBJECTS
from training.outcomes.table import Outcomes


class Knowing:
    """Predicts the true chances, with `trust`."""

    version = "knowing"
    pools = ("small", "large")
    domains = 4

    def __init__(self, trust: float = 0.9) -> None:
        self.trust = trust

    @property
    def prior(self) -> Floats:
        return np.array(list(CHANCES.values())).mean(axis=0)

    def predict(self, features: Features) -> Prediction:
        text = features.window.decode()
        subject = next((name for name, openings in SUBJECTS.items() if any(each in text for each in openings)), "chat")
        quality = np.array(CHANCES[subject])
        return Prediction(quality, np.full(2, 0.1), np.full(2, 40.0), self.trust, list(SUBJECTS).index(subject))


class Means:
    """Says the mean of what it was fitted on; keeps those prompts, so that tests can see them."""

    version = "means"
    domains = 1

    def __init__(self, outcomes: Outcomes) -> None:
        self.pools = outcomes.pools
        self.prompts = set(outcomes.prompts)
        self.prior = outcomes.mean_quality

    def predict(self, features: Features) -> Prediction:
        assert features.window.decode() not in self.prompts, "a prompt that it was fitted on"
        return Prediction(self.prior, np.zeros(len(self.pools)), np.zeros(len(self.pools)), 1.0, 0)
