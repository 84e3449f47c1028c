"""No tenant teaches more than its share."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.choosing.learning import shares as module
from router.choosing.learning.shares import FREE, HALF_LIFE_S, SHARE, TenantShares


def test_alone_in_a_quiet_hour_a_tenant_teaches_up_to_what_is_free() -> None:
    shares = TenantShares()
    assert sum(shares.allow("liar", 1.0, 0.0) for _ in range(10_000)) == pytest.approx(FREE)
    assert shares.allow("other", 1.0, 0.0) == 1.0


def test_the_last_outcome_may_count_in_part() -> None:
    shares = TenantShares(free=2.5)
    assert [shares.allow("a", 1.0, 0.0) for _ in range(4)] == [1.0, 1.0, 0.5, 0.0]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_beyond_what_is_free_no_one_has_more_than_the_share(seed: int, tenants: int) -> None:
    shares, rng, taught = TenantShares(), Random(seed), dict.fromkeys(range(tenants), 0.0)
    rates = [rng.random() ** 3 for _ in taught]
    for _ in range(800):
        tenant = rng.choices(range(tenants), rates)[0]
        taught[tenant] += shares.allow(str(tenant), rng.choice([1.0, 0.3]), 5.0)
        total = sum(taught.values())
        assert all(own <= max(FREE, SHARE * total) + 1e-9 for own in taught.values())


def test_what_was_used_comes_back_with_time() -> None:
    shares = TenantShares()
    for _ in range(1000):
        shares.allow("a", 1.0, 0.0)
    later = sum(shares.allow("a", 1.0, HALF_LIFE_S) for _ in range(1000))
    assert later == pytest.approx(FREE / 2, abs=0.1)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    shares = TenantShares()
    for _ in range(1000):
        shares.allow("a", 1.0, 1e6)
    assert sum(shares.allow("a", 1.0, 0.0) for _ in range(1000)) == pytest.approx(0.0)


def test_a_single_tenant_is_not_bounded() -> None:
    shares = TenantShares()
    shares.alone = True
    assert sum(shares.allow("a", 1.0, 0.0) for _ in range(1000)) == 1000.0


def test_the_number_of_tenants_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TENANTS", 10)
    shares = TenantShares()
    for _ in range(100):
        shares.allow("heavy", 1.0, 0.0)
    for at in range(1000):
        shares.allow(f"t{at}", 0.5, 0.0)
    assert len(shares._each) <= 10
    assert "heavy" in shares._each
