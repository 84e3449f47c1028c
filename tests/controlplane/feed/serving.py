"""A feed that really listens, and clients for it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from controlplane.feed.model import FleetSeen
from controlplane.feed.service import Feed
from headgate.v1 import topology_pb2 as wire
from headgate.v1.topology_pb2_grpc import TopologyStub
from tests.controlplane.feed.seen import pool

CLIENT = (("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


@asynccontextmanager
async def feed(tls: Path | None = None, on_wake: Callable[[str], None] = lambda pool: None) -> AsyncIterator[Feed]:
    made = Feed("127.0.0.1:0", tls, asyncio.get_running_loop().time, on_wake)
    await made.start()
    try:
        yield made
    finally:
        await made.stop(0)


@asynccontextmanager
async def client(feed: Feed) -> AsyncIterator[TopologyStub]:
    async with grpc.aio.insecure_channel(feed.address, options=CLIENT) as channel:
        yield TopologyStub(channel)


def fleet(*pools: str) -> FleetSeen:
    return FleetSeen(pools=tuple(pool(name) for name in pools))


async def next_of(call: grpc.aio.UnaryStreamCall[Any, wire.TopologySnapshot]) -> tuple[int, list[str]]:
    """Version and pools of what comes next; the limit only ends a test that would hang."""
    async with asyncio.timeout(20):
        snapshot = await call.read()
        assert isinstance(snapshot, wire.TopologySnapshot), "the stream has ended"
        return snapshot.version, [pool.name for pool in snapshot.pools]


async def until(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    """Waits for a condition; the limit only ends a test that would hang."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.002)
