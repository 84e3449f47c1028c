"""Spans of time for people. Pure."""

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def span(seconds: float) -> str:
    """The two largest units, rounded up, so that a wait of this long is long enough: 2 d 5 h, 3 min, 1 s."""
    left = max(1, int(-(-seconds // 1)))
    first = next(place for place, (_, size) in enumerate(_UNITS) if left >= size)
    if first + 2 < len(_UNITS):  # to the full smaller unit
        left = -(-left // _UNITS[first + 1][1]) * _UNITS[first + 1][1]
        first = next(place for place, (_, size) in enumerate(_UNITS) if left >= size)
    said = []
    for name, size in _UNITS[first : first + 2]:
        count, left = divmod(left, size)
        if count:
            said.append(f"{count} {name}")
    return " ".join(said)
