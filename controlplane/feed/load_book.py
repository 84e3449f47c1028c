"""What routers reported, turned into each pool's load. Pure: time is an argument, in seconds of a clock that never steps back.

Routers see one fleet: what each counts itself is added up (arrivals, answers, requests that wait in it); what replicas told all
of them alike (slots, running, queues, KV) is taken from the middle one, so that neither a router that has just started nor one
that is wrong decides. A router that is silent drops out; what it had counted stays counted until its minute is over.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controlplane.feed.reports import PoolReport, Report
from controlplane.feed.windows import LONG_S, PoolWindow, Rates, Series, revision_loads
from controlplane.world import PoolLoad

SILENT_S = 10.0
FORGOTTEN_S = LONG_S
MOST_ROUTERS = 1024


class TooManyRouters(Exception):
    """Another router than those known reports, and no more are kept."""


@dataclass(slots=True)
class _Router:
    """`former` is the incarnation before this one: what still comes from it is late, or of a second router of that name."""

    incarnation: str
    heard_s: float
    former: str = ""
    series: dict[str, Series] = field(default_factory=dict)


class LoadBook:
    """One writer: `serve` and `take` change it. Its size is bounded: by the pools that are served, and by `most_routers`."""

    def __init__(self, most_routers: int = MOST_ROUTERS) -> None:
        self._most_routers = most_routers
        self._routers: dict[str, _Router] = {}
        self._windows: dict[str, PoolWindow] = {}
        self._swept_s = float("-inf")
        self.served: frozenset[str] = frozenset()

    def serve(self, pools: Iterable[str]) -> None:
        """Only these pools are kept from now on."""
        served = frozenset(pools)
        if served == self.served:
            return
        self.served = served
        for name in self._windows.keys() - self.served:
            del self._windows[name]
        for router in self._routers.values():
            for name in router.series.keys() - self.served:
                del router.series[name]

    def take(self, report: Report, now_s: float) -> list[str]:
        """Takes a report; returns the pools for which it has waiting requests and no ready replica. Raises TooManyRouters."""
        router, new_since_s = self._router(report, now_s)
        if router is None:
            return []
        for name in router.series.keys() - report.pools.keys():
            del router.series[name]  # it left this router's topology; should it return, its counters begin anew
        share = 1 / max(self.routers(now_s), 1)
        cold = []
        for name in self.served & report.pools.keys():
            told = report.pools[name]
            series = router.series.get(name)
            if series is None:
                begun = Series.begun(told, now_s) if new_since_s is None else Series.begun(PoolReport(), new_since_s)
                series = router.series[name] = begun
            if (grown := series.take(told, now_s)) is None:
                if now_s - series.heard_s > SILENT_S:  # not late then: the router counts anew
                    router.series[name] = Series.begun(told, now_s)
                continue
            if name not in self._windows:
                self._windows[name] = PoolWindow(series.since_s)
            self._windows[name].add(grown, series.revisions_grown(told.revisions), share, now_s)
            if told.waiting_here and not told.ready:
                cold.append(name)
        return sorted(cold)

    def of(self, pool: str, now_s: float) -> PoolLoad:
        """The pool's load; `routers` 0 where nothing is known. `seen_s` is in the time of `now_s`.

        Arrivals are those of the last seconds; where there were none, of the last minute, so that rare ones aren't missed.
        """
        live = [s for r in self._routers.values() if (s := r.series.get(pool)) and now_s - s.heard_s <= SILENT_S]
        if not live:
            return PoolLoad()
        last = [series.last for series in live]
        sums, over_s = self._windows[pool].sums(now_s)
        rates = _together([series.rates() for series in live])
        if not rates.arrivals and sums.arrivals:
            rates = Rates(sums.arrivals / max(over_s, 1.0), sums.answers / max(over_s, 1.0), over_s)
        return PoolLoad(
            routers=len(live),
            seen_s=max(series.heard_s for series in live),
            arrivals_per_s=rates.arrivals,
            answers_per_s=rates.answers,
            over_s=rates.over_s,
            waiting=sum(told.waiting_here for told in last) + _middle([told.waiting_there for told in last]),
            running=_middle([told.running for told in last]),
            slots=_middle([told.slots for told in last]),
            ttft_met=_part(sums.ttft_met, sums.answers),
            tpot_met=_part(sums.tpot_met, sums.answers),
            kv_used=sorted(told.kv_used for told in last)[len(last) // 2],
            oldest_wait_s=max(told.oldest_wait_s for told in last),
            revisions=revision_loads(sums, over_s),
        )

    def routers(self, now_s: float) -> int:
        """How many reported lately."""
        return sum(now_s - router.heard_s <= SILENT_S for router in self._routers.values())

    def _router(self, report: Report, now_s: float) -> tuple[_Router | None, float | None]:
        """The reporting router, None for its former process; and since when its counters count, where they began with this."""
        if now_s - self._swept_s > SILENT_S:
            self._swept_s = now_s
            self._routers = {name: router for name, router in self._routers.items() if now_s - router.heard_s <= FORGOTTEN_S}
        router = self._routers.get(report.router_id)
        if router is None:
            if len(self._routers) >= self._most_routers:
                raise TooManyRouters
            router = self._routers[report.router_id] = _Router(report.incarnation, now_s)
            return router, None
        if report.incarnation == router.incarnation:
            router.heard_s = now_s
            return router, None
        if report.incarnation == router.former:
            return None, None
        since_s = router.heard_s
        router = self._routers[report.router_id] = _Router(report.incarnation, now_s, router.incarnation)
        return router, since_s


def _together(rates: Sequence[Rates]) -> Rates:
    """Routers' rates add up; each is over a time of its own, and the shortest says how far the sum may be chance."""
    return Rates(sum(rate.arrivals for rate in rates), sum(rate.answers for rate in rates), min(rate.over_s for rate in rates))


def _middle(values: Sequence[int]) -> int:
    """The middle one; of two the larger."""
    return sorted(values)[len(values) // 2]


def _part(met: int, answers: int) -> float | None:
    return min(met / answers, 1.0) if answers else None
