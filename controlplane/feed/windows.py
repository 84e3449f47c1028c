"""Counters into rates and sums: one router's counters of one pool, and what all routers counted for it in a minute. Pure.

Counters of a process only grow. A report that came twice adds nothing, one that came late is left out, nothing that a router
says makes a sum smaller, and one report adds no more than any router could have served since the last.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from controlplane.feed.reports import PoolReport, RevisionCounts
from controlplane.world import RevisionLoad

SHORT_S = 10.0  # a rate is taken over the last 10 to 20 s
LONG_S = 60.0
_BUCKET_S = 5.0
_LEAST_S = 1.0  # of two reports that came closer together no rate is made
_MOST_REVISIONS = 64
_MOST_GROWTH = 1_000_000  # requests in one report


class Growth(NamedTuple):
    """What one report added to a router's counters of a pool."""

    arrivals: int
    answers: int
    ttft_met: int
    tpot_met: int


class Flow(NamedTuple):
    """Requests that came to a pool, and those that were answered."""

    arrivals: int = 0
    answers: int = 0


_NONE = Flow()


class Rates(NamedTuple):
    """Per second, over the last `over_s`: the same time for both, so that their difference is what a queue grows by."""

    arrivals: float
    answers: float
    over_s: float


@dataclass(slots=True)
class Series:
    """One process's counters of one pool.

    `last` is the newest report, `counted` the flow since the series began. Rates are of the time since `since_s`, when `since`
    was counted; `turned_s` and `turned` take their place when they are old enough.
    """

    last: PoolReport
    heard_s: float
    since_s: float
    turned_s: float
    revisions: dict[str, RevisionCounts]
    counted: Flow = _NONE
    since: Flow = _NONE
    turned: Flow = _NONE

    @classmethod
    def begun(cls, told: PoolReport, at_s: float) -> "Series":
        """Counts from what is told here on."""
        return cls(told, at_s, at_s, at_s, dict(told.revisions))

    def take(self, told: PoolReport, now_s: float) -> Growth | None:
        """What it adds; None for a report that is older than the last."""
        last = self.last
        grown = Growth(
            _more(told.arrivals, last.arrivals),
            _more(told.answers, last.answers),
            _more(told.ttft_met, last.ttft_met),
            _more(told.tpot_met, last.tpot_met),
        )
        if min(grown) < 0:
            return None
        self.counted = Flow(self.counted.arrivals + grown.arrivals, self.counted.answers + grown.answers)
        if now_s - self.turned_s >= SHORT_S:
            self.since_s, self.since = self.turned_s, self.turned
            self.turned_s, self.turned = now_s, self.counted
        self.last, self.heard_s = told, now_s
        return grown

    def rates(self) -> Rates:
        over_s = self.heard_s - self.since_s
        arrivals, answers = self.counted.arrivals - self.since.arrivals, self.counted.answers - self.since.answers
        return Rates(arrivals / max(over_s, _LEAST_S), answers / max(over_s, _LEAST_S), over_s)

    def revisions_grown(self, told: Mapping[str, RevisionCounts]) -> dict[str, RevisionCounts]:
        """What each revision adds. One that wasn't told before began at zero; one that comes again goes on where it was."""
        grown = {}
        for revision, counts in told.items():
            before = self.revisions.pop(revision, RevisionCounts())
            high = RevisionCounts(*map(max, counts, before))
            self.revisions[revision] = high  # at the end: what wasn't told for longest goes first
            grown[revision] = RevisionCounts(
                _more(high.requests, before.requests),
                _more(high.errors, before.errors),
                high.prefix_query_tokens - before.prefix_query_tokens,
                high.prefix_hit_tokens - before.prefix_hit_tokens,
            )
        while len(self.revisions) > _MOST_REVISIONS:
            del self.revisions[next(iter(self.revisions))]
        return grown


@dataclass(slots=True)
class Sums:
    """What was counted in some time. Prefix tokens are shares of what each router told, hence not whole."""

    arrivals: int = 0
    answers: int = 0
    ttft_met: int = 0
    tpot_met: int = 0
    revisions: dict[str, list[float]] = field(default_factory=dict)

    def add(self, grown: "Growth | Sums") -> None:
        self.arrivals += grown.arrivals
        self.answers += grown.answers
        self.ttft_met += grown.ttft_met
        self.tpot_met += grown.tpot_met

    def add_revision(self, name: str, counts: Sequence[float]) -> None:
        if name in self.revisions or len(self.revisions) < _MOST_REVISIONS:
            before = self.revisions.get(name, (0, 0, 0, 0))
            self.revisions[name] = [was + more for was, more in zip(before, counts, strict=True)]


class PoolWindow:
    """What all routers together counted for one pool in the last minute, in steps of some seconds."""

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._buckets: deque[tuple[int, Sums]] = deque()

    def add(self, grown: Growth, revisions: Mapping[str, RevisionCounts], share: float, now_s: float) -> None:
        """`share`: what this router counts for in figures that every router tells alike."""
        if not any(grown) and not any(map(any, revisions.values())):
            return
        number = self._turn(now_s)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append((number, Sums()))
        sums = self._buckets[-1][1]
        sums.add(grown)
        for name, (requests, errors, query_tokens, hit_tokens) in revisions.items():
            sums.add_revision(name, (requests, errors, query_tokens * share, hit_tokens * share))

    def sums(self, now_s: float) -> tuple[Sums, float]:
        """The sums, and the seconds that they are of."""
        oldest_s = (self._turn(now_s) + 1) * _BUCKET_S - LONG_S
        total = Sums()
        for _, sums in self._buckets:
            total.add(sums)
            for name, counts in sums.revisions.items():
                total.add_revision(name, counts)
        return total, max(now_s - max(oldest_s, self._since_s), 0.0)

    def _turn(self, now_s: float) -> int:
        number = int(now_s // _BUCKET_S)
        while self._buckets and self._buckets[0][0] <= number - LONG_S / _BUCKET_S:
            self._buckets.popleft()
        return number


def revision_loads(sums: Sums, over_s: float) -> dict[str, RevisionLoad]:
    """A part is never told to be more than its whole, whatever routers said."""
    loads = {}
    for name, counts in sorted(sums.revisions.items()):
        requests, errors, query_tokens, hit_tokens = map(round, counts)
        loads[name] = RevisionLoad(over_s, requests, min(errors, requests), query_tokens, min(hit_tokens, query_tokens))
    return loads


def _more(now: int, before: int) -> int:
    return min(now - before, _MOST_GROWTH)
