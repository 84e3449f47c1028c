"""Amounts against decimal arithmetic."""

from decimal import ROUND_CEILING, Decimal
from math import inf, nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.admission.amounts import MOST_NANO, charge_nano, limit_nano, to_usd, usd_text


@given(st.decimals(0, 9_000_000, places=9))
@example(Decimal("133717.960199621"))
def test_whole_nanos_are_exact_both_ways(usd: Decimal) -> None:
    nano = int(usd * 10**9)
    if nano < 10**15:  # a double has so many digits
        assert limit_nano(float(usd)) == charge_nano(float(usd)) == nano
        assert limit_nano(to_usd(nano)) == nano
    assert Decimal(usd_text(nano)) == usd


@given(st.decimals(0, 1000, places=11))
def test_a_charge_is_rounded_up(usd: Decimal) -> None:
    assert charge_nano(float(usd)) == int((usd * 10**9).to_integral_value(ROUND_CEILING))


@pytest.mark.parametrize(
    ("usd", "limit", "charge"),
    [(nan, 0, MOST_NANO), (inf, MOST_NANO, MOST_NANO), (-inf, 0, MOST_NANO), (-1.0, 0, 0), (1e300, MOST_NANO, MOST_NANO)],
)
def test_what_is_no_amount_never_gives_money_away(usd: float, limit: int, charge: int) -> None:
    assert (limit_nano(usd), charge_nano(usd)) == (limit, charge)


TEXTS = {0: "0.00", 10: "0.00000001", 13_500_000: "0.0135", 10**10: "10.00", 1_500_000_000: "1.50", -5 * 10**8: "-0.50"}


@pytest.mark.parametrize(("nano", "text"), TEXTS.items())
def test_amounts_are_told_with_cents_and_all_their_digits(nano: int, text: str) -> None:
    assert usd_text(nano) == text
