"""The newest snapshot, as bytes that all watchers share. Changes that come close together share one; equal content isn't told.

There are no queues: a watcher that is slow finds the newest snapshot when it is ready for it, and never sees those in between.
"""

import asyncio
import logging
import time
from dataclasses import dataclass

from controlplane.feed.model import FleetSeen
from controlplane.feed.snapshot import build
from controlplane.feed.wire import encode, stamp

GATHER_S = 0.05  # after the first change, for those that come with it
APART_S = 0.2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """A snapshot. `number` counts contents, from 1; `version` is what of the cluster it is known to hold."""

    number: int
    version: int
    data: bytes


class Publisher:
    """`offer` what was seen; `run` turns it into snapshots until cancelled; watchers await `newest`. One event loop."""

    def __init__(self) -> None:
        self._offered: tuple[FleetSeen, int] | None = None
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._body = b""
        self._published = Published(0, 0, b"")
        self.version = 0
        self.closed = False
        self.unchanged = 0
        self.failures = 0
        self.build_s = 0.0

    @property
    def number(self) -> int:
        """How many contents there were."""
        return self._published.number

    @property
    def size_bytes(self) -> int:
        return len(self._published.data)

    def offer(self, seen: FleetSeen, version: int) -> None:
        """The world as it is now; takes the place of what was offered before."""
        self._offered = seen, version
        self._wanted.set()

    async def run(self) -> None:
        """Runs until cancelled. What can't be made into a snapshot leaves the last one, and is logged and counted."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(GATHER_S)
            self._wanted.clear()
            if self._offered is not None:
                await self._publish(*self._offered)
            await asyncio.sleep(APART_S - GATHER_S)

    async def reached(self, version: int) -> None:
        """Returns when there is a snapshot that holds at least this version, or nothing more will come."""
        while not self.closed and (self.version < version or not self.number):
            await self._changed.wait()

    async def newest(self, after: int) -> Published | None:
        """The newest snapshot, as soon as its number is above `after`; None when nothing more will come."""
        while not self.closed and self.number <= after:
            await self._changed.wait()
        return None if self.closed else self._stamped()

    def close(self) -> None:
        """Every watcher gets None."""
        self.closed = True
        self._wake()

    async def _publish(self, seen: FleetSeen, version: int) -> None:
        try:
            # In a thread, for the sake of watchers and reports: a large fleet takes a tenth of a second.
            body, self.build_s = await asyncio.to_thread(_made, seen)
        except Exception:  # noqa: BLE001 - whatever it is, routers must hear of what comes after
            self.failures += 1
            _log.exception("the topology of version %d can't be made; routers keep the one before", version)
            return
        self.version = max(self.version, version)
        if body == self._body and self.number:
            self.unchanged += 1
        else:
            self._body = body
            self._published = Published(self.number + 1, self.version, stamp(body, self.version))
        self._wake()

    def _stamped(self) -> Published:
        """The content may be older than what is known by now, and holds for that too."""
        if self._published.version != self.version:
            self._published = Published(self.number, self.version, stamp(self._body, self.version))
        return self._published

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


def _made(seen: FleetSeen) -> tuple[bytes, float]:
    began_s = time.perf_counter()
    return encode(build(seen)), time.perf_counter() - began_s
