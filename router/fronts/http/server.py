"""Listens, accepts, and ends connections: at their time limits, at the connection limit, and when the server drains.

Knows HTTP and nothing of what is served: an Application answers. Runs on uvloop or any asyncio loop.
"""

import asyncio
import logging
from email.utils import formatdate
from typing import cast

from router.fronts.http.connection import Connection
from router.fronts.http.message import JSON, STATUS_LINES, ServerLimits
from router.fronts.http.reply import Application

log = logging.getLogger(__name__)


class HttpServer:
    """One listening socket and its connections. `start` once, then `drain` or `close`."""

    def __init__(self, application: Application, limits: ServerLimits | None = None) -> None:
        self.application = application
        self.limits = limits or ServerLimits()
        self.draining = False
        self.date = b""
        self.connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listens; port 0 takes a free one. Returns the address. Raises OSError where it can't be had."""
        loop = asyncio.get_running_loop()
        self._tell_time()
        self._listener = await loop.create_server(self._accept, host, port, backlog=1024)
        self._sweeper = loop.create_task(self._sweep())
        bound = self._listener.sockets[0].getsockname()
        return str(bound[0]), int(bound[1])

    async def drain(self, grace_s: float) -> None:
        """Accepts no more; gives running answers `grace_s` to end, then cuts them."""
        self._stop_accepting()
        for connection in list(self.connections):
            connection.drain()
        try:
            async with asyncio.timeout(grace_s):
                await self._none_left()
        except TimeoutError:
            log.warning("%d connections had not ended after %g s and were cut", len(self.connections), grace_s)
        await self.close()

    async def close(self) -> None:
        """Cuts whatever still runs and waits until it is gone."""
        self._stop_accepting()
        for connection in list(self.connections):
            connection.abort()
        await self._none_left()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    def gone(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    def _accept(self) -> asyncio.Protocol:
        if len(self.connections) >= self.limits.max_connections or self.draining:
            return _Turned(self.application.fault_page(503, "too many connections"))
        connection = Connection(self, asyncio.get_running_loop())
        self.connections.add(connection)
        return connection

    def _stop_accepting(self) -> None:
        self.draining = True
        if self._listener is not None:
            self._listener.close()

    async def _none_left(self) -> None:
        while self.connections:
            self._empty.clear()
            await self._empty.wait()

    async def _sweep(self) -> None:
        """Ends phases whose time is up. One timer for all connections costs less than one per phase of each."""
        limits, loop = self.limits, asyncio.get_running_loop()
        shortest_s = min(limits.head_timeout_s, limits.body_timeout_s, limits.idle_timeout_s, limits.linger_s)
        tick_s = min(0.5, shortest_s / 4)
        while True:
            await asyncio.sleep(tick_s)
            self._tell_time()
            now = loop.time()
            for connection in [c for c in self.connections if c.deadline < now]:
                connection.expired()

    def _tell_time(self) -> None:
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()


class _Turned(asyncio.Protocol):
    """A connection over the limit: told so, and closed."""

    def __init__(self, page: bytes) -> None:
        self._page = page

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast(asyncio.Transport, transport)
        extra = b"connection: close\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n" % len(self._page)
        wire.write(STATUS_LINES[503] + JSON + extra + self._page)
        wire.write_eof()
        # Closing at once would reset the socket under the request that is arriving, and the answer with it.
        asyncio.get_running_loop().call_later(0.5, wire.abort)
