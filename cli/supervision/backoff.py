"""How long a program that ended waits before it is started again. Pure: what happened and the random source are arguments."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pause doubles with each failure in a row, from `first_s` to `most_s`, and is spread over its upper half.

    A program that was ready for `healthy_s` before it ended starts over at `first_s`.
    """

    first_s: float = 0.5
    most_s: float = 30.0
    healthy_s: float = 30.0

    def failures(self, before: int, served_s: float) -> int:
        """Failures in a row, the one that just happened included. `served_s`: how long it had been ready, 0 if it never was."""
        return 1 if served_s >= self.healthy_s else before + 1

    def pause_s(self, failures: int, rng: random.Random) -> float:
        longest: float = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return longest * rng.uniform(0.5, 1.0)
