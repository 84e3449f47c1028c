"""One worker's life: starting, ready, draining, gone. Joins engine, service, feed and server; decides nothing of requests."""

import asyncio
import json
import logging
import os
from contextlib import suppress
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from headgate.v1 import worker_pb2 as wire
from headgate.v1 import worker_pb2_grpc
from workers.config import WorkerConfig
from workers.engine import Engine, EngineFailed, EngineInfo, EngineStats
from workers.service import WorkerService
from workers.stats import StateFeed
from workers.tls import server_credentials

_SERVICES = ("", "headgate.v1.Worker")
_LIVE = "live"  # health for whoever would restart us: a worker that drains, or whose engine starts, is well
_LARGEST_REQUEST = 16 * 1024 * 1024
_LARGEST_ANSWER = 64 * 1024 * 1024  # embeddings of many texts
_PATIENCE_S = 0.25  # how long a failed engine may take to say that it is well before nobody is sent here
_LAST_WORDS_S = 1.0  # for answers that were just ended to reach their routers
_OPTIONS = [
    ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a coin toss
    ("grpc.max_receive_message_length", _LARGEST_REQUEST),
    ("grpc.max_send_message_length", _LARGEST_ANSWER),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5000),
]
_log = logging.getLogger(__name__)


class Worker:
    """`start` → serves until `broken` returns or the owner has had enough → `drain` → `close`."""

    def __init__(self, config: WorkerConfig, engine: Engine) -> None:
        self._config = config
        self._engine = engine
        self._started = False
        self._feed = StateFeed(self._load, asyncio.get_running_loop().time)
        self._service = WorkerService(engine, config.models, self._feed, self._enter)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(options=_OPTIONS)
        worker_pb2_grpc.add_WorkerServicer_to_server(self._service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.address = config.listen

    @property
    def phase(self) -> wire.WorkerPhase:
        return self._feed.phase

    @property
    def active(self) -> int:
        """Calls it serves now."""
        return self._feed.active

    async def start(self) -> EngineInfo:
        """Listens, says STARTING, and returns once the engine is ready. Raises EngineFailed where it never will be, TlsUnusable
        where it can't serve securely.
        """
        host, _, _ = self._config.listen.rpartition(":")
        await self._enter(wire.WORKER_PHASE_STARTING)
        await self._health.set(_LIVE, health_pb2.HealthCheckResponse.SERVING)
        bound = self._listen()
        await self._server.start()
        self.address = f"{host}:{bound}"
        info = await self._engine.ready()
        self._started = True
        await self._serve(info)
        if self._config.ready_file is not None:
            _write_ready_file(self._config.ready_file, self.address, info)
        return info

    def _listen(self) -> int:
        listen, tls = self._config.listen, self._config.tls
        credentials = server_credentials(tls.folder) if tls is not None else None
        try:
            if credentials is None:
                return self._server.add_insecure_port(listen)
            return self._server.add_secure_port(listen, credentials)
        except RuntimeError as fault:
            raise EngineFailed(f"can't listen on {listen}: is the port taken?") from fault

    async def broken(self) -> str:
        """Returns when the engine is broken for good, with the reason. A passing fault is waited out."""
        while True:
            await self._service.engine_failed.wait()
            self._service.engine_failed.clear()
            checking = asyncio.create_task(self._engine.ready())
            try:
                await asyncio.wait({checking}, timeout=_PATIENCE_S)
                if not checking.done():
                    await self._change(wire.WORKER_PHASE_READY, wire.WORKER_PHASE_FAILED)
                await checking
                await self._change(wire.WORKER_PHASE_FAILED, wire.WORKER_PHASE_READY)
            except EngineFailed as fault:
                await self._enter(wire.WORKER_PHASE_FAILED)
                return str(fault)
            finally:
                checking.cancel()

    async def drain(self, grace_s: float) -> None:
        """Takes nothing new; what still runs after the grace is handed back to the routers, to be continued elsewhere."""
        if left := await self._service.drain(grace_s):
            _log.info("%d answers were not finished in %g s and are handed back", left, grace_s)
            self._service.preempt_all()
            await self._service.drain(_LAST_WORDS_S)

    async def close(self) -> None:
        """Stops listening and ends the engine; cuts off whatever was not drained."""
        if self._config.ready_file is not None and _written_by_us(self._config.ready_file):
            self._config.ready_file.unlink(missing_ok=True)
        self._feed.close()
        await self._server.stop(_LAST_WORDS_S if self._started else None)
        await self._engine.close()

    async def _serve(self, info: EngineInfo) -> None:
        self._feed.describe(info, self._config.models)
        await self._change(wire.WORKER_PHASE_STARTING, wire.WORKER_PHASE_READY)

    async def _change(self, before: wire.WorkerPhase, after: wire.WorkerPhase) -> None:
        """Only from that phase: a drain that was ordered meanwhile stands."""
        if self._feed.phase == before:
            await self._enter(after)

    async def _enter(self, phase: wire.WorkerPhase) -> None:
        self._feed.enter(phase)
        ready = phase == wire.WORKER_PHASE_READY
        status = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in _SERVICES:
            await self._health.set(name, status)

    def _load(self) -> EngineStats:
        return self._engine.stats() if self._started else EngineStats()


def _write_ready_file(path: Path, address: str, info: EngineInfo) -> None:
    """Atomic: whoever sees the file sees all of it."""
    content: dict[str, object] = {"address": address, "pid": os.getpid(), "engine": info.engine, "simulated": info.simulated}
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps(content))
        fresh.replace(path)
    finally:
        with suppress(FileNotFoundError):
            fresh.unlink()


def _written_by_us(path: Path) -> bool:
    """False when our successor has written it already."""
    try:
        return bool(json.loads(path.read_text())["pid"] == os.getpid())
    except (OSError, ValueError, KeyError, TypeError):
        return False
