"""Numbers from numpy and from brute force."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.choosing.evidence.tokens import WINDOW_TOKENS, least_probability, mean_probability

LOGS = st.lists(st.floats(-30, 0), min_size=1, max_size=120)


@given(LOGS)
def test_the_mean_is_the_geometric_mean_of_the_probabilities(logs: list[float]) -> None:
    assert mean_probability(logs) == pytest.approx(float(np.exp(np.mean(logs))), rel=1e-9)


@given(LOGS, st.integers(1, 40))
def test_the_least_is_that_of_the_weakest_window(logs: list[float], width: int) -> None:
    width = min(width, len(logs))
    windows = np.lib.stride_tricks.sliding_window_view(np.array(logs), width)
    assert least_probability(logs, width) == pytest.approx(float(np.exp(windows.mean(axis=1).min())), rel=1e-6, abs=1e-12)


def test_one_lost_step_shows_in_the_weakest_window_and_not_in_the_mean() -> None:
    logs = [math.log(0.95)] * 300
    logs[100:132] = [math.log(0.2)] * WINDOW_TOKENS
    assert mean_probability(logs) > 0.8
    assert least_probability(logs) == pytest.approx(0.2)


def test_an_answer_shorter_than_the_window_is_its_own_window() -> None:
    assert least_probability([math.log(0.5), math.log(0.125)]) == pytest.approx(0.25)


@pytest.mark.parametrize("logs", [[], [-0.1, math.nan]])
def test_without_numbers_there_is_no_evidence(logs: list[float]) -> None:
    assert mean_probability(logs) is None
    assert least_probability(logs) is None


@pytest.mark.parametrize("impossible", [-math.inf, -9999.0])
def test_a_token_that_the_engine_thinks_impossible_leaves_a_number(impossible: float) -> None:
    assert 0 < mean_probability([impossible] * 2 + [0.0] * 8) < 1e-8
    assert 0 <= least_probability([impossible] + [0.0] * 99) < 0.05


def test_a_probability_above_one_counts_as_one() -> None:
    assert mean_probability([1e-7, 0.5]) == 1.0
