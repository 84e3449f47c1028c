"""The load book with a clock, and a voice: who waits for a pool without a replica is heard at once."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from controlplane.feed.load_book import LoadBook
from controlplane.feed.wire import report as decoded
from controlplane.world import PoolLoad
from headgate.v1 import topology_pb2 as wire

WAKE_AGAIN_S = 1.0
_log = logging.getLogger(__name__)


class Loads:
    """Used on one event loop. `clock` gives seconds that never step back.

    `on_wake` is called with a pool's name when requests wait for it in a router and it has no ready replica, at most once a
    second for each pool.
    """

    def __init__(self, clock: Callable[[], float], on_wake: Callable[[str], None]) -> None:
        self._clock = clock
        self._book = LoadBook()
        self._woken: dict[str, float] = {}
        self.on_wake = on_wake

    @property
    def routers(self) -> int:
        """How many reported lately."""
        return self._book.routers(self._clock())

    def of(self, pool: str, now_s: float) -> PoolLoad:
        """The pool's load, with `seen_s` in the caller's time: `now_s` is Unix time now, whose steps change nothing else."""
        steady_s = self._clock()
        load = self._book.of(pool, steady_s)
        return replace(load, seen_s=now_s - (steady_s - load.seen_s)) if load.routers else load

    def serve(self, pools: Iterable[str]) -> None:
        """Reports count for these pools only."""
        self._book.serve(pools)
        self._woken = {name: at_s for name, at_s in self._woken.items() if name in self._book.served}

    def take(self, report: wire.RouterReport) -> None:
        """Raises TooManyRouters."""
        now_s = self._clock()
        for pool in self._book.take(decoded(report, self._book.served), now_s):
            if now_s - self._woken.get(pool, float("-inf")) >= WAKE_AGAIN_S:
                self._woken[pool] = now_s
                _log.info("requests wait for pool %s, which has no ready replica", pool)
                self.on_wake(pool)
