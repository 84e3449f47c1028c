"""Quantities as the API server keeps them: "1000m" is "1", "1.5Gi" is "1536Mi".

What is applied must read back as it was written, or it would be applied again for ever. Follows `CanonicalizeBytes` of
k8s.io/apimachinery/pkg/api/resource, with the rounding to thousandths that resource lists get (`SetDefaults_ResourceList`).
"""

import re
from fractions import Fraction
from math import ceil

_DECIMAL = {"m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_BINARY = {"": 0, "Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")


def canonical(text: str) -> str:
    """The same amount in the server's form; parts of a thousandth are rounded up. Raises ValueError for what is no quantity."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"not a quantity: {text!r}")
    number, suffix = Fraction(found[1]), found[2] or ""
    if suffix in _DECIMAL:
        return _written(ceil(number * Fraction(1000) ** (_DECIMAL[suffix] + 1)), 1000, tuple(_DECIMAL))
    amount = number * 1024 ** _BINARY[suffix]
    if amount < 1024 or amount.denominator != 1:  # the server says these in decimals, for the sake of precision
        return _written(ceil(amount * 1000), 1000, tuple(_DECIMAL))
    return _written(int(amount), 1024, tuple(_BINARY))


def _written(amount: int, step: int, suffixes: tuple[str, ...]) -> str:
    """`amount` in units of the first suffix, with the largest suffix that leaves a whole number."""
    at = 0
    while amount and amount % step == 0 and at < len(suffixes) - 1:
        amount, at = amount // step, at + 1
    return f"{amount}{suffixes[at]}" if amount else "0"
