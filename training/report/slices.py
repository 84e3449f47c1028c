"""Kinds of prompts (domains, lengths, code, maths, scripts), and what choosing does there against the best fixed choice."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from router.choosing.features import Features
from training.outcomes.table import Floats, Outcomes
from training.report.predicted import Predicted
from training.report.verdict import Choice

FEWEST = 25
# One-sided 99 %: with dozens of kinds, 95 % would accuse some by chance.
_Z = 2.326
_LENGTHS = (50, 150, 500)
_LOW_TRUST = 0.5


@dataclass(frozen=True, slots=True)
class Slice:
    """One kind of prompts, as chosen at the verdict's setting.

    difference  mean quality minus that of the best fixed choice, with its standard error
    off         mean predicted minus mean observed quality over all pools, with its standard error
    trust       mean trust of the predictor
    """

    name: str
    prompts: int
    difference: float
    difference_error: float
    off: float
    off_error: float
    trust: float

    @property
    def worse(self) -> bool:
        """Choosing loses quality here, beyond chance (one-sided, 99 %)."""
        return self.difference + _Z * self.difference_error < 0

    @property
    def misjudged(self) -> bool:
        """Predictions are off by more than five points here, and beyond chance."""
        return abs(self.off) > max(0.05, _Z * self.off_error)

    @property
    def unknown(self) -> bool:
        return self.trust < _LOW_TRUST

    @property
    def distrusted(self) -> bool:
        return self.worse or self.misjudged or self.unknown


def slices_of(outcomes: Outcomes, features: Sequence[Features], said: Predicted, choice: Choice) -> tuple[Slice, ...]:
    """Of every kind with at least 25 tested prompts; the worst first. All arguments are of the same table."""
    rows = choice.rows
    quality = outcomes.quality[rows]
    difference = quality[np.arange(len(rows)), choice.chosen] - quality[:, choice.best]
    off = (said.quality[rows] - quality).mean(axis=1)
    trust = said.trust[rows]
    seen = [features[row] for row in rows]
    domains = None if outcomes.domain is None else [outcomes.domain[row] for row in rows]
    found = []
    for name, member in _kinds(seen, domains):
        count = int(member.sum())
        if count >= FEWEST:
            worth, worth_error = _mean(difference[member])
            bias, bias_error = _mean(off[member])
            found.append(Slice(name, count, worth, worth_error, bias, bias_error, float(trust[member].mean())))
    return tuple(sorted(found, key=lambda each: (each.difference, each.name)))


def _kinds(seen: Sequence[Features], domains: Sequence[str] | None) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    tokens = np.array([features.prompt_tokens for features in seen])
    for low, high in pairwise((0, *_LENGTHS, math.inf)):
        yield f"length: {_range(low, high)} tokens", (tokens >= low) & (tokens < high)
    yield "kind: code", np.array([features.code for features in seen])
    yield "kind: maths", np.array([features.maths for features in seen])
    yield "kind: not Latin script", np.array([features.other_share > 0.3 for features in seen])
    yield "kind: conversation", np.array([features.turns > 1 for features in seen])
    if domains is not None:
        at = np.array(domains, dtype=object)
        for name in sorted(set(domains) - {""}):
            yield f"domain: {name}", at == name


def _range(low: float, high: float) -> str:
    if high == math.inf:
        return f"{low:g} or more"
    return f"{low:g} to {high - 1:g}" if low else f"under {high:g}"


def _mean(values: Floats) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
