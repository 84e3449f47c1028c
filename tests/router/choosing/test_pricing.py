"""Estimates against figures worked out by hand."""

import pytest

from router.choosing.features import Features
from router.choosing.pricing import estimate
from router.snapshot import Prices
from tests.fleets import pool_of

POOL = pool_of("p", 0, 1, prices=Prices(input=2.0, cached_input=0.5, output=8.0))


@pytest.mark.parametrize(
    ("n", "cached_share", "cached_tokens", "output_tokens", "cost_usd"),
    [(1, 0.0, 0, 100, 0.0028), (1, 0.5, 500, 100, 0.00205), (1, 1.0, 1000, 100, 0.0013), (3, 0.0, 0, 300, 0.0044)],
)
def test_estimate(n: int, cached_share: float, cached_tokens: int, output_tokens: int, cost_usd: float) -> None:
    seen = estimate(POOL, Features(prompt_tokens=1000, output_tokens=100), n, cached_share)
    assert (seen.prompt_tokens, seen.cached_tokens, seen.output_tokens) == (1000, cached_tokens, output_tokens)
    assert seen.cost_usd == pytest.approx(cost_usd)
