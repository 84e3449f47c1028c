"""Keys that need work: each is worked on by one worker at a time, however often it was added meanwhile (level-triggered).

Failed keys come back after a growing wait, so that one bad object never holds up the others. Knows nothing of what the work is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 60.0


class WorkQueue(Generic[K]):
    """Used on one event loop. `depth` keys wait, `busy` are worked on now."""

    def __init__(self) -> None:
        self._waiting: dict[K, None] = {}  # in order of arrival, each once
        self._busy: set[K] = set()
        self._again: set[K] = set()  # added while busy
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._news = asyncio.Event()

    @property
    def depth(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> int:
        return len(self._busy)

    def add(self, key: K) -> None:
        """Now, or as soon as the work under way on it is done."""
        if key in self._busy:
            self._again.add(key)
            return
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        self._waiting[key] = None
        self._news.set()

    def add_after(self, key: K, seconds: float) -> None:
        """At that time, unless it comes sooner; of two times the earlier holds."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + max(0.0, seconds)
        old = self._timers.get(key)
        if key in self._waiting or (old is not None and old.when() <= due_s):
            return
        if old is not None:
            old.cancel()
        self._timers[key] = loop.call_at(due_s, self._due, key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def clear(self) -> None:
        """Forgets everything that waits."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        self._again.clear()
        self._failures.clear()

    async def run(self, workers: int, work: Callable[[K], Awaitable[bool]]) -> None:
        """Works until cancelled. `work` answers whether it went well; it raises only what should end everything."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(workers):
                tasks.create_task(self._worker(work))

    async def _worker(self, work: Callable[[K], Awaitable[bool]]) -> None:
        while True:
            key = await self._next()
            went_well = False
            try:
                went_well = await work(key)
            finally:
                self._busy.discard(key)
            if went_well:
                self._failures.pop(key, None)
            else:
                failures = self._failures[key] = self._failures.get(key, 0) + 1
                self.add_after(key, min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** (failures - 1)))
            if key in self._again:
                self._again.discard(key)
                if went_well:  # else the retry will look at the newest state anyway
                    self.add(key)

    async def _next(self) -> K:
        while not self._waiting:
            self._news.clear()
            await self._news.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._busy.add(key)
        return key
