"""Feeds the store from a topology source, and says how the source is doing. Here: a file that is read again when it changes;
`topology_stream.py` has the control plane's stream.

Whatever happens to the source, the router keeps the last topology that made sense.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from router.fleet.specs import Topology, TopologyRefused
from router.fleet.store import FleetStore
from router.fleet.topology_file import parse

log = logging.getLogger(__name__)

POLL_S = 0.2


@dataclass(slots=True)
class SourceHealth:
    """How the source is doing. `refused` counts topologies that made no sense; `last_error` is "" while all is well.

    connected   the newest thing the source said made sense, and the source is still there
    heard_s     when that was last known, on time.monotonic; None if it never was
    """

    connected: bool = False
    taken: int = 0
    refused: int = 0
    version: int = 0
    heard_s: float | None = None
    last_error: str = ""

    def age_s(self, now_s: float) -> float:
        """For how long the topology may have been out of date: 0 while connected, inf if there never was one.

        A stream that is silent is fresh: it would say what changes, and gRPC's keepalive notices when its other end is gone.
        """
        if self.connected:
            return 0.0
        return float("inf") if self.heard_s is None else now_s - self.heard_s

    def took(self, version: int) -> None:
        """A topology was taken."""
        self.connected, self.last_error = True, ""
        self.taken += 1
        self.version = version
        self.heard_s = time.monotonic()

    def failed(self, text: str) -> None:
        """Notes why there is nothing new, and logs it once."""
        if self.connected:
            self.connected, self.heard_s = False, time.monotonic()
        if text != self.last_error:
            log.warning("topology: %s", text)
        self.last_error = text

    def refuse(self, source: str, fault: TopologyRefused) -> None:
        """Notes a topology that made no sense."""
        self.refused += 1
        self.failed("\n".join(f"{source}: {line}" for line in str(fault).splitlines()))


async def follow_file(path: Path, store: FleetStore, health: SourceHealth | None = None, poll_s: float = POLL_S) -> None:
    """Runs until cancelled. The content is compared, not its date: dates are too coarse for two writes in a row."""
    health = health or SourceHealth()
    seen: bytes | None = None
    while True:
        try:
            content = await asyncio.to_thread(path.read_bytes)
        except OSError as fault:
            health.failed(f"{path}: {fault.strerror}; the last topology stays")
            seen = None
        else:
            if content != seen:
                seen = content
                _take_file(path, content, store, health)
        await asyncio.sleep(poll_s)


def _take_file(path: Path, content: bytes, store: FleetStore, health: SourceHealth) -> None:
    try:
        take(parse(content), store, health)
    except TopologyRefused as fault:
        health.refuse(str(path), fault)


def take(topology: Topology, store: FleetStore, health: SourceHealth) -> None:
    """Raises TopologyRefused."""
    store.apply_topology(topology.pools, topology.tenants, topology.version, topology.policies)
    health.took(topology.version)
