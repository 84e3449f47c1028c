"""The context vector: what is in it, and that nothing leaves its range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.choosing.features import Features
from router.choosing.learning.context import (
    CONSTANT,
    DOMAINS,
    FAR,
    FIRST_DOMAIN,
    FIRST_FLAG,
    PRIOR_VARIANCE,
    QUALITY,
    WIDTH,
    context,
    for_pool,
)
from router.choosing.quality.prediction import Prediction


def prediction(trust: float = 1.0, domain: int = 0) -> Prediction:
    return Prediction(np.array([0.5]), np.array([0.1]), np.zeros(1), trust, domain)


def test_the_width_is_within_what_was_promised() -> None:
    assert WIDTH <= 24


@pytest.mark.parametrize(
    ("features", "flags"),
    [
        (Features(10, 10), [0, 0, 0, 0, 0]),
        (Features(10, 10, code=True), [1, 0, 0, 0, 0]),
        (Features(10, 10, multi_step=True), [0, 1, 0, 0, 0]),
        (Features(10, 10, tools=True), [0, 0, 1, 0, 0]),
        (Features(5000, 10, other_share=0.9), [0, 0, 0, 1, 1]),
    ],
)
def test_flags_tell_the_form_of_the_prompt(features: Features, flags: list[int]) -> None:
    assert context(features, prediction()).values[FIRST_FLAG:].tolist() == flags


def test_a_prompt_has_one_domain_and_a_constant() -> None:
    values = context(Features(10, 10), prediction(trust=0.25, domain=DOMAINS + 3)).values
    assert values[CONSTANT] == 1.0
    assert values[FAR] == 0.75
    assert np.flatnonzero(values[FIRST_DOMAIN:FIRST_FLAG]).tolist() == [3]


def test_a_pools_vector_has_its_own_quality_and_leaves_the_prompts_as_it_was() -> None:
    seen = context(Features(10, 10), prediction())
    own = for_pool(seen.values, 0.9)
    assert own[QUALITY] == pytest.approx(0.4)
    assert seen.values[QUALITY] == 0.0


@given(
    st.floats(-5, 5),
    st.integers(0, 10_000),
    st.integers(0, 10**9),
    st.booleans(),
    st.floats(0, 1),
)
def test_entries_stay_within_one_and_the_variance_is_the_priors(
    trust: float, domain: int, tokens: int, code: bool, other_share: float
) -> None:
    seen = context(Features(tokens, 10, code=code, other_share=other_share), prediction(trust, domain))
    assert np.abs(seen.values).max() <= 1.0
    assert seen.variance == pytest.approx(float(PRIOR_VARIANCE @ seen.values**2))
