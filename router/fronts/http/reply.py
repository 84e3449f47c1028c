"""One answer on its way to one peer: whole, or piece by piece with back-pressure. Its connection owns the socket."""

import asyncio
from typing import Protocol

from router.fronts.http.message import JSON, STATUS_LINES, HttpRequest

_FLUSH_BYTES = 64 * 1024
_LAST_CHUNK = b"0\r\n\r\n"


class Wire(Protocol):
    """The connection, as far as an answer needs it."""

    loop: asyncio.AbstractEventLoop

    @property
    def closing(self) -> bool:
        """The connection ends with this answer."""
        ...

    @property
    def date(self) -> bytes:
        """The `date` header, current to the second."""
        ...

    def write(self, data: bytes) -> None:
        """Hands bytes to the transport; does nothing once the peer is gone."""
        ...

    @property
    def paused(self) -> bool:
        """The peer reads more slowly than we write."""
        ...

    async def writable(self) -> None:
        """Returns once the peer has taken enough of what was written, or has gone."""
        ...


class Reply:
    """`send` for a whole answer; `start`, `write`…, `end` for a stream. What is written within one turn of the event loop
    leaves in one write."""

    __slots__ = (
        "_chunked",
        "_flush_due",
        "_head",
        "_headless",
        "_keep_alive",
        "_pending",
        "_pending_bytes",
        "_wire",
        "ended",
        "started",
    )

    def __init__(self, wire: Wire, request: HttpRequest) -> None:
        self._wire = wire
        self._headless = request.method == "HEAD"
        self._chunked = request.chunked_reply
        self._keep_alive = request.keep_alive
        self._head = b""
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._flush_due = False
        self.started = False  # the status is decided and can't be changed any more
        self.ended = False

    @property
    def keep_alive(self) -> bool:
        return self._keep_alive and not self._wire.closing

    def send(self, status: int, headers: bytes = JSON, body: bytes = b"") -> None:
        """A whole answer in one write. `headers` are complete lines, each with its line end."""
        self.started = self.ended = True
        # A peer that asked with HEAD learns the length that GET would have had.
        length = b"" if status == 204 else b"content-length: %d\r\n" % len(body)
        head = self._status_and(status, headers) + length + b"\r\n"
        self._wire.write(head if self._headless else head + body)

    def start(self, status: int, headers: bytes) -> None:
        """Decides status and headers of a stream. They leave with its first bytes, or at the end of this turn."""
        self.started = True
        if self._chunked:
            headers += b"transfer-encoding: chunked\r\n"
        else:
            self._keep_alive = False  # an HTTP/1.0 peer learns where a stream ends from the end of the connection
        self._head = self._status_and(status, headers) + b"\r\n"
        self._schedule()

    def write(self, data: bytes) -> None:
        """Adds to the stream."""
        if not data:
            return  # as a chunk of its own it would end the stream
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _FLUSH_BYTES:
            self._flush()
        elif not self._flush_due:
            self._schedule()

    def end(self) -> None:
        """The stream is whole."""
        self.ended = True
        self._flush(_LAST_CHUNK if self._chunked else b"")

    @property
    def paused(self) -> bool:
        """The peer reads more slowly than we write: await `writable` before writing more."""
        return self._wire.paused

    async def writable(self) -> None:
        """Returns once the peer has taken enough of what was written, or has gone."""
        await self._wire.writable()

    def _status_and(self, status: int, headers: bytes) -> bytes:
        line = STATUS_LINES.get(status) or STATUS_LINES[500]
        connection = b""
        if not self.keep_alive:
            connection = b"connection: close\r\n"
        elif not self._chunked:
            connection = b"connection: keep-alive\r\n"  # HTTP/1.0 keeps a connection only where it is said
        return line + self._wire.date + connection + headers

    def _schedule(self) -> None:
        self._flush_due = True
        self._wire.loop.call_soon(self._flush)

    def _flush(self, tail: bytes = b"") -> None:
        """Everything that waits, as one chunk in one write."""
        self._flush_due = False
        out, self._head = self._head, b""
        if self._pending:
            data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
            out += b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
            self._pending.clear()
            self._pending_bytes = 0
        if out or tail:
            self._wire.write(out + tail)


class Application(Protocol):
    """What answers requests."""

    async def handle(self, request: HttpRequest, reply: Reply) -> None:
        """Answers through `reply`. Cancelled when the peer hangs up. What it raises becomes a bare 500."""
        ...

    def fault_page(self, status: int, message: str) -> bytes:
        """The JSON body that goes with an error of the protocol itself."""
        ...
