"""How long to wait before a broken stream is opened again. Pure but for the random source it is given."""

from random import Random


class Backoff:
    """Doubles from `first_s` to `longest_s`, each wait drawn from its upper half so that routers don't come back in step."""

    def __init__(self, rng: Random, first_s: float = 0.1, longest_s: float = 5.0) -> None:
        self._rng = rng
        self._first_s = first_s
        self._longest_s = longest_s
        self._tries = 0

    def next_s(self) -> float:
        wait_s: float = min(self._longest_s, self._first_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return wait_s * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """The stream worked."""
        self._tries = 0
