"""A worker that says what a test tells it to, on a real gRPC server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerServicer, add_WorkerServicer_to_server


async def until(condition: Callable[[], object], limit_s: float = 20.0) -> None:
    """Waits for a condition; the limit only ends a test that would hang."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.002)


class FakeWorker(WorkerServicer):
    """`say` sends a state to every watcher; a new watcher hears the last one first. Use as a context: entering starts it."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.watchers: list[asyncio.Queue[Message | Exception | None]] = []
        self.requests: list[wire.WatchRequest] = []
        self.credentials: grpc.ServerCredentials | None = None
        self._last: Message | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> "FakeWorker":
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_WorkerServicer_to_server(self, self._server)
        if self.credentials is None:
            self.port = self._server.add_insecure_port(self.address)
        else:
            self.port = self._server.add_secure_port(self.address, self.credentials)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self, grace_s: float | None = None) -> None:
        await self._server.stop(grace_s)

    def say(self, **fields: Any) -> None:
        given = {"incarnation": "a", "phase": wire.WORKER_PHASE_READY, "max_running": 8, "models": ["small-model"]}
        self._last = wire.WorkerState(**{**given, "engine": "fake", "reports_token_ids": True, **fields})
        self._tell(self._last)

    def end(self, fault: Exception | None = None) -> None:
        """Ends every stream, well or with a fault."""
        self._tell(fault)

    def _tell(self, what: Message | Exception | None) -> None:
        for watcher in self.watchers:
            watcher.put_nowait(what)

    async def Watch(self, request: wire.WatchRequest, context: Any) -> AsyncIterator[Message]:
        self.requests.append(request)
        queue: asyncio.Queue[Message | Exception | None] = asyncio.Queue()
        self.watchers.append(queue)
        try:
            if self._last is not None:
                yield self._last
            while True:
                match await queue.get():
                    case None:
                        return
                    case Exception() as fault:
                        raise fault
                    case state:
                        yield state
        finally:
            self.watchers.remove(queue)
