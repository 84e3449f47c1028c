"""Feeds the store from a topology source: a file that is read again when it changes, or a control plane's stream.

Whatever happens to the source, the router keeps the last topology that made sense. Owns the reading, and says how it goes.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import grpc

from headgate.v1 import topology_pb2 as wire
from headgate.v1.topology_pb2_grpc import TopologyStub
from router.fleet.backoff import Backoff
from router.fleet.channels import OPTIONS
from router.fleet.specs import PoolSpec, ReplicaSpec, TenantSpec, Topology, TopologyRefused
from router.fleet.store import FleetStore
from router.fleet.topology_file import parse
from router.snapshot import Prices, Tier

log = logging.getLogger(__name__)

POLL_S = 0.2
ROUTER_ID = "router"
_TIERS: dict[str, Tier] = {"small": "small", "large": "large", "moe": "moe"}


@dataclass(slots=True)
class SourceHealth:
    """How the source is doing. `refused` counts topologies that made no sense; `last_error` is "" while all is well."""

    connected: bool = False
    taken: int = 0
    refused: int = 0
    version: int = 0
    heard_s: float | None = None
    last_error: str = ""

    def age_s(self, now_s: float) -> float:
        """Seconds since the source last said something that made sense, on time.monotonic; inf if it never did."""
        return float("inf") if self.heard_s is None else now_s - self.heard_s

    def failed(self, text: str) -> None:
        """Notes why there is nothing new, and logs it once."""
        self.connected = False
        if text != self.last_error:
            log.warning("topology: %s", text)
        self.last_error = text


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
            elif health.connected:
                health.heard_s = time.monotonic()
        await asyncio.sleep(poll_s)


def _take_file(path: Path, content: bytes, store: FleetStore, health: SourceHealth) -> None:
    try:
        _take(parse(content), store, health)
    except TopologyRefused as fault:
        health.refused += 1
        health.failed("\n".join(f"{path}: {line}" for line in str(fault).splitlines()))


def _take(topology: Topology, store: FleetStore, health: SourceHealth) -> None:
    store.apply_topology(topology.pools, topology.tenants, topology.version)
    health.connected, health.last_error = True, ""
    health.taken += 1
    health.version = topology.version
    health.heard_s = time.monotonic()


async def follow_stream(
    address: str, store: FleetStore, health: SourceHealth | None = None, rng: Random | None = None, router_id: str = ROUTER_ID
) -> None:
    """Keeps a Topology.Watch stream to the control plane, opened again whenever it breaks. Runs until cancelled."""
    health = health or SourceHealth()
    backoff = Backoff(rng or Random())
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        while True:
            try:
                async with _watch(channel, wire.TopologyWatchRequest(router_id=router_id, have_version=health.version)) as call:
                    async for snapshot in call:
                        backoff.reset()
                        _take_snapshot(snapshot, store, health)
                health.failed(f"{address}: the control plane ended the stream; the last topology stays")
            except grpc.aio.AioRpcError as fault:
                health.failed(f"{address}: {fault.code().name}: {fault.details()}; the last topology stays")
            await asyncio.sleep(backoff.next_s())


@asynccontextmanager
async def _watch(
    channel: grpc.aio.Channel, request: wire.TopologyWatchRequest
) -> AsyncIterator[AsyncIterator[wire.TopologySnapshot]]:
    call = TopologyStub(channel).Watch(request)
    try:
        yield call
    finally:
        call.cancel()


def _take_snapshot(snapshot: wire.TopologySnapshot, store: FleetStore, health: SourceHealth) -> None:
    try:
        _take(decode(snapshot), store, health)
    except TopologyRefused as fault:
        health.refused += 1
        health.failed("\n".join(f"topology {snapshot.version}: {line}" for line in str(fault).splitlines()))


def decode(snapshot: wire.TopologySnapshot) -> Topology:
    """Raises TopologyRefused for a tier that we do not know; the rest is checked by the store."""
    pools = []
    for p, pool in enumerate(snapshot.pools):
        if pool.tier not in _TIERS:
            raise TopologyRefused(f"pools[{p}].tier: {pool.tier!r} is none of {', '.join(_TIERS)}")
        price = pool.prices
        prices = Prices(price.input_usd_per_mtok, price.cached_input_usd_per_mtok, price.output_usd_per_mtok)
        replicas = tuple(ReplicaSpec(replica.id, replica.address, replica.draining) for replica in pool.replicas)
        pools.append(PoolSpec(pool.name, _TIERS[pool.tier], tuple(pool.models), prices, replicas))
    tenants = (TenantSpec(tenant.name, tuple(tenant.key_sha256), tuple(tenant.pools)) for tenant in snapshot.tenants)
    return Topology(tuple(pools), tuple(tenants), snapshot.version)
