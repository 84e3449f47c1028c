"""Tells every replica of the control plane what this router sees of its pools' load: every few seconds, and at once when a
request begins to wait for a pool without a replica. A report that does not arrive is counted and forgotten; the next says all
of it again.
"""

import asyncio
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import grpc

from headgate.v1 import topology_pb2 as wire
from headgate.v1.topology_pb2_grpc import TopologyStub
from router.fleet.control_plane import ControlPlane
from router.fleet.loads import LoadCounts, PoolCount
from router.fleet.revisions import RevisionCount
from router.fleet.store import FleetStore
from router.snapshot import Fleet, Pool
from router.waiting import WaitingRoom

EVERY_S = 2.0
SOONEST_S, LATEST_S = 0.2, 30.0  # whatever the control plane asks for
TIMEOUT_S = 2.0
_UINT32, _UINT64 = 2**32 - 1, 2**64 - 1  # workers say what they like, and a field takes no more

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ReportHealth:
    """Reports that a replica of the control plane took, and those that one did not."""

    sent: int = 0
    failed: int = 0


class LoadReporter:
    """`run` reports until it is cancelled. Replicas of the control plane don't wait for each other."""

    def __init__(self, plane: ControlPlane, store: FleetStore, loads: LoadCounts, room: WaitingRoom) -> None:
        self._plane = plane
        self._store = store
        self._loads = loads
        self._room = room
        self._incarnation = uuid.uuid4().hex
        self._soon = asyncio.Event()
        self._every_s = EVERY_S
        self._sending: dict[str, asyncio.Task[None]] = {}
        self.health = ReportHealth()

    def hurry(self) -> None:
        """Reports at once, but not more often than SOONEST_S."""
        self._soon.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._send(tasks)
                await asyncio.sleep(SOONEST_S)
                try:
                    async with asyncio.timeout(self._every_s - SOONEST_S):
                        await self._soon.wait()
                except TimeoutError:
                    pass
                self._soon.clear()

    async def _send(self, tasks: asyncio.TaskGroup) -> None:
        try:
            addresses = await self._plane.addresses()
        except OSError:
            self.health.failed += 1
            return
        now_s = asyncio.get_running_loop().time()
        message = describe(self._store, self._loads, self._room, now_s)
        message.router_id, message.incarnation = self._plane.router_id, self._incarnation
        for address in addresses:
            if address not in self._sending:  # one that is slow gets the next report, not a queue of them
                task = self._sending[address] = tasks.create_task(self._tell(address, message))
                task.add_done_callback(partial(self._told, address))

    def _told(self, address: str, _: asyncio.Task[None]) -> None:
        del self._sending[address]

    async def _tell(self, address: str, message: wire.RouterReport) -> None:
        try:
            reply = await TopologyStub(self._plane.channels.get(address)).Report(message, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as fault:
            self.health.failed += 1
            log.debug("report to %s: %s", address, fault.code().name)
            return
        if reply is None:  # what grpc.aio makes of bytes that are no message
            self.health.failed += 1
            return
        self.health.sent += 1
        wanted_s = reply.next_after_ms / 1e3 or EVERY_S
        self._every_s = min(max(wanted_s, SOONEST_S), LATEST_S)


def describe(store: FleetStore, loads: LoadCounts, room: WaitingRoom, now_s: float) -> wire.RouterReport:
    """Everything but who says it. `now_s` is on the room's clock."""
    fleet = store.view()
    pools = [
        _pool(fleet, pool, loads.of(pool.name), room.waiting(pool.name, now_s), store.revisions(spec))
        for spec, pool in zip(store.pools, fleet.pools, strict=True)
    ]
    return wire.RouterReport(topology_version=store.source_version, pools=pools)


def _pool(
    fleet: Fleet, pool: Pool, count: PoolCount, waiting: tuple[int, float], revisions: Mapping[str, RevisionCount]
) -> wire.ReportedPool:
    rows, up = pool.rows, fleet.ready[pool.rows]
    ready = int(up.sum())
    return wire.ReportedPool(
        pool=pool.name,
        arrivals_total=count.arrivals,
        waiting_here=waiting[0],
        oldest_wait_s=waiting[1],
        ready=ready,
        waiting_there=min(int(fleet.waiting[rows][up].sum()), _UINT32),
        running=min(int(fleet.running[rows][up].sum()), _UINT32),
        slots=min(int(fleet.max_running[rows][up].sum()), _UINT32),
        kv_used=float(fleet.kv_used[rows][up].sum()) / max(ready, 1),
        answers_total=count.answers,
        ttft_met_total=count.ttft_met,
        tpot_met_total=count.tpot_met,
        revisions=[
            wire.ReportedRevision(
                revision=revision,
                requests_total=each.requests,
                errors_total=each.errors,
                prefix_query_tokens_total=min(each.prefix_query_tokens, _UINT64),
                prefix_hit_tokens_total=min(each.prefix_hit_tokens, _UINT64),
            )
            for revision, each in revisions.items()
        ],
    )
