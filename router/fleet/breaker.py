"""When a replica that fails is left alone, and how it is tried again. Pure: clock and random source are arguments.

closed ──N faults in a row──► open ──time passes──► half-open ──one request lets it through──► closed, or open for twice as long
"""

from dataclasses import dataclass, replace
from math import inf
from random import Random
from typing import Literal

CircuitState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """`faults` in a row open the circuit for about `open_s`, doubling up to `longest_s` for as long as no request succeeds.

    A probe that nobody reports back on (its caller hung up) gives its turn away after `probe_s`.
    """

    faults: int = 3
    open_s: float = 1.0
    longest_s: float = 30.0
    probe_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Circuit:
    """State of one replica's circuit; every change returns a new one. Times are the caller's monotonic seconds.

    faults      in a row
    openings    in a row, without a success between them
    reopen_s    when an open circuit turns half-open; None while it is closed
    probing_s   until when the half-open circuit's only turn is taken
    """

    faults: int = 0
    openings: int = 0
    reopen_s: float | None = None
    probing_s: float = -inf

    def state(self, now_s: float) -> CircuitState:
        if self.reopen_s is None:
            return "closed"
        return "open" if now_s < self.reopen_s else "half_open"

    def allows(self, now_s: float) -> bool:
        """Whether a request may be sent."""
        return self.reopen_s is None or now_s >= max(self.reopen_s, self.probing_s)

    def changes_at_s(self, now_s: float) -> float:
        """When `allows` will turn true by itself; inf if it is already, or never will be."""
        return inf if self.reopen_s is None or self.allows(now_s) else max(self.reopen_s, self.probing_s)

    def probed(self, now_s: float, rule: BreakerRule) -> "Circuit":
        """A request was sent: in a half-open circuit it takes the only turn."""
        if self.state(now_s) != "half_open":
            return self
        return replace(self, probing_s=now_s + rule.probe_s)

    def unprobed(self) -> "Circuit":
        """No request is under way any more, so none can be the probe."""
        return replace(self, probing_s=-inf)

    def failed(self, now_s: float, rule: BreakerRule, rng: Random) -> "Circuit":
        """A request failed by the replica's fault. Those that were under way when the circuit opened change nothing."""
        if self.state(now_s) == "open":
            return self
        faults = self.faults + 1
        if self.reopen_s is None and faults < rule.faults:
            return replace(self, faults=faults)
        wait_s = min(rule.longest_s, rule.open_s * 2.0 ** min(self.openings, 30))
        return Circuit(faults, self.openings + 1, now_s + wait_s * rng.uniform(0.75, 1.0))

    def succeeded(self, now_s: float) -> "Circuit":
        """A request went well. While the circuit is open that is an old one, and says nothing about new ones."""
        return self if self.state(now_s) == "open" else CLOSED

    def renewed(self, now_s: float) -> "Circuit":
        """The worker process was replaced: what the old one did is no reason to wait, but one request goes first."""
        return self if self.reopen_s is None else replace(self, reopen_s=min(self.reopen_s, now_s), probing_s=-inf)


CLOSED = Circuit()
