"""The whole fit: what it says against known probabilities, and that the router's model is what was fitted."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from router.choosing.quality.artefact import pack, unpack
from tests.training.fit.invented import KINDS, outcomes, prompt
from training.fit.calibration import calibration_error
from training.fit.fitting import Fitted, fit
from training.fit.spans import look
from training.outcomes.table import Floats, Outcomes, read_features

ROOT = Path(__file__).parents[3]
CODE = """
from tests.training.fit.invented import outcomes
from training.fit.fitting import fit
print(fit(outcomes(300)[0], seed=5).model.version)
"""


def predicted(fitted: Fitted, prompts: tuple[str, ...]) -> Floats:
    return np.array([fitted.model.predict(read_features(each)).quality for each in prompts])


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit(outcomes(1500)[0], seed=1)


def test_known_probabilities_are_found_on_new_prompts(fitted: Fitted) -> None:
    table, chances = outcomes(600, seed=9)
    said = predicted(fitted, table.prompts)
    assert np.abs(said - chances).mean() < 0.04
    for pool in range(2):
        assert calibration_error(said[:, pool], chances[:, pool]) < 0.04


def test_what_is_reported_was_held_out(fitted: Fitted) -> None:
    table, chances = outcomes(1500)
    assert np.abs(fitted.quality - chances).mean() < 0.05
    assert set(fitted.about.calibration) == {"weak", "strong"}
    # Ten bins of 150 coins each are off by 0.03 by chance alone.
    assert max(fitted.about.calibration.values()) < 0.07
    noise = replace(table, quality=np.random.default_rng(3).integers(0, 2, table.quality.shape).astype(np.float64))
    held_out = fit(noise, seed=1).quality
    assert np.abs(held_out - noise.quality.mean(axis=0)).mean() < 0.03  # seen rows would be told far better than that


def test_domains_are_told_apart(fitted: Fitted) -> None:
    rng = np.random.default_rng(4)
    assert fitted.about.domains == tuple(sorted(KINDS))
    for kind, name in enumerate(KINDS):
        said = [fitted.model.predict(read_features(prompt(kind, rng))).domain for _ in range(40)]
        assert np.mean([fitted.about.domains[at] == name for at in said]) > 0.9


def test_lengths_follow_the_kind_of_question(fitted: Fitted) -> None:
    rng = np.random.default_rng(4)
    for kind, true in enumerate((40.0, 160.0, 80.0)):
        said = np.mean([fitted.model.predict(read_features(prompt(kind, rng))).output_tokens for _ in range(40)], axis=0)
        assert said == pytest.approx(np.array([true, 2 * true]), rel=0.15)


@pytest.mark.parametrize(
    "text",
    [
        "これは日本語で書かれたまったく別の質問です。東京の天気はどうですか。",
        "SELECT u.id, COUNT(*) FROM users u LEFT JOIN orders o ON o.uid = u.id GROUP BY u.id HAVING COUNT(*) > 3;",
        "Быстрая коричневая лиса перепрыгивает через ленивую собаку у старого забора.",
        "]]]]]]]]}}}}}}}}{{{{{{{{^^^^^^^^||||||||" * 10,
    ],
)
def test_far_from_the_training_prompts_trust_sinks_and_the_prior_is_said(fitted: Fitted, text: str) -> None:
    near = fitted.model.predict(read_features(prompt(0, np.random.default_rng(1))))
    far = fitted.model.predict(read_features(text))
    assert near.trust > 0.9
    assert far.trust < 0.5 * near.trust
    assert (far.uncertainty > near.uncertainty).all()
    assert np.abs(far.quality - fitted.model.prior).max() < 0.2


def test_held_out_heads_are_the_models_arithmetic(fitted: Fitted) -> None:
    """Parts of the fit, put together by hand, against the router's numpy."""
    table = outcomes(1500)[0]
    parts = fitted.parts
    looked = look(table.prompts[:50])
    standard = np.clip((looked.numbers - parts.centre) / parts.scale, -4, 4)
    sums = np.array([parts.vectors[parts.slots[each]].astype(np.float64).sum(axis=0) for each in looked.buckets])
    x = np.concatenate([standard, sums / np.linalg.norm(sums, axis=1, keepdims=True), np.ones((50, 1))], axis=1)
    odds = np.exp(x @ parts.domain_weights)
    subject = odds / odds.sum(axis=1, keepdims=True) @ parts.domain_scores
    scores = x @ parts.score_weights + subject * parts.mixture
    scores += (standard[:, parts.step_of] > parts.step_at) @ parts.step_weights
    both = np.concatenate([x, subject], axis=1)
    for row in range(50):
        for root in parts.roots:
            node = int(root)
            while parts.children[2 * node] != node:
                node = int(parts.children[2 * node + int(both[row, parts.node_of[node]] > parts.node_at[node])])
            scores[row] += parts.node_scores[node]
    quality = (parts.prior + scores @ parts.basis) * parts.slope + parts.offset
    said = predicted(fitted, table.prompts[:50])
    trust = np.array([fitted.model.predict(read_features(each)).trust for each in table.prompts[:50]])
    assert said == pytest.approx(np.clip(parts.prior + trust[:, None] * (quality - parts.prior), 0.005, 0.995), abs=1e-6)


