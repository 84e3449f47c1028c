"""Feeds the store from the control plane: one Topology.Watch stream to one of its replicas, to the next when that fails.

What the router holds stays, whatever happens to the stream. What a replica sends is taken, also when it is older: a replica
that lags behind holds back by itself, and one that says it all the same has nothing newer.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import grpc

from headgate.v1 import topology_pb2 as wire
from headgate.v1.topology_pb2_grpc import TopologyStub
from router.fleet.backoff import Backoff
from router.fleet.control_plane import ControlPlane
from router.fleet.specs import TopologyRefused
from router.fleet.store import FleetStore
from router.fleet.topology import SourceHealth, take
from router.fleet.topology_wire import decode

ANSWER_S = 15.0  # a replica that takes the stream and says nothing for this long is left for the next


class TopologyStream:
    """`run` keeps the stream until it is cancelled."""

    def __init__(
        self,
        plane: ControlPlane,
        store: FleetStore,
        health: SourceHealth,
        rng: Random | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._plane = plane
        self._store = store
        self._health = health
        self._rng = rng or Random()
        self._answer_s = answer_s

    async def run(self) -> None:
        backoff = Backoff(self._rng)
        turn = self._rng.randrange(2**16)  # routers spread over the replicas
        while True:
            try:
                addresses = await self._plane.addresses()
                why = await self._follow(addresses[turn % len(addresses)], backoff)
            except OSError as fault:
                why = str(fault)
            self._health.failed(f"{self._plane.name}: {why}; the last topology stays")
            turn += 1
            await asyncio.sleep(backoff.next_s())

    async def _follow(self, address: str, backoff: Backoff) -> str:
        """Takes what one replica sends, for as long as it does; returns why it ended."""
        request = wire.TopologyWatchRequest(router_id=self._plane.router_id, have_version=self._health.version)
        try:
            async with self._watch(address, request) as call:
                async with asyncio.timeout(self._answer_s) as patience:
                    async for snapshot in call:
                        patience.reschedule(None)
                        if self._take(snapshot):
                            backoff.reset()
        except TimeoutError:
            return f"the control plane said nothing for {self._answer_s:g} s"
        except grpc.aio.AioRpcError as fault:
            return f"{fault.code().name}: {fault.details()}"
        return "the control plane ended the stream"

    @asynccontextmanager
    async def _watch(
        self, address: str, request: wire.TopologyWatchRequest
    ) -> AsyncIterator[AsyncIterator[wire.TopologySnapshot | None]]:
        call = TopologyStub(self._plane.channels.get(address)).Watch(request)
        try:
            yield call
        finally:
            call.cancel()

    def _take(self, snapshot: wire.TopologySnapshot | None) -> bool:
        """Whether it made sense. None is what grpc.aio makes of bytes that are no message."""
        version = 0 if snapshot is None else snapshot.version
        try:
            if snapshot is None:
                raise TopologyRefused("its bytes are no TopologySnapshot")
            topology = decode(snapshot)
            if not (topology.version or topology.pools or topology.tenants):
                raise TopologyRefused("it is empty: the control plane has not seen the cluster yet")
            take(topology, self._store, self._health)
            return True
        except TopologyRefused as fault:
            self._health.refuse(f"topology {version}", fault)
            return False
