"""A control plane that says what a test tells it to, on a real gRPC server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from headgate.v1 import topology_pb2 as wire
from headgate.v1.topology_pb2_grpc import TopologyServicer, add_TopologyServicer_to_server
from router.fleet.channels import Channels
from router.fleet.control_plane import ControlPlane
from router.tls import CONTROL_PLANE, TlsFiles


class FakeControlPlane(TopologyServicer):
    """Sends the snapshots of a queue; an exception in it breaks the stream, None ends it. `reply` answers reports."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[wire.TopologySnapshot | Exception | None] = asyncio.Queue()
        self.requests: list[wire.TopologyWatchRequest] = []
        self.watchers = 0
        self.reports: list[wire.RouterReport] = []
        self.reply = wire.RouterReportReply()
        self.deaf = asyncio.Event()
        self.deaf.set()

    async def Watch(self, request: wire.TopologyWatchRequest, context: Any) -> AsyncIterator[wire.TopologySnapshot]:
        self.requests.append(request)
        self.watchers += 1
        try:
            while (said := await self.queue.get()) is not None:
                if isinstance(said, Exception):
                    await context.abort(grpc.StatusCode.INTERNAL, str(said))
                yield said
        finally:
            self.watchers -= 1

    async def Report(self, request: wire.RouterReport, context: Any) -> wire.RouterReportReply:
        self.reports.append(request)
        await self.deaf.wait()
        return self.reply

    @asynccontextmanager
    async def on(self, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[int]:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_TopologyServicer_to_server(self, server)
        address = f"127.0.0.1:{port}"
        bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        await server.start()
        try:
            yield bound
        finally:
            await server.stop(None)


class Directory:
    """Where a name leads: ports of this machine, or nowhere."""

    def __init__(self, *ports: int) -> None:
        self.ports: Sequence[int] = ports

    async def __call__(self, address: str) -> tuple[str, ...]:
        if not self.ports:
            raise OSError(f"{address}: name not known")
        return tuple(f"127.0.0.1:{port}" for port in self.ports)


@asynccontextmanager
async def reached(directory: Directory, tls: TlsFiles | None = None) -> AsyncIterator[ControlPlane]:
    channels = Channels(tls=tls, server_name=CONTROL_PLANE)
    try:
        yield ControlPlane("plane:1", channels, "r", directory)
    finally:
        await channels.close()


def snapshot(version: int, *replicas: str, **more: Any) -> wire.TopologySnapshot:
    """One pool, `small`, with these replicas; any other field of it may be given."""
    prices = {"input_usd_per_mtok": 1.0, "cached_input_usd_per_mtok": 0.5, "output_usd_per_mtok": 2.0}
    entries = [wire.Replica(id=replica, address="127.0.0.1:1") for replica in replicas]
    pool = wire.Pool(**{"name": "small", "tier": "small", "models": ["m"], "prices": prices, "replicas": entries, **more})
    tenant = wire.Tenant(name="acme", key_sha256=[bytes(32)], pools=["small"])
    return wire.TopologySnapshot(version=version, pools=[pool], tenants=[tenant])
