"""How much work a pool's replicas have been seen to do, from the counters that they report. No clock, no I/O.

Every worker tells all routers the same totals, so routers that watched the same minutes come to the same figure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from router.fleet.hosting import rounded, work_tokens
from router.fleet.specs import PoolSpec, Report

# What a replica is taken to do, in output tokens a second, until one of its pool was busy for a minute. The order of magnitude
# of one GPU: a far lower figure would make a new pool so dear that it is never tried, and never measured.
ASSUMED_TOKENS_PER_S = 1000.0
# How long a replica must have been busy for a figure. Idle time does not count: it says nothing of what the replica can do.
BUSY_S = 60.0
# How long after a change its report comes.
REPORT_S = 0.05
# Workers report at least every 2 s. After a longer silence nobody knows for how much of it the replica was busy.
LONGEST_GAP_S = 10.0
HALF_LIFE_S = 86_400.0
# What follows from the figures is worked out this seldom.
SHOWN_S = 10.0
# A slower one is taken to be this fast, so that every price is a number.
LEAST_TOKENS_PER_S = 0.001
# Far above what a machine does, so that no worker's word makes a pool free.
MOST_TOKENS_PER_S = 1e6


class Meter:
    """One replica's work over its last busy minute. Takes every report: 20 a second."""

    __slots__ = ("_busy_s", "_seen", "_seen_s", "_since")

    def __init__(self) -> None:
        self._since: Report | None = None
        self._seen: Report | None = None
        self._seen_s = 0.0
        self._busy_s = 0.0

    def heard(self, report: Report, now_s: float) -> float:
        """Output tokens a second over a busy minute, with the report that completes it; else 0.0."""
        before, gap_s = self._seen, now_s - self._seen_s
        self._seen, self._seen_s = report, now_s
        if before is None or gap_s > LONGEST_GAP_S or before.incarnation != report.incarnation:
            self._since, self._busy_s = report, 0.0
            return 0.0
        if before.running > 0 or before.waiting > 0:
            self._busy_s += gap_s
        elif before.output_tokens_total != report.output_tokens_total:
            # It began between the two, and a change is told at once; counters of a server behind the worker come later.
            self._busy_s += min(gap_s, REPORT_S)
        if self._busy_s < BUSY_S or self._since is None:
            return 0.0
        tokens_per_s = _work_between(self._since, report) / self._busy_s
        self._since, self._busy_s = report, 0.0
        return min(max(tokens_per_s, 0.0), MOST_TOKENS_PER_S)


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that a replica did, as of `at_s`. It halves in a day of work, since machines and load change. Where nothing is
    measured it stays: a pool that nobody asks must not become dearer by the hour, or nobody would ever ask it again.
    """

    tokens_per_s: float
    at_s: float

    def and_now(self, tokens_per_s: float, now_s: float) -> "Peak":
        """With another busy minute, at its end."""
        worked_s = min(max(now_s - self.at_s, 0.0), BUSY_S + LONGEST_GAP_S)
        return Peak(max(tokens_per_s, self.tokens_per_s * 0.5 ** (worked_s / HALF_LIFE_S)), now_s)


class Throughputs:
    """The peak of every pool: of the replica that did most. It stays while the pool and its model do, also without replicas.

    shown   by pool, output tokens a second of one replica, for whatever follows from them
    """

    def __init__(self) -> None:
        self._peaks: dict[tuple[str, str], Peak] = {}
        self._due_s = -inf
        self.shown: Mapping[str, float] = {}

    def heard(self, pool: PoolSpec, meter: Meter, report: Report, now_s: float) -> None:
        """A replica of the pool, whose meter this is, reports."""
        if tokens_per_s := meter.heard(report, now_s):
            before = self._peaks.get(_key(pool))
            self._peaks[_key(pool)] = before.and_now(tokens_per_s, now_s) if before else Peak(tokens_per_s, now_s)

    def of(self, pool: PoolSpec) -> float:
        """As given, else the peak in steps of 5 %, else what is assumed."""
        if pool.hosting is not None and pool.hosting.tokens_per_s:
            return max(pool.hosting.tokens_per_s, LEAST_TOKENS_PER_S)
        peak = self._peaks.get(_key(pool))
        return ASSUMED_TOKENS_PER_S if peak is None else rounded(peak.tokens_per_s)

    def show(self, pools: Sequence[PoolSpec], now_s: float) -> bool:
        """Brings `shown` up to date, at most every 10 s for the same pools; True where a figure changed."""
        if now_s < self._due_s:
            return False
        before, self.shown = self.shown, {pool.name: self.of(pool) for pool in pools}
        self._due_s = now_s + SHOWN_S
        return before != self.shown

    def keep(self, pools: Iterable[PoolSpec]) -> None:
        """Forgets pools that have left, and those that have another model now."""
        self._due_s = -inf
        there = {_key(pool) for pool in pools}
        self._peaks = {key: peak for key, peak in self._peaks.items() if key in there}


def _key(pool: PoolSpec) -> tuple[str, str]:
    return pool.name, pool.models[0]


def _work_between(since: Report, now: Report) -> float:
    cached = now.prefix_hit_tokens_total - since.prefix_hit_tokens_total
    # Hits are counted when a prompt is begun, prompt tokens when it is read: at the edges there may be more hits than prompt.
    uncached = max(0, now.prompt_tokens_total - since.prompt_tokens_total - cached)
    return work_tokens(uncached, cached, now.output_tokens_total - since.output_tokens_total)
