"""The plan of a window: how much of its money should be spent by when. Pure arithmetic; the clock is an argument.

Money is set aside in proportion to the traffic that is expected (`profile.py`), so that a request of the busy hour is worth as
much as one at night. The plan is a curve through an anchor (a moment and what should be spent by then) to the window's end;
moving the anchor spreads what is left anew over what is still to come.
"""

from dataclasses import dataclass
from math import inf, isfinite

from router.choosing.pacing.profile import Profile


@dataclass(frozen=True, slots=True)
class Window:
    """The money of a span of time. Raises ValueError that names the field.

    start_s, end_s   Unix seconds; a budget without end has a horizon, after which the next window begins
    budget_usd       what the books may show at its end
    opening_usd      what they show at its start: 0 where each window has books of its own
    """

    start_s: float
    end_s: float
    budget_usd: float
    opening_usd: float = 0.0

    def __post_init__(self) -> None:
        if not (isfinite(self.start_s) and isfinite(self.end_s) and self.start_s < self.end_s):
            raise ValueError("window.end_s: must be finite, and after window.start_s")
        for name in ("budget_usd", "opening_usd"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"window.{name}: must be finite and at least 0")


@dataclass(frozen=True, slots=True)
class Line:
    """A straight piece of the plan, for `from_s` ≤ now < `until_s`: `usd` at `at_s`, then `usd_per_s`. `slot`: its slice."""

    from_s: float
    until_s: float
    at_s: float
    usd: float
    usd_per_s: float
    slot: int

    def planned_usd(self, now_s: float) -> float:
        return self.usd + self.usd_per_s * (now_s - self.at_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """From `anchor_usd` at `anchor_share` of the traffic to `target_usd` at its end, along the profile."""

    window: Window
    profile: Profile
    target_usd: float
    anchor_share: float = 0.0
    anchor_usd: float = 0.0

    @classmethod
    def of(cls, window: Window, profile: Profile, headroom_share: float) -> "Plan":
        """From what the books show at the start to the budget, less the headroom."""
        to_spend_usd = max(0.0, window.budget_usd - window.opening_usd) * (1 - headroom_share)
        return cls(window, profile, min(window.opening_usd, window.budget_usd) + to_spend_usd, 0.0, window.opening_usd)

    def line(self, now_s: float) -> Line:
        """The piece that holds now; `slot` is -1 outside of the window. Raises ValueError unless `now_s` is finite."""
        if not isfinite(now_s):
            raise ValueError(f"now_s: must be finite, is {now_s}")
        start_s, end_s, gone = self.window.start_s, self.window.end_s, self.profile.gone
        if now_s < start_s:
            return Line(-inf, start_s, start_s, self._usd(0.0), 0.0, -1)
        if now_s >= end_s:
            return Line(end_s, inf, end_s, self.target_usd, 0.0, -1)
        step_s = (end_s - start_s) / self.profile.slices
        slot = min(int((now_s - start_s) / step_s), self.profile.slices - 1)
        at_s, next_s = start_s + slot * step_s, start_s + (slot + 1) * step_s
        usd, next_usd = self._usd(gone[slot]), self._usd(gone[slot + 1])
        # Rounding may put `now_s` just outside of its slice; the piece must hold it all the same.
        return Line(min(at_s, now_s), next_s if next_s > now_s else end_s, at_s, usd, (next_usd - usd) / step_s, slot)

    def share(self, now_s: float) -> float:
        """Share of the window's traffic that should have come by now."""
        return self.profile.share((now_s - self.window.start_s) / (self.window.end_s - self.window.start_s))

    def through(self, now_s: float, usd: float) -> "Plan":
        """The same plan, drawn anew from `usd` now to the same target."""
        return Plan(self.window, self.profile, self.target_usd, self.share(now_s), min(usd, self.target_usd))

    def _usd(self, share: float) -> float:
        to_come = 1.0 - self.anchor_share
        if to_come <= 1e-9:
            return self.target_usd
        return self.anchor_usd + (self.target_usd - self.anchor_usd) * (share - self.anchor_share) / to_come
