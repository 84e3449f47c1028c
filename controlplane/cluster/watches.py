"""Watches every kind with kopf, in a thread with a loop of its own, and hands what it sees to the cache.

kopf brings discovery, credentials that expire, reconnecting and bookmarks. Three things it does not, so they are done here:
it ends on an answer that it can't place (it is started again, with a growing wait); when it ends it cancels every task of its
loop (hence a loop of its own); and after a gap in a watch it lists again without saying what has vanished meanwhile. So when
objects come by as listed that were known before, and now and then besides, `sync.py` lists their kind exactly.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import kopf

from controlplane.cluster.kinds import Kind

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0  # a run this long makes the next pause short again

# kind, how ("ADDED", "MODIFIED", "DELETED", None for listed) and the object; called on kopf's thread
Sight = Callable[[str | None, Mapping[str, Any]], None]


class Watches:
    """`start` begins, `stop` ends the thread. `restarts` counts how often kopf had to be started again."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        namespaces: Sequence[str],
        sight: Sight,
        login: Callable[[], Awaitable[kopf.ConnectionInfo]],
    ) -> None:
        self._kinds = tuple(kinds)
        self._namespaces = tuple(namespaces)
        self._sight = sight
        self._login = login
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name="watches", daemon=True)
        self.restarts = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Asks it to end; it has no state that could be lost."""
        self._stop.set()

    def _live(self) -> None:
        pause_s = 0.5
        while not self._stop.is_set():
            loop = asyncio.new_event_loop()
            began_s = loop.time()
            try:
                loop.run_until_complete(self._watch())
            except Exception as fault:  # noqa: BLE001 - whatever it is, the world must go on being watched
                log.warning("watching ended: %s: %s", type(fault).__name__, fault)
            finally:
                pause_s = 0.5 if loop.time() - began_s > STEADY_S else min(LONGEST_PAUSE_S, 2 * pause_s)
                loop.close()
            if not self._stop.wait(pause_s):
                self.restarts += 1

    async def _watch(self) -> None:
        everywhere = "*" in self._namespaces
        await kopf.operator(
            registry=self._registry(),
            settings=_settings(self._kinds),
            standalone=True,
            clusterwide=everywhere,
            namespaces=() if everywhere else self._namespaces,
            stop_flag=self._stop,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._logged_in)
        for kind in self._kinds:
            kopf.on.event(*_selector(kind), registry=registry, id=kind.plural)(self._seen)
        return registry

    async def _logged_in(self, **_: object) -> kopf.ConnectionInfo:
        return await self._login()

    async def _seen(self, event: kopf.RawEvent, **_: object) -> None:
        self._sight(event["type"], event["object"])


def _selector(kind: Kind) -> tuple[str, str]:
    """The kind as kopf wants it named: group/version and plural, or version and plural for the core group."""
    return kind.api, kind.plural


def _settings(kinds: Sequence[Kind]) -> kopf.OperatorSettings:
    """kopf without whatever would write to the cluster, or need rights beyond watching."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # no rights on CRDs and namespaces; new kinds are found by our own discovery
    settings.networking.request_timeout = 30.0
    settings.networking.connect_timeout = 5.0
    settings.networking.error_backoffs = (1, 2, 3)
    settings.queueing.idle_timeout = 0.5
    settings.queueing.error_delays = (1, 2, 5, 10)
    settings.watching.chunk_size = 500
    settings.watching.reconnect_backoff = 0.2
    settings.process.ultimate_exiting_timeout = None  # else kopf kills the whole process when its loop ends slowly
    for kind in kinds:
        if kind.selector:
            settings.watching.label_selectors[_selector(kind)] = kind.selector
    return settings
