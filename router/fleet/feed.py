"""Joins this router to the source of its topology: a file, or a control plane that is told of the load in return."""

import asyncio
import os
import socket
from time import monotonic

from router.config import TopologySource
from router.fleet.channels import Channels
from router.fleet.control_plane import ControlPlane
from router.fleet.loads import LoadCounts
from router.fleet.reporting import LoadReporter
from router.fleet.store import FleetStore
from router.fleet.topology import SourceHealth, follow_file
from router.fleet.topology_stream import TopologyStream
from router.metrics import Metrics, ReportState, TopologyState
from router.tls import CONTROL_PLANE, TlsFiles
from router.waiting import WaitingRoom


class Feed:
    """`run` until it is cancelled, then `close`."""

    def __init__(
        self, source: TopologySource, store: FleetStore, loads: LoadCounts, room: WaitingRoom, tls: TlsFiles | None
    ) -> None:
        self._source = source
        self._store = store
        self._health = SourceHealth()
        self._channels = Channels(tls=tls, server_name=CONTROL_PLANE)
        self._plane = ControlPlane(source.address or "", self._channels, identity())
        self._reporter = LoadReporter(self._plane, store, loads, room)
        room.on_entry(self._reporter.hurry)
        store.subscribe(lambda _: loads.follow(store.pools))

    def shown_by(self, metrics: Metrics) -> None:
        """From now on the metrics tell how the source is doing."""
        health, reports = self._health, self._reporter.health
        metrics.watch_topology(
            lambda: TopologyState(health.version, health.age_s(monotonic()), health.connected, health.refused)
        )
        if self._source.address is not None:
            metrics.watch_reports(lambda: ReportState(reports.sent, reports.failed))

    async def run(self) -> None:
        if self._source.file is not None:
            return await follow_file(self._source.file, self._store, self._health)
        stream = TopologyStream(self._plane, self._store, self._health)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stream.run())
            tasks.create_task(self._reporter.run())
        return None

    async def close(self) -> None:
        await self._channels.close()


def identity() -> str:
    """What this router calls itself to the control plane: its pod, or this very process."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}"
