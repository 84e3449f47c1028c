"""The closed form against the router's own cascade, on outcomes that are drawn here."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from router.fleet.specs import CascadeSpec
from tests.bench.cascade_data import PRICES_USD, STRONG, Coincidence, Missing, Replay, load
from tests.bench.cascade_ladders import expected, held_out
from tests.bench.cascade_replay import LADDER, SAMPLED, oracle, replayed

QUESTIONS = 250


def drawn() -> Replay:
    rng = np.random.default_rng(3)
    difficulty = rng.random(QUESTIONS)
    right = {model: rng.random(QUESTIONS) > difficulty * 0.5 for model in PRICES_USD}
    tokens = {model: rng.integers(50, 250, QUESTIONS).astype(float) for model in PRICES_USD}
    sampled = rng.binomial(10, 1 - difficulty * 0.5)
    questions = [f"question {at}" for at in range(QUESTIONS)]
    return Replay(questions, np.full(QUESTIONS, 60.0), right, tokens, sampled, Coincidence(10, 3, 1.0), (0.9, 0.9, 0.9))


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_the_router_does_what_the_closed_form_says(rate: float) -> None:
    data = drawn()
    right, usd = expected(data, LADDER, rate)
    spec = CascadeSpec(LADDER, 0.5, evidence="agreement", samples=1)
    outcome = asyncio.run(replayed(data, spec, rate, {model: np.full(QUESTIONS, 0.75) for model in PRICES_USD}))
    assert outcome.accuracy == pytest.approx(float(right.mean()), abs=0.02 if 0 < rate < 1 else 1e-9)
    share = float(usd.sum() / data.cost_usd(STRONG).sum())
    assert outcome.cost_share == pytest.approx(share, rel=0.02 if 0 < rate < 1 else 1e-9)


def test_samples_of_which_none_is_wrong_are_never_escalated() -> None:
    data = replace(drawn(), sampled_right=np.full(QUESTIONS, 10))
    spec = CascadeSpec((SAMPLED, STRONG), 1.0, evidence="agreement", samples=3)
    outcome = asyncio.run(replayed(data, spec, 0.3, {name: np.full(QUESTIONS, 0.9) for name in (SAMPLED, STRONG)}))
    assert (outcome.accuracy, outcome.asked_strong) == (1.0, 0.0)


def test_no_cascade_is_better_than_a_perfect_verifier() -> None:
    data = drawn()
    best = oracle(data, LADDER)
    right, usd = expected(data, LADDER, 0.0)
    assert best.accuracy >= right.mean()
    assert best.cost_share <= usd.sum() / data.cost_usd(STRONG).sum()


def test_where_wrong_answers_coincide_more_the_chosen_ladders_are_right_less() -> None:
    data = drawn()
    accuracies = [held_out(data, rate)["accuracy"] for rate in (0.0, 0.3, 1.0)]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] > accuracies[2]


def test_a_folder_without_the_sets_is_told(tmp_path) -> None:
    with pytest.raises(Missing, match=r"zeroeval_gsm8k\.csv\.gz is not there; give the folder"):
        load(tmp_path)
