"""Several routers that pace one budget in virtual time: the router's own Pacer, with books that hold, settle and tell late.

Owns arrivals, the books and the way of their reports; which pool is taken is argmax quality − λ·cost, as in the router.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from random import Random

from router.choosing.pacing.pacer import Pacer

Options = list[tuple[float, float]]  # (quality, expected cost in USD) per pool


@dataclass(frozen=True)
class Conditions:
    """What stands between a router and the truth.

    routers      each takes a random share of the requests
    report_s     each hears of the books this often
    late_s       at most this much later, and so in any order
    lost         share of the reports that never come
    bound        a request holds so many times its expected cost until it is settled
    settle_s     mean time from hold to settling, at a cost that is right in the mean only
    restart_at_s when one router starts anew and knows nothing
    typical      whether pacers are told the mean cost over the pools, or take that of the chosen for it
    """

    routers: int = 4
    report_s: float = 2.0
    late_s: float = 3.0
    lost: float = 0.05
    bound: float = 3.0
    settle_s: float = 5.0
    restart_at_s: float | None = None
    typical: bool = True


@dataclass
class Outcome:
    """`spent_usd` is (when, settled) after each settling; `prices` is (when, λ of each router) at each report."""

    quality: float = 0.0
    refused: int = 0
    offers: list[Options] = field(default_factory=list)
    spent_usd: list[tuple[float, float]] = field(default_factory=list)
    held_usd: float = 0.0
    settled_usd: float = 0.0
    most_usd: float = 0.0
    prices: list[tuple[float, list[float]]] = field(default_factory=list)

    def settled_by(self, now_s: float) -> float:
        return max((usd for at_s, usd in self.spent_usd if at_s <= now_s), default=0.0)


class Budget:
    """One hard budget and its routers."""

    def __init__(self, make: Callable[[], Pacer], budget_usd: float, conditions: Conditions, rng: Random) -> None:
        self._make, self._budget_usd, self._terms, self._rng = make, budget_usd, conditions, rng
        self._pacers = [make() for _ in range(conditions.routers)]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self.outcome = Outcome()

    def run(self, arrivals: list[tuple[float, Options]], end_s: float) -> Outcome:
        for now_s, options in arrivals:
            self._at(now_s, lambda now_s, options=options: self._request(now_s, options))
        for turn in range(int(end_s / self._terms.report_s)):
            self._at(turn * self._terms.report_s, self._report)
        if self._terms.restart_at_s is not None:
            self._at(self._terms.restart_at_s, self._restart)
        while self._events:
            now_s, _, event = heapq.heappop(self._events)
            event(now_s)
        return self.outcome

    def _at(self, when_s: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), event))

    def _request(self, now_s: float, options: Options) -> None:
        seen, pacer = self.outcome, self._rng.choice(self._pacers)
        seen.offers.append(options)
        left_usd = self._budget_usd - seen.settled_usd - seen.held_usd
        fit = [option for option in options if option[1] * self._terms.bound <= left_usd]
        if not fit:
            seen.refused += 1
            return
        price = pacer.price(now_s)
        quality, expected_usd = max(fit, key=lambda option: option[0] - price * option[1])
        typical_usd = sum(cost for _, cost in options) / len(options)
        pacer.decided(now_s, expected_usd, typical_usd if self._terms.typical else None)
        held_usd = expected_usd * self._terms.bound
        seen.held_usd += held_usd
        seen.most_usd = max(seen.most_usd, seen.held_usd + seen.settled_usd)
        seen.quality += quality
        actual_usd = expected_usd * min(self._terms.bound, self._rng.expovariate(1.0) + 0.05)
        self._at(now_s + self._rng.expovariate(1 / self._terms.settle_s), lambda at_s: self._settle(at_s, held_usd, actual_usd))

    def _settle(self, now_s: float, held_usd: float, actual_usd: float) -> None:
        self.outcome.held_usd -= held_usd
        self.outcome.settled_usd += actual_usd
        self.outcome.spent_usd.append((now_s, self.outcome.settled_usd))

    def _report(self, now_s: float) -> None:
        books_usd = self.outcome.settled_usd + self.outcome.held_usd
        self.outcome.prices.append((now_s, [pacer.price(now_s) for pacer in self._pacers]))
        for router in range(len(self._pacers)):
            if self._rng.random() >= self._terms.lost:
                later_s = now_s + self._rng.random() * self._terms.late_s
                self._at(later_s, lambda _, router=router: self._pacers[router].spent(now_s, books_usd))

    def _restart(self, now_s: float) -> None:
        self._pacers[0] = self._make()
