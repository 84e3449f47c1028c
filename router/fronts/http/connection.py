"""One HTTP/1.1 connection: answers its requests one at a time. Owns the socket's state and the task of the running request.

While a request runs we keep reading, because only reading shows that the peer has gone; what comes early waits its turn, and
past a bound we stop reading. A peer that closes its side has hung up: its request is cancelled. The phases:

    idle → receiving → running → idle …      until the peer leaves, breaks a rule, or the server drains
    any → ending                             a last answer leaves; what still arrives is thrown away

`deadline` is when the sweep in `server.py` ends the present phase.
"""

import asyncio
import logging
import math
import socket
from collections import deque
from typing import Protocol, cast

from router.fronts.http.message import HttpRequest, Refusal, ServerLimits, described
from router.fronts.http.reader import RequestReader
from router.fronts.http.reply import Application, Reply

log = logging.getLogger(__name__)

_NEVER = math.inf
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Hub(Protocol):
    """What all connections of a server share."""

    application: Application
    limits: ServerLimits
    draining: bool
    date: bytes

    def gone(self, connection: "Connection") -> None:
        """The socket is closed and nothing runs for it any more."""
        ...


class Connection(asyncio.Protocol):
    """One accepted socket."""

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.deadline = _NEVER
        self._hub = hub
        self._limits = hub.limits
        self._reader = RequestReader(self, hub.limits)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[HttpRequest] = deque()
        self._task: asyncio.Task[None] | None = None
        self._reply: Reply | None = None
        self._refusal: Refusal | None = None
        self._deaf = False  # nothing that arrives is a request any more
        self._ending = False
        self._ahead_bytes = 0
        self._writable = asyncio.Event()
        self._writable.set()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        # Without it the first event of a stream waits for the peer's delayed acknowledgement of the head: 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._start_clock(self._limits.head_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._task is not None and self._transport is not None:
            self._ahead_bytes += len(data)
            if self._ahead_bytes > self._limits.max_ahead_bytes:
                self._transport.pause_reading()
        try:
            self._reader.feed(data)
        except Refusal as refusal:
            self._refuse(refusal)
        if self._reader.over:
            self._deaf = True

    def eof_received(self) -> None:
        """The peer hung up. The transport closes itself once what was written has left."""
        self._deaf = True
        if self._task is not None:
            self._task.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._deaf = True
        self._queue.clear()
        self._writable.set()
        if self._task is not None:
            self._task.cancel()
        else:
            self._hub.gone(self)

    def pause_writing(self) -> None:
        self._writable.clear()
        self.deadline = self.loop.time() + self._limits.write_timeout_s

    def resume_writing(self) -> None:
        self._writable.set()
        self.deadline = self.loop.time() + self._limits.write_timeout_s if self._ending else _NEVER
        if self._task is None:
            self._next()

    # What the reader tells.

    def request_begins(self) -> None:
        self._start_clock(self._limits.head_timeout_s)

    def head_complete(self) -> None:
        self._start_clock(self._limits.body_timeout_s)
        if self._reader.owes_continue and self._task is None and not self._queue:
            self._reader.owes_continue = False
            self.write(_CONTINUE)

    def request_complete(self, request: HttpRequest) -> None:
        if self._deaf or self._transport is None:
            return
        self._queue.append(request)
        if len(self._queue) > self._limits.max_queued:
            self._deaf = True
        if self._task is None:
            self._next()

    # What an answer calls.

    @property
    def closing(self) -> bool:
        return self._hub.draining or (self._deaf and not self._queue and self._refusal is None)

    @property
    def date(self) -> bytes:
        return self._hub.date

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    @property
    def paused(self) -> bool:
        return not self._writable.is_set()

    async def writable(self) -> None:
        await self._writable.wait()

    # What the server calls.

    def expired(self) -> None:
        """The phase's time is up."""
        self.deadline = _NEVER
        if self._ending or not self._writable.is_set():
            self.abort()  # nobody reads what we would still have to say
        elif self._reader.receiving and not self._deaf:
            self._refuse(Refusal(408, "the request took too long to arrive"))
        else:
            self._close()

    def socket_option(self, level: int, option: int) -> int:
        """What the socket is set to; 0 once it is closed."""
        if self._transport is None:
            return 0
        return int(self._transport.get_extra_info("socket").getsockopt(level, option))

    def drain(self) -> None:
        """The server is shutting down: ends now unless a request is arriving or running."""
        if self._task is None and not self._reader.receiving:
            self._close()

    def abort(self) -> None:
        """Ends now, whatever is running."""
        if self._transport is not None:
            self._transport.abort()

    # Inside.

    def _next(self) -> None:
        """Begins the request that waits longest, or waits for one."""
        if self._transport is None or self._ending or not self._writable.is_set():
            return
        if self._queue:
            self._run(self._queue.popleft())
        elif self._refusal is not None:
            self._say(self._refusal)
        elif self._deaf or (self._hub.draining and not self._reader.receiving):
            self._close()
        else:
            self._listen()

    def _run(self, request: HttpRequest) -> None:
        self.deadline = _NEVER
        self._reply = Reply(self, request)
        self._task = self.loop.create_task(self._serve(request, self._reply))
        self._task.add_done_callback(self._served)

    async def _serve(self, request: HttpRequest, reply: Reply) -> None:
        """Answers one request, in a task of its own."""
        try:
            await self._hub.application.handle(request, reply)
        except Exception as fault:  # noqa: BLE001 - the last line of defence: one request must not end the server
            log.error("a %s request: %s", request.method, described(fault))
            if not reply.started:
                reply.send(500, body=self._hub.application.fault_page(500, "internal error"))

    def _served(self, _: "asyncio.Task[None]") -> None:
        reply, self._reply, self._task = self._reply, None, None
        if self._transport is None or reply is None:
            self._hub.gone(self)
        elif not reply.ended:
            self._transport.abort()  # a stream that broke off must not look whole
        elif reply.keep_alive:
            self._next()
        else:
            self._close()

    def _listen(self) -> None:
        self._ahead_bytes = 0
        if self._transport is not None:
            self._transport.resume_reading()
        reader, limits = self._reader, self._limits
        if not reader.receiving:
            self._start_clock(limits.idle_timeout_s)
            return
        self._start_clock(limits.head_timeout_s if reader.in_head else limits.body_timeout_s)
        if reader.owes_continue:
            reader.owes_continue = False
            self.write(_CONTINUE)

    def _refuse(self, refusal: Refusal) -> None:
        """Nothing more is read as a request. What was asked before is answered first."""
        self._deaf = True
        self._refusal = refusal
        if self._task is None:
            self._next()

    def _say(self, refusal: Refusal) -> None:
        """One last answer. Closing with unread data in the socket would reset it and destroy that answer: so half first."""
        self._ending = True
        page = self._hub.application.fault_page(refusal.status, refusal.message)
        Reply(self, HttpRequest("GET", "", {}, b"", False, True)).send(refusal.status, body=page)
        if self._transport is not None:
            self._transport.resume_reading()
            self._transport.write_eof()
            self.deadline = self.loop.time() + self._limits.linger_s

    def _close(self) -> None:
        """Closes once what is written has left; the sweep ends it if it never does."""
        self._deaf = self._ending = True
        self.deadline = self.loop.time() + self._limits.write_timeout_s
        if self._transport is not None:
            self._transport.close()

    def _start_clock(self, seconds: float) -> None:
        if self._task is None:
            self.deadline = self.loop.time() + seconds
