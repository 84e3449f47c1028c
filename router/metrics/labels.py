"""Bounds on what callers can make grow: one series is kept for each value of a label."""

MOST_LABEL_VALUES = 1000
OTHER = "other"


class BoundedLabel:
    """Values of one label that callers can choose: the first 1,000 as they are, all later ones as "other"."""

    def __init__(self, most: int = MOST_LABEL_VALUES) -> None:
        self._most = most
        self._known: set[str] = set()

    def bound(self, value: str) -> str:
        if value in self._known:
            return value
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value
