"""Topology.Watch and Topology.Report over gRPC, with health and reflection. Owns the server's life and the list of watchers."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.reflection import aio as reflection

from controlplane.feed.credentials import server_credentials
from controlplane.feed.load_book import TooManyRouters
from controlplane.feed.loads import Loads
from controlplane.feed.model import FleetSeen
from controlplane.feed.publisher import Publisher
from headgate.v1 import topology_pb2 as wire

TOPOLOGY = wire.DESCRIPTOR.services_by_name["Topology"].full_name
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
_REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name
PATIENCE_S = 5.0  # a router that knows more than we do, or that came before our first snapshot, waits so long
NEXT_REPORT_MS = 3000  # one may get lost before its router counts as silent
MOST_WATCHERS = 1000
_MOST_CALLS = MOST_WATCHERS + 500  # beside watchers: reports, health, and watchers to be refused
_LONGEST_ID = 253
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a coin toss
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),  # a report of ten thousand pools has a quarter of it
    ("grpc.max_send_message_length", -1),
    # A router whose machine vanished gives its place back; routers may ping as often as once in 5 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
]
Context = grpc.aio.ServicerContext[object, object]


@dataclass(frozen=True, slots=True)
class Watcher:
    """One router that watches. `version` is of the snapshot that it was sent last, or 0; `since_s` in the feed's clock."""

    router_id: str
    since_s: float
    version: int = 0


@dataclass(frozen=True, slots=True)
class FeedStats:
    """Figures for metrics. `_total` only grow; `version` and `snapshot_bytes` are of the snapshot that routers get now.

    version              what of the cluster the feed holds: the highest resource version that was published
    pushes_total         snapshots sent, to all routers together
    unchanged_total      publications that came to the same content
    build_failures_total publications that could not be made into a snapshot
    refused_total        watches and reports turned away, for any reason
    """

    watchers: int
    routers_reporting: int
    version: int
    snapshot_bytes: int
    last_build_s: float
    contents_total: int
    pushes_total: int
    unchanged_total: int
    build_failures_total: int
    reports_total: int
    refused_total: int


class Feed:
    """`start`, `publish` as often as the world changes, `stop`; all on one event loop.

    `listen` is host:port, port 0 for a free one; `tls` the folder of certificates, None for plain text; `clock` gives seconds
    that never step back. `on_wake` is called with the name of a pool that requests wait for and that has no ready replica.
    """

    def __init__(
        self, listen: str, tls: Path | None, clock: Callable[[], float], on_wake: Callable[[str], None] = lambda pool: None
    ) -> None:
        self._listen = listen
        self._tls = tls
        self._clock = clock
        self._publisher = Publisher()
        self._publishing: asyncio.Task[None] | None = None
        self._health = health.aio.HealthServicer()
        self._server: grpc.aio.Server | None = None
        self._watchers: dict[object, Watcher] = {}
        self._pushes = self._reports = self._refused = 0
        self.address = listen
        self.loads = Loads(clock, on_wake)

    @property
    def watchers(self) -> tuple[Watcher, ...]:
        return tuple(self._watchers.values())

    def stats(self) -> FeedStats:
        publisher = self._publisher
        return FeedStats(
            watchers=len(self._watchers),
            routers_reporting=self.loads.routers,
            version=publisher.version,
            snapshot_bytes=publisher.size_bytes,
            last_build_s=publisher.build_s,
            contents_total=publisher.number,
            pushes_total=self._pushes,
            unchanged_total=publisher.unchanged,
            build_failures_total=publisher.failures,
            reports_total=self._reports,
            refused_total=self._refused,
        )

    async def start(self) -> None:
        """Listens; healthy from the first snapshot on. Raises OSError where the address or the certificates can't be had."""
        self._server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=_MOST_CALLS)
        self._register(self._server)
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            if self._tls is None:
                port = self._server.add_insecure_port(self._listen)
            else:
                port = self._server.add_secure_port(self._listen, server_credentials(self._tls))
        except RuntimeError as fault:
            raise OSError(f"can't listen on {self._listen}: is the port taken?") from fault
        self.address = f"{self._listen.rpartition(':')[0]}:{port}"
        await self._server.start()
        self._publishing = asyncio.create_task(self._publish())

    def publish(self, seen: FleetSeen, version: int) -> None:
        """The world as it is now. `version` is the highest resource version it may hold; equal content is not sent again."""
        self.loads.serve(pool.name for pool in seen.pools)
        self._publisher.offer(seen, version)

    async def stop(self, grace_s: float) -> None:
        """Ends every watch, so that routers move on at once; reports that are under way have `grace_s`."""
        if self._server is None:
            return
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._publisher.close()
        if self._publishing is not None:
            self._publishing.cancel()
            await asyncio.wait([self._publishing])
        await self._server.stop(grace_s)

    async def _publish(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publisher.run())
            await self._publisher.reached(0)
            if not self._publisher.closed:
                await self._say(health_pb2.HealthCheckResponse.SERVING)

    async def _watch(self, request: wire.TopologyWatchRequest, context: Context) -> AsyncGenerator[bytes, None]:
        if len(self._watchers) >= MOST_WATCHERS:
            await self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MOST_WATCHERS} routers watch already")
        key = object()
        watcher = self._watchers[key] = Watcher(request.router_id[:_LONGEST_ID], self._clock())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await self._publisher.reached(request.have_version)
            if not self._publisher.number or self._publisher.closed:
                await self._refuse(context, grpc.StatusCode.UNAVAILABLE, "this control plane has no topology to give now")
            sent = 0
            while (newest := await self._publisher.newest(after=sent)) is not None:
                yield newest.data
                sent = newest.number
                self._pushes += 1
                self._watchers[key] = Watcher(watcher.router_id, watcher.since_s, newest.version)
        finally:
            del self._watchers[key]

    async def _report(self, request: wire.RouterReport, context: Context) -> wire.RouterReportReply:
        if not request.router_id or not request.incarnation:
            await self._refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "router_id and incarnation must not be empty")
        try:
            self.loads.take(request)
        except TooManyRouters:
            await self._refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "too many routers report already")
        self._reports += 1
        return wire.RouterReportReply(next_after_ms=NEXT_REPORT_MS)

    async def _refuse(self, context: Context, code: grpc.StatusCode, text: str) -> None:
        self._refused += 1
        await context.abort(code, text)

    async def _say(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", TOPOLOGY):
            await self._health.set(name, status)

    def _register(self, server: grpc.aio.Server) -> None:
        """Snapshots are bytes already: without a serializer the same ones go to every router."""
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, wire.TopologyWatchRequest.FromString),
            "Report": grpc.unary_unary_rpc_method_handler(
                self._report, wire.RouterReport.FromString, wire.RouterReportReply.SerializeToString
            ),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(TOPOLOGY, handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        listed = reflection.ReflectionServicer((TOPOLOGY, _HEALTH, _REFLECTION))
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(listed, server)
