"""Small amounts of money for people. Pure."""


def usd(amount: float) -> str:
    """Three significant digits for what is less than a cent, cents above: 0.00000420, 0.0123, 12.30."""
    if amount == 0:
        return "0"
    if abs(amount) >= 1:
        return f"{amount:,.2f}"
    if abs(amount) < 1e-9:
        return f"{amount:.1e}"
    decimals = 2
    while decimals < 11 and abs(amount) * 10**decimals < 100:
        decimals += 1
    return f"{amount:.{decimals}f}"
