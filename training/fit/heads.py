"""Four ways from a prompt to its scores, each fitted on its own: form, words, subject, and a forest over all of them."""

from dataclasses import dataclass

import numpy as np

from training.fit.forest import Forest, fit_forest
from training.fit.ridge import Line, fit_ridge
from training.fit.subjects import domain_means
from training.outcomes.table import Floats, Ints

HEADS = ("form", "words", "subject", "forest")
_INNER_FOLDS = 5


@dataclass(frozen=True)
class Seen:
    """Of N prompts: standard float64[N, numbers], steps float64[N, T], vectors float64[N, D], labels int64[N] of the domains,
    subjects float64[N, C]: the domains' odds, each row told by a teller that had not seen it."""

    standard: Floats
    steps: Floats
    vectors: Floats
    subjects: Floats
    labels: Ints

    @property
    def form(self) -> Floats:
        return np.concatenate([self.standard, self.steps], axis=1)

    @property
    def x(self) -> Floats:
        """As the router has it: numbers, vector and 1."""
        return np.concatenate([self.standard, self.vectors, np.ones((len(self.standard), 1))], axis=1)

    def rows(self, at: Ints) -> "Seen":
        return Seen(self.standard[at], self.steps[at], self.vectors[at], self.subjects[at], self.labels[at])


@dataclass(frozen=True)
class Heads:
    form: Line
    words: Line
    means: Floats
    forest: Forest

    def predict(self, seen: Seen) -> Floats:
        """float64[4, N, R]."""
        subject = seen.subjects @ self.means
        return np.stack(
            [
                self.form.predict(seen.form),
                self.words.predict(seen.vectors),
                subject,
                self.forest.predict(np.concatenate([seen.x, subject], axis=1)),
            ]
        )


def fit_heads(seen: Seen, scores: Floats, seed: int) -> Heads:
    count = seen.subjects.shape[1]
    subject = _held_out_subject(seen, scores, seed)
    return Heads(
        fit_ridge(seen.form, scores),
        fit_ridge(seen.vectors, scores),
        domain_means(scores, seen.labels, count),
        fit_forest(np.concatenate([seen.x, subject], axis=1), scores, seed),
    )


def _held_out_subject(seen: Seen, scores: Floats, seed: int) -> Floats:
    """What the subject says of each row by the means of other rows: the forest would trust it too much otherwise."""
    fold = np.random.default_rng(seed).permutation(len(scores)) % _INNER_FOLDS
    subject = np.zeros_like(scores)
    for at in range(_INNER_FOLDS):
        means = domain_means(scores[fold != at], seen.labels[fold != at], seen.subjects.shape[1])
        subject[fold == at] = seen.subjects[fold == at] @ means
    return subject
