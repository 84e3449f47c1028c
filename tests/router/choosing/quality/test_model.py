"""One prediction against the same sum written out plainly, and what a prediction says far from the training prompts."""

import math
from dataclasses import replace

import numpy as np
import pytest

from router.choosing.features import Features
from router.choosing.quality.form import NUMBERS
from router.choosing.quality.model import QualityModel
from router.choosing.quality.text import read
from tests.router.choosing.quality.small import POOLS, small_parts
from training.outcomes.table import read_features

TEXTS = ("Which of 2 and 3 is more?", "NO SMALL LETTERS HERE", "x", "a b c d e f g h i\nj k\nl", "何ですか", "?!")


def plainly(model: QualityModel, features: Features) -> tuple[list[float], list[float], float]:
    """Quality, uncertainty and trust with loops and floats only."""
    parts, text = model.parts, read(features)
    standard = [
        min(max((value - centre) / scale, -4.0), 4.0)
        for value, centre, scale in zip(text.numbers, parts.centre, parts.scale, strict=True)
    ]
    rows = [int(parts.slots[int(word) >> 60]) for word in text.words]
    total = sum(float(parts.vectors[row, 0]) for row in rows)
    x = [*standard, total / (abs(total) + 1e-12), 1.0]
    logits = [sum(value * weight for value, weight in zip(x, parts.domain_weights[:, at], strict=True)) for at in (0, 1)]
    odds = [math.exp(logit - max(logits)) for logit in logits]
    subject = [sum(odd * mean for odd, mean in zip(odds, parts.domain_scores[:, at], strict=True)) / sum(odds) for at in (0, 1)]
    node = 1 if standard[1] <= 0.0 else 2
    scores = []
    for at in (0, 1):
        score = sum(value * weight for value, weight in zip(x, parts.score_weights[:, at], strict=True))
        score += subject[at] * parts.mixture[at] + parts.node_scores[node, at]
        score += sum(parts.step_weights[step, at] for step in (0, 1) if standard[parts.step_of[step]] > parts.step_at[step])
        scores.append(score)
    leverage = 1e-4 * sum(value * value for value in x)
    known = sum(row > 0 for row in rows) / max(len(rows), 1)
    trust = min(1.0, parts.near[0] / leverage) ** 2 * min(1.0, known / parts.near[1])
    trust = max(0.0, (trust - 0.3) / 0.7)
    quality, uncertainty = [], []
    for pool in (0, 1):
        fitted = parts.prior[pool] + sum(scores[at] * parts.basis[at, pool] for at in (0, 1))
        fitted = fitted * parts.slope[pool] + parts.offset[pool]
        quality.append(min(max(parts.prior[pool] + trust * (fitted - parts.prior[pool]), 0.005), 0.995))
        uncertainty.append(math.hypot(parts.noise[pool] * leverage**0.5, (1 - trust) * parts.between[pool]))
    return quality, uncertainty, trust


@pytest.mark.parametrize("text", TEXTS)
def test_a_prediction_is_the_sum_of_its_parts(text: str) -> None:
    model = QualityModel("v", POOLS, small_parts())
    features = read_features(text)
    said = model.predict(features)
    quality, uncertainty, trust = plainly(model, features)
    assert said.quality == pytest.approx(quality, abs=1e-7)
    assert said.uncertainty == pytest.approx(uncertainty, abs=1e-7)
    assert said.trust == pytest.approx(trust, abs=1e-7)


def test_without_text_the_prior_is_said_and_not_trusted() -> None:
    model = QualityModel("v", POOLS, small_parts())
    said = model.predict(Features(100, 50))
    assert said.quality.tolist() == [0.4, 0.7]
    assert said.trust == 0.0
    assert (said.uncertainty > model.predict(read_features(TEXTS[0])).uncertainty).all()


def test_far_away_the_prior_is_said_and_uncertainty_is_larger() -> None:
    near = QualityModel("v", POOLS, small_parts())
    far = QualityModel("v", POOLS, replace(small_parts(), near=np.array([1e-6, 0.5])))
    features = read_features(TEXTS[0])
    assert far.predict(features).trust < 0.01
    assert far.predict(features).quality == pytest.approx(far.prior, abs=0.005)
    assert (far.predict(features).uncertainty > near.predict(features).uncertainty).all()


def test_the_domain_is_the_likeliest() -> None:
    model = QualityModel("v", POOLS, small_parts())
    features = read_features("words in small letters only, enough of them to be above the mean")
    assert read(features).numbers[0] > 1.0
    assert model.predict(features).domain == 0
    assert model.domains == 2


def test_lengths_are_told_where_they_are_known_and_bounded() -> None:
    told = QualityModel("v", POOLS, small_parts()).predict(read_features("hello")).output_tokens
    assert told[0] == 0.0
    assert told[1] == pytest.approx(math.exp(5.0))
    weights = small_parts().token_weights.copy()
    weights[-1, 1] = 50.0
    bounded = QualityModel("v", POOLS, replace(small_parts(), token_weights=weights)).predict(read_features("hello"))
    assert bounded.output_tokens[1] == 1000.0


def test_nothing_is_changed_by_a_prediction() -> None:
    model = QualityModel("v", POOLS, small_parts())
    first = model.predict(read_features(TEXTS[0]))
    for text in TEXTS:
        model.predict(read_features(text))
    again = model.predict(read_features(TEXTS[0]))
    assert np.array_equal(first.quality, again.quality)
    assert model.prior.tolist() == [0.4, 0.7]
    assert len(small_parts().centre) == NUMBERS
