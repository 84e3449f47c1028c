"""What this router counts of its pools for the control plane, beyond what the store knows. A few additions per request."""

from collections.abc import Iterable
from dataclasses import dataclass

from router.fleet.specs import PoolSpec


@dataclass(slots=True)
class PoolCount:
    """Since this router began; nothing here ever falls. Seconds; 0.0: no such objective, so that every answer meets it."""

    ttft_s: float = 0.0
    tpot_s: float = 0.0
    arrivals: int = 0
    answers: int = 0
    ttft_met: int = 0
    tpot_met: int = 0


class LoadCounts:
    """By pool. A pool that leaves the topology and returns begins anew."""

    def __init__(self) -> None:
        self._pools: dict[str, PoolCount] = {}

    def follow(self, pools: Iterable[PoolSpec]) -> None:
        """Counts these pools from now on, against these objectives."""
        counts: dict[str, PoolCount] = {}
        for pool in pools:
            count = counts[pool.name] = self._pools.get(pool.name) or PoolCount()
            count.ttft_s, count.tpot_s = pool.ttft_ms / 1e3, pool.tpot_ms / 1e3
        self._pools = counts

    def of(self, pool: str) -> PoolCount:
        """A pool that is not there has counted nothing."""
        return self._pools.get(pool) or PoolCount()

    def arrived(self, pool: str) -> None:
        """A request whose first choice is this pool."""
        if (count := self._pools.get(pool)) is not None:
            count.arrivals += 1

    def answered(self, pool: str, ttft_s: float, tpot_s: float) -> None:
        """An answer is whole. `tpot_s` is 0.0 where it has one token only."""
        if (count := self._pools.get(pool)) is not None:
            count.answers += 1
            count.ttft_met += not count.ttft_s or ttft_s <= count.ttft_s
            count.tpot_met += not count.tpot_s or tpot_s <= count.tpot_s
