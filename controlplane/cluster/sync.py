"""Keeps the cache as the cluster is: lists everything once, watches from then on, and lists again where a watch may have missed
something. Also finds out which other projects' kinds the cluster serves, since those come and go with their installation.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from controlplane.cluster.api import Api
from controlplane.cluster.cache import Cache
from controlplane.cluster.kinds import KINDS, WATCHED, Kind
from controlplane.cluster.watches import Watches
from controlplane.errors import ApiError

log = logging.getLogger(__name__)

DISCOVER_S = 60.0
RELIST_S = 2.0  # objects that come by as listed come in numbers; one list of ours answers for all
LONGEST_PAUSE_S = 10.0


class Sync:
    """`begin`, then `run`. `served` are the optional kinds that the cluster has. `on_relisted`: everything was listed anew."""

    def __init__(
        self, api: Api, cache: Cache, namespaces: Sequence[str], resync_s: float, on_relisted: Callable[[], None]
    ) -> None:
        self._api = api
        self._cache = cache
        self._namespaces: tuple[str | None, ...] = (None,) if "*" in namespaces else tuple(namespaces)
        self._watched_namespaces = tuple(namespaces)
        self._resync_s = resync_s
        self._on_relisted = on_relisted
        self._loop = asyncio.get_running_loop()
        self._sights: deque[tuple[str | None, Mapping[str, Any]]] = deque()
        self._due: dict[str, asyncio.TimerHandle] = {}
        self._lists: set[asyncio.Task[None]] = set()
        self._watches: Watches | None = None
        self.served: frozenset[str] = frozenset()
        self.minor = 0

    @property
    def restarts(self) -> int:
        return self._watches.restarts if self._watches is not None else 0

    async def begin(self) -> None:
        """Returns once everything was listed. An API that is not there yet, or refuses yet, is waited for."""
        pause_s = 0.5
        while True:
            try:
                self.minor = await self._api.minor_version()
                self.served = await self._discovered()
                await self._list_all()
                break
            except ApiError as fault:
                log.warning("the cluster can't be listed: %s", fault)
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
        self._watch()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._now_and_then())
                tasks.create_task(self._discover())
        finally:
            if self._watches is not None:
                self._watches.stop()

    def _kinds(self) -> list[Kind]:
        return [kind for kind in WATCHED if not kind.optional or kind.kind in self.served]

    # Lists

    async def _list_all(self) -> None:
        for kind in self._kinds():
            await self._list(kind)

    async def _list(self, kind: Kind) -> None:
        for namespace in self._namespaces if kind.namespaced else (None,):
            self._cache.replace(kind, namespace, *await self._api.list(kind, namespace))

    async def _now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._resync_s)
            began_s = time.monotonic()
            try:
                await self._list_all()
            except ApiError as fault:
                log.warning("the cluster can't be listed: %s", fault)
                continue
            log.info("everything listed anew in %.2f s", time.monotonic() - began_s)
            self._on_relisted()

    async def _discover(self) -> None:
        while True:
            await asyncio.sleep(DISCOVER_S)
            try:
                served = await self._discovered()
                if served != self.served:
                    log.info("of the optional kinds the cluster now serves: %s", ", ".join(sorted(served)) or "none")
                    self.served = served
                    await self._list_all()
                    self._watch()
                    self._on_relisted()
            except ApiError as fault:
                log.warning("discovery: %s", fault)

    async def _discovered(self) -> frozenset[str]:
        return frozenset([kind.kind for kind in WATCHED if kind.optional and await self._api.serves(kind)])

    # Watches

    def _watch(self) -> None:
        if self._watches is not None:
            self._watches.stop()
        self._watches = Watches(self._kinds(), self._watched_namespaces, self._sighted, self._api.login)
        self._watches.start()

    def _sighted(self, how: str | None, seen: Mapping[str, Any]) -> None:
        """On the watching thread."""
        self._sights.append((how, seen))
        if len(self._sights) == 1:
            self._loop.call_soon_threadsafe(self._take_sights)

    def _take_sights(self) -> None:
        while self._sights:
            how, seen = self._sights.popleft()
            try:
                self._take(how, seen)
            except (KeyError, TypeError, ValueError) as fault:  # one odd object must not hold up the others
                log.warning("an object that can't be understood was left out: %s: %s", type(fault).__name__, fault)

    def _take(self, how: str | None, seen: Mapping[str, Any]) -> None:
        if how == "DELETED":
            self._cache.gone(seen)
            return
        if how is None and self._is_known(seen):
            # Listed again, so there was a gap in the watch, in which things may have vanished.
            self._list_soon(seen["kind"], RELIST_S)
        self._cache.offer(seen)

    def _is_known(self, seen: Mapping[str, Any]) -> bool:
        meta = seen["metadata"]
        return self._cache.get(KINDS[seen["kind"]], meta.get("namespace", ""), meta["name"]) is not None

    def _list_soon(self, kind: str, after_s: float) -> None:
        if kind not in self._due:
            self._due[kind] = self._loop.call_later(after_s, self._list_now, kind)

    def _list_now(self, kind: str) -> None:
        del self._due[kind]
        task = asyncio.create_task(self._list_or_later(KINDS[kind]))
        self._lists.add(task)
        task.add_done_callback(self._lists.discard)

    async def _list_or_later(self, kind: Kind) -> None:
        try:
            await self._list(kind)
        except ApiError as fault:
            log.warning("%s can't be listed: %s", kind.plural, fault)
            self._list_soon(kind.kind, 5 * RELIST_S)
