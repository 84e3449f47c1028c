import pytest

from cli.money import usd


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0"), (0.0000042, "0.00000420"), (0.000123456, "0.000123"), (0.0123, "0.0123"), (0.25, "0.250"), (12.3, "12.30")],
)
def test_small_amounts_keep_three_digits(amount: float, text: str) -> None:
    assert usd(amount) == text


def test_next_to_nothing_is_not_nothing() -> None:
    assert usd(2e-12) == "2.0e-12"