def test_the_same_in_every_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", CODE],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "77")
    }
    assert told == {fit(outcomes(300)[0], seed=5).model.version + "\n"}


def test_nothing_to_learn_gives_constants_and_says_so() -> None:
    table = outcomes(400)[0]
    rng = np.random.default_rng(8)
    coins = fit(replace(table, quality=(rng.random((400, 2)) < [0.3, 0.6]).astype(np.float64)))
    spread = np.ptp(predicted(coins, table.prompts), axis=0)
    assert (spread < 0.15).all()


def test_a_pool_of_one_class_gets_a_constant() -> None:
    table = outcomes(1200)[0]
    quality = table.quality.copy()
    quality[:, 0] = 1.0
    told = fit(replace(table, quality=quality))
    assert any("weak: all its outcomes are the same" in note for note in told.notes)
    said = predicted(told, table.prompts[:60])
    assert np.ptp(said[:, 0]) == 0.0
    assert np.ptp(said[:, 1]) > 0.1


def test_missing_cells_cost_little() -> None:
    table, _ = outcomes(1500)
    quality = table.quality.copy()
    quality[np.random.default_rng(2).random(quality.shape) < 0.4] = np.nan
    told = fit(replace(table, quality=quality))
    new, chances = outcomes(400, seed=9)
    assert np.abs(predicted(told, new.prompts) - chances).mean() < 0.07


def test_a_pool_with_few_outcomes_and_one_without_any() -> None:
    table = outcomes(300)[0]
    quality = np.concatenate([table.quality, np.full((300, 2), np.nan)], axis=1)
    quality[:5, 2] = 1.0
    told = fit(Outcomes(table.prompts, ("weak", "strong", "new", "unheard"), quality))
    assert any("new: only 5 outcomes of 20" in note for note in told.notes)
    said = predicted(told, table.prompts[:20])
    assert np.ptp(said[:, 2:], axis=0).tolist() == [0.0, 0.0]
    overall = np.nanmean(quality)
    assert said[0, 3] == pytest.approx(overall)
    assert overall < said[0, 2] < 1.0


@pytest.mark.parametrize("count", [1, 50])
def test_one_pool_and_fifty(count: int) -> None:
    rng = np.random.default_rng(0)
    table, chances = outcomes(300)
    quality = (rng.random((300, count)) < chances[:, :1] + np.linspace(-0.2, 0.1, count)).astype(np.float64)
    told = fit(Outcomes(table.prompts, tuple(f"pool-{at}" for at in range(count)), quality))
    model = unpack(pack(told.model.pools, told.parts, told.about)[0]).model
    said = model.predict(read_features(table.prompts[0]))
    assert said.quality.shape == (count,)
    assert (said.uncertainty > 0).all()


@pytest.mark.parametrize(
    "prompts",
    [
        ("the same prompt",) * 60,
        tuple(f"{at}" for at in range(60)),
        ("",) * 60,
        tuple("あ" * (at + 1) for at in range(60)),
        ("one", "two") * 30,
    ],
    ids=["equal", "numbers", "empty", "kana", "two"],
)
def test_odd_tables_are_fitted(prompts: tuple[str, ...]) -> None:
    quality = np.random.default_rng(0).random((60, 2))
    told = fit(Outcomes(prompts, ("a", "b"), quality))
    model = unpack(pack(told.model.pools, told.parts, told.about)[0]).model
    said = model.predict(read_features(prompts[0]))
    assert np.isfinite(said.quality).all()
    assert np.abs(said.quality - quality.mean(axis=0)).max() < 0.25


def test_equal_prompts_are_held_out_together() -> None:
    """Every prompt stands twice with the same pure-chance outcome: who had seen the other would know it."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("bcdfglmnrt"), 6)) for _ in range(200)]
    quality = rng.integers(0, 2, (200, 2)).astype(np.float64)
    told = fit(Outcomes(tuple(words * 2), ("a", "b"), np.concatenate([quality, quality])))
    said = told.quality[:, 0]
    assert np.ptp(said) < 1e-9 or abs(np.corrcoef(said, np.tile(quality[:, 0], 2))[0, 1]) < 0.25


def test_more_rows_than_are_used_are_drawn_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.fit.fitting.MOST_ROWS", 200)
    told = fit(outcomes(500)[0], seed=3)
    assert told.quality.shape == (200, 2)
    assert len(np.unique(told.rows)) == 200
    assert any("fitted on 200 of 500 rows" in note for note in told.notes)


def test_no_outcomes_is_an_error() -> None:
    with pytest.raises(ValueError, match="no outcomes"):
        fit(Outcomes((), ("a",), np.zeros((0, 1))))


def test_heads_need_no_class_of_every_domain() -> None:
    table = outcomes(120)[0]
    told = fit(replace(table, domain=("rare",) * 8 + ("common",) * 112))
    assert told.about.domains == ("common", "rare")
    assert told.model.predict(read_features("add 2 and 3")).quality.shape == (2,)
