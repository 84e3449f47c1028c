"""How a window's traffic is expected to come: even, or as it came in windows before. Pure values."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Self

SLICES = 96  # of a window: a quarter of an hour in a day


@dataclass(frozen=True, slots=True)
class Profile:
    """`gone[k]` is the share of a window's traffic that has come by the end of the k-th of `len(gone) - 1` equal slices.

    It begins with 0, ends with 1 and never falls. Raises ValueError where it does not.
    """

    gone: tuple[float, ...] = (0.0, 1.0)

    def __post_init__(self) -> None:
        steps = zip(self.gone, self.gone[1:], strict=False)
        if len(self.gone) < 2 or self.gone[0] != 0 or self.gone[-1] != 1 or not all(low <= high for low, high in steps):
            raise ValueError("profile.gone: shares must rise from 0 to 1")

    @property
    def slices(self) -> int:
        return len(self.gone) - 1

    @classmethod
    def of(cls, counts: Sequence[float]) -> Self:
        """From the requests of each slice, at least 0; nothing counted is an even profile."""
        if not counts or not all(0 <= count < float("inf") for count in counts):
            raise ValueError("profile.counts: at least one, and none below 0")
        total = sum(counts)
        if not total:
            return cls()
        # The last is set, not summed: rounding must not leave it short of 1.
        return cls((0.0, *(min(1.0, part / total) for part in accumulate(counts[:-1])), 1.0))

    def mixed(self, other: "Profile", weight: float) -> "Profile":
        """This one moved towards `other` by `weight`, 0 to 1: what came once counts less than what comes every time."""
        slices = max(self.slices, other.slices)
        pairs = zip(self.sliced(slices).gone, other.sliced(slices).gone, strict=True)
        return Profile(tuple((1 - weight) * own + weight * others for own, others in pairs))

    def sliced(self, slices: int) -> "Profile":
        """The same in so many slices; what is in between is taken as even."""
        if slices == self.slices:
            return self
        return Profile((0.0, *(self.share(step / slices) for step in range(1, slices)), 1.0))

    def share(self, part: float) -> float:
        """Share of the traffic that has come after `part`, 0 to 1, of the window's time."""
        place = min(1.0, max(0.0, part)) * self.slices
        slot = min(int(place), self.slices - 1)
        return self.gone[slot] + (place - slot) * (self.gone[slot + 1] - self.gone[slot])
