"""What was spent, as far as one router can know: what the books told last, and what was decided here since then."""

from collections import deque
from math import inf

MARK_S, LATE_S = 0.05, 60.0


class Ledger:
    """`spent_usd` at this moment. Reports may be late, repeated, lost or out of order; the clock may be set."""

    __slots__ = ("_marks", "_own_usd", "spent_usd", "told_s")

    def __init__(self, spent_usd: float) -> None:
        self.spent_usd = spent_usd
        self.told_s = -inf  # when the last report was made
        self._own_usd = 0.0  # all that was decided here
        self._marks: deque[tuple[float, float]] = deque(maxlen=int(LATE_S / MARK_S))  # when, and the sum before it

    def add(self, now_s: float, cost_usd: float) -> None:
        """Decided here, now."""
        marks = self._marks
        if not marks or now_s - marks[-1][0] >= MARK_S:
            marks.append((now_s, self._own_usd))
        elif now_s < marks[-1][0]:  # the clock was set back: nothing can be told of the order
            marks.clear()
        self._own_usd += cost_usd
        self.spent_usd += cost_usd

    def told(self, at_s: float, spent_usd: float) -> bool:
        """The books showed this at `at_s`. Returns False where it says nothing new: something later is known already.

        What comes over a minute late can only be a clock that was set, and is believed.
        """
        if self.told_s - LATE_S < at_s < self.told_s:
            return False
        self.told_s = at_s
        marks = self._marks
        while len(marks) > 1 and marks[1][0] <= at_s:
            marks.popleft()
        by_then_usd = next((before_usd for mark_s, before_usd in marks if mark_s > at_s), self._own_usd)
        self.spent_usd = spent_usd + (self._own_usd - by_then_usd)
        return True
