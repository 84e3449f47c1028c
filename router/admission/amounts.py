"""Money as whole nano-USD, so that sums are exact: a token at 0.01 USD per million is ten of them. Pure.

Redis's scripts count in doubles, which are exact up to 2⁵³ nano-USD, some nine million USD. A budget above `MOST_NANO` counts
as that; what a soft budget has spent stops there.
"""

from math import ceil, isfinite, isnan

NANO = 1_000_000_000
MOST_NANO = 2**53 - 1


def limit_nano(usd: float) -> int:
    """A budget's limit. Not a number is nothing."""
    if isnan(usd):
        return 0
    return min(MOST_NANO, round(max(0.0, min(usd, 1e9)) * NANO))


def charge_nano(usd: float) -> int:
    """What a request costs, rounded up: no rounding may ever give money away. What is no amount at all is the most there is."""
    if not isfinite(usd):
        return MOST_NANO
    scaled = min(usd, 1e9) * NANO
    nearest = round(scaled)
    # Binary dust is no part of an amount: a thousandth of a nano-USD, or what the digits of a double can't tell.
    dust = max(1e-3, scaled * 2**-51)
    return max(0, min(MOST_NANO, nearest if abs(scaled - nearest) <= dust else ceil(scaled)))


def to_usd(nano: int) -> float:
    return nano / NANO


def usd_text(nano: int) -> str:
    """With cents at least, and as many digits as the amount has: 12.00, 0.0135, 0.00000001."""
    whole, part = divmod(abs(nano), NANO)
    digits = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano < 0 else ''}{whole}.{digits}"
