"""A server that answers with what it was sent, for tests of the protocol alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from router.fronts.http.message import HttpRequest, ServerLimits
from router.fronts.http.reply import Reply
from router.fronts.http.server import HttpServer
from tests.router.fronts.http_fakes import RawClient, raw_client

QUICK = ServerLimits(
    max_head_bytes=2048,
    max_headers=20,
    max_body_bytes=1000,
    head_timeout_s=0.2,
    body_timeout_s=0.2,
    idle_timeout_s=0.2,
    write_timeout_s=0.3,
    linger_s=0.2,
)
LIMITS = replace(QUICK, head_timeout_s=20, body_timeout_s=20, idle_timeout_s=20, write_timeout_s=20)
GET = b"GET /a HTTP/1.1\r\nhost: t\r\n\r\n"


class Echo:
    """Answers with what it was sent; a few paths do something else."""

    def __init__(self) -> None:
        self.seen: list[HttpRequest] = []
        self.cancelled = 0
        self.written = 0
        self.go_on = asyncio.Event()

    def fault_page(self, status: int, message: str) -> bytes:
        return b'{"error":"%b"}' % message.encode()

    async def handle(self, request: HttpRequest, reply: Reply) -> None:
        self.seen.append(request)
        try:
            match request.target:
                case "/wait":
                    await self.go_on.wait()
                case "/bug":
                    raise ValueError(request.body.decode())
                case "/bug-late":
                    reply.start(200, b"")
                    raise ValueError(request.body.decode())
                case "/burst":
                    reply.start(200, b"")
                    for i in range(10):
                        reply.write(b"")
                        reply.write(b"%d" % i)
                    await asyncio.sleep(0)
                    reply.end()
                    return
                case "/flood":
                    reply.start(200, b"")
                    while True:
                        reply.write(b"x" * 10_000)
                        self.written += 10_000
                        if reply.paused:
                            await reply.writable()
                        await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        reply.send(200, b"", b"%b %b" % (request.target.encode(), request.body))


@asynccontextmanager
async def echoing(limits: ServerLimits = LIMITS) -> AsyncIterator[tuple[Echo, HttpServer, int]]:
    echo = Echo()
    server = HttpServer(echo, limits)
    _, port = await server.start("127.0.0.1", 0)
    try:
        yield echo, server, port
    finally:
        await server.close()


@asynccontextmanager
async def peer(limits: ServerLimits = LIMITS) -> AsyncIterator[tuple[RawClient, Echo, HttpServer]]:
    async with echoing(limits) as (echo, server, port), raw_client(port) as client:
        yield client, echo, server
