"""The HTTP server under its own limits, by raw sockets: framing, abuse, time-outs, pipelining, back-pressure, drain."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest

from router.fronts.http_message import HttpRequest, ServerLimits
from router.fronts.http_reply import Reply
from router.fronts.http_server import HttpServer
from tests.router.fronts.http_fakes import RawClient, raw_client, until

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


async def test_keeps_the_connection_and_answers_again() -> None:
    async with peer() as (client, _, server):
        for _ in range(3):
            client.send(GET)
            status, headers, body = await client.answer()
            assert (status, body) == (200, b"/a ")
            assert "connection" not in headers
            assert headers["date"].endswith("GMT")
        assert len(server.connections) == 1


async def test_sets_tcp_nodelay() -> None:
    async with peer() as (client, _, server):
        client.send(GET)
        await client.answer()
        (connection,) = server.connections
        assert connection.socket_option(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_reads_a_body_by_length_and_in_chunks_however_it_is_cut() -> None:
    chunked = b"POST /c HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nx-t: 1\r\n\r\n"
    sized = b"POST /s HTTP/1.1\r\nhost: t\r\ncontent-length: 5\r\n\r\nabcde"
    async with peer() as (client, _, _):
        for whole, path in ((chunked, b"/c"), (sized, b"/s")):
            for size in (1, 7, len(whole)):
                for at in range(0, len(whole), size):
                    client.send(whole[at : at + size])
                    await asyncio.sleep(0)
                assert (await client.answer())[2] == path + b" abcde"


async def test_asks_for_the_body_when_the_peer_waits_for_it() -> None:
    async with peer() as (client, _, _):
        client.send(b"POST /e HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ok")
        assert (await client.answer())[2] == b"/e ok"


async def test_continue_waits_for_the_answer_before_it() -> None:
    async with peer() as (client, echo, _):
        client.send(b"GET /wait HTTP/1.1\r\nhost: t\r\n\r\n")
        client.send(b"POST /e HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n")
        await until(lambda: bool(echo.seen))
        echo.go_on.set()
        assert (await client.answer())[2] == b"/wait "
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ok")
        assert (await client.answer())[2] == b"/e ok"


async def test_answers_pipelined_requests_in_order_one_at_a_time() -> None:
    async with peer() as (client, echo, _):
        paths = [b"/wait", b"/1", b"/2", b"/3"]
        client.send(b"".join(b"GET %b HTTP/1.1\r\nhost: t\r\n\r\n" % path for path in paths))
        await until(lambda: bool(echo.seen))
        assert [request.target for request in echo.seen] == ["/wait"]
        echo.go_on.set()
        assert [(await client.answer())[2] for _ in paths] == [path + b" " for path in paths]


async def test_too_many_pipelined_requests_end_the_connection_after_those_taken() -> None:
    async with peer() as (client, echo, _):
        client.send(b"GET /wait HTTP/1.1\r\nhost: t\r\n\r\n" + GET * 100)
        await until(lambda: bool(echo.seen))
        echo.go_on.set()
        said = await client.rest()
        assert said.count(b"HTTP/1.1 200") == LIMITS.max_queued + 2
        assert said.count(b"connection: close") == 1


async def test_http_1_0_keeps_alive_only_where_asked() -> None:
    async with echoing() as (_, _, port):
        async with raw_client(port) as client:
            client.send(b"GET /a HTTP/1.0\r\n\r\n")
            assert b"connection: close" in await client.rest()
        async with raw_client(port) as client:
            client.send(b"GET /a HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            assert (await client.answer())[1]["connection"] == "keep-alive"
            client.send(b"GET /burst HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            head, _, body = (await client.rest()).partition(b"\r\n\r\n")
            assert (b"connection: close" in head, b"chunked" in head, body) == (True, False, b"0123456789")


async def test_head_has_the_length_and_no_body() -> None:
    async with peer() as (client, _, _):
        client.send(b"HEAD /abc HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")
        said = await client.rest()
        assert b"content-length: 5" in said
        assert said.endswith(b"\r\n\r\n")


async def test_takes_absolute_targets() -> None:
    async with peer() as (client, _, _):
        client.send(b"GET http://elsewhere:1/x?q=1 HTTP/1.1\r\nhost: t\r\n\r\n")
        assert (await client.answer())[2] == b"/x "


@pytest.mark.parametrize("size", [1, 9, 1000])
@pytest.mark.parametrize(
    "body",
    [b"content-length: 2\r\n\r\nab", b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", b"\r\n"],
    ids=["sized", "chunked", "none"],
)
async def test_ignores_offers_to_upgrade_and_goes_on_as_http_1_1(body: bytes, size: int) -> None:
    offer = b"POST /u HTTP/1.1\r\nhost: t\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n" + body
    async with peer() as (client, _, _):
        whole = offer + GET
        for at in range(0, len(whole), size):
            client.send(whole[at : at + size])
            await asyncio.sleep(0)
        assert (await client.answer())[2] == (b"/u " if body == b"\r\n" else b"/u ab")
        assert (await client.answer())[2] == b"/a "


SMUGGLED = {
    "length and chunked": b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": b"content-length: 3\r\ncontent-length: 4\r\n\r\nabc",
    "same length twice": b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "length list": b"content-length: 3, 3\r\n\r\nabc",
    "signed length": b"content-length: +3\r\n\r\nabc",
    "negative length": b"content-length: -3\r\n\r\nabc",
    "hex length": b"content-length: 0x3\r\n\r\nabc",
    "huge length": b"content-length: 99999999999999999999999\r\n\r\nabc",
    "other coding": b"transfer-encoding: gzip\r\n\r\n0\r\n\r\n",
    "coding list": b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, then not": b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "lookalike coding": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "space before the colon": b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded header": b"x-a: 1\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare line end": b"x-a: 1\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare return": b"x-a: 1\rtransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "NUL in a header": b"x-a: 1\x002\r\n\r\n",
    "second host": b"host: u\r\n\r\n",
    "negative chunk": b"transfer-encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n",
    "huge chunk": b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff1\r\nabc\r\n0\r\n\r\n",
    "chunk without line end": b"transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "bare line end after a chunk size": b"transfer-encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED)
async def test_refuses_requests_that_two_readers_could_take_differently(rest: bytes) -> None:
    async with peer() as (client, echo, _):
        client.send(b"POST /a HTTP/1.1\r\nhost: t\r\n" + rest + GET)
        said = await client.rest()
        assert said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))
        assert said.count(b"HTTP/1.1") == 1
        assert not echo.seen


BROKEN = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01\xff\xfe", 400),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "lower-case method": (b"get / HTTP/1.1\r\nhost: t\r\n\r\n", 400),
    "HTTP/2 by surprise": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nhost: t\r\n\r\n", 505),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\nhost: t\r\n\r\n", 505),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "odd target": (b"GET nowhere HTTP/1.1\r\nhost: t\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n", 400),
    "other expectation": (b"POST / HTTP/1.1\r\nhost: t\r\nexpect: 200-ok\r\ncontent-length: 1\r\n\r\nx", 417),
    "long header": (b"GET / HTTP/1.1\r\nhost: t\r\nx: " + b"a" * 3000 + b"\r\n\r\n", 431),
    "long target": (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nhost: t\r\n\r\n", 431),
    "many headers": (b"GET / HTTP/1.1\r\nhost: t\r\n" + b"a: b\r\n" * 30 + b"\r\n", 431),
    "large length": (b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 1001\r\n\r\n", 413),
    "large chunks": (
        b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n" + b"c8\r\n%b\r\n" % (b"x" * 200) * 6,
        413,
    ),
}


@pytest.mark.parametrize(("sent", "status"), BROKEN.values(), ids=BROKEN)
async def test_says_what_is_wrong_and_ends_the_connection(sent: bytes, status: int) -> None:
    async with peer() as (client, echo, server):
        client.send(sent)
        said = await client.rest()
        assert said.startswith(b"HTTP/1.1 %d " % status)
        assert b"connection: close" in said
        assert b'{"error":' in said
        assert not echo.seen
        client.writer.close()
        await until(lambda: not server.connections)


async def test_a_header_that_never_ends_is_bounded() -> None:
    async with peer() as (client, _, _):
        client.send(b"GET / HTTP/1.1\r\nhost: t\r\nx: ")
        for _ in range(40):
            client.send(b"a" * 100)
            await client.writer.drain()
            await asyncio.sleep(0.001)
        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")


async def test_a_good_request_before_a_broken_one_is_answered_first() -> None:
    async with peer() as (client, echo, _):
        client.send(b"GET /wait HTTP/1.1\r\nhost: t\r\n\r\n\xff\xff garbage")
        await until(lambda: bool(echo.seen))
        echo.go_on.set()
        assert (await client.answer())[:1] == (200,)
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


SLOW = {
    "says nothing": (b"", b""),
    "half a head": (b"GET / HTTP/1.1\r\nhost:", b"HTTP/1.1 408 "),
    "half a body": (b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 5\r\n\r\nab", b"HTTP/1.1 408 "),
    "half a chunk": (b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", b"HTTP/1.1 408 "),
}


@pytest.mark.parametrize(("sent", "said"), SLOW.values(), ids=SLOW)
async def test_slow_peers_are_let_go(sent: bytes, said: bytes) -> None:
    async with peer(QUICK) as (client, _, server):
        client.send(sent)
        answer = await client.rest()
        assert answer.startswith(said)
        assert bool(answer) == bool(said)
        await until(lambda: not server.connections)


async def test_dripping_does_not_stretch_the_time_for_a_head() -> None:
    async with peer(QUICK) as (client, _, server):
        for byte in b"GET / HTTP/1.1\r\nhost: t\r\nx: " + b"a" * 2000:
            client.send(bytes([byte]))
            await asyncio.sleep(0.01)
            if not server.connections or client.reader.at_eof():
                break
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_closed_in_silence() -> None:
    async with peer(QUICK) as (client, _, _):
        client.send(GET)
        await client.answer()
        assert await client.rest() == b""


async def test_a_running_request_has_no_clock_of_ours() -> None:
    async with peer(QUICK) as (client, echo, _):
        client.send(b"GET /wait HTTP/1.1\r\nhost: t\r\n\r\n")
        await asyncio.sleep(3 * QUICK.head_timeout_s)
        echo.go_on.set()
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize("half", [True, False], ids=["closes its side", "closes"])
async def test_a_peer_that_hangs_up_cancels_its_request(half: bool) -> None:
    async with peer() as (client, echo, server):
        client.send(b"GET /wait HTTP/1.1\r\nhost: t\r\n\r\n")
        await until(lambda: bool(echo.seen))
        if half:
            client.writer.write_eof()
        else:
            client.writer.close()
        await until(lambda: echo.cancelled == 1)
        await until(lambda: not server.connections)


async def test_a_peer_that_hangs_up_with_more_in_the_pipe_is_noticed_too() -> None:
    async with peer() as (client, echo, _):
        client.send(b"GET /wait HTTP/1.1\r\nhost: t\r\n\r\n" + GET)
        await until(lambda: bool(echo.seen))
        client.writer.close()
        await until(lambda: echo.cancelled == 1)
        assert len(echo.seen) == 1


async def test_reads_only_so_far_ahead() -> None:
    async with peer(replace(LIMITS, max_ahead_bytes=4096, max_body_bytes=10**8)) as (client, echo, _):
        client.send(b"GET /wait HTTP/1.1\r\nhost: t\r\n\r\nPOST /b HTTP/1.1\r\nhost: t\r\ncontent-length: 50000000\r\n\r\n")
        await until(lambda: bool(echo.seen))
        client.send(bytes(50_000_000))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.writer.drain()
        echo.go_on.set()
        assert (await client.answer())[2] == b"/wait "
        assert len((await client.answer())[2]) == 50_000_003


async def test_a_peer_that_does_not_read_stops_the_writer_and_is_cut() -> None:
    async with peer(QUICK) as (client, echo, server):
        cast(asyncio.Transport, client.writer.transport).pause_reading()
        client.send(b"GET /flood HTTP/1.1\r\nhost: t\r\n\r\n")
        await until(lambda: echo.written > 0)
        seen = -1
        while seen != echo.written:
            seen = echo.written
            await asyncio.sleep(0.05)
        assert seen < 50_000_000
        await until(lambda: echo.cancelled == 1)
        await until(lambda: not server.connections)


async def test_a_slow_reader_gets_everything() -> None:
    async with peer() as (client, echo, _):
        client.send(b"GET /flood HTTP/1.1\r\nhost: t\r\n\r\n")
        read = 0
        while read < 20_000_000:
            read += len(await client.reader.read(1 << 20))
        assert echo.written >= 19_000_000


async def test_what_is_written_in_one_turn_leaves_in_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    async with peer() as (client, _, server):
        client.send(GET)
        await client.answer()
        (connection,) = server.connections
        writes: list[bytes] = []
        write = connection.write

        def recorded(data: bytes) -> None:
            writes.append(data)
            write(data)

        monkeypatch.setattr(connection, "write", recorded)
        client.send(b"GET /burst HTTP/1.1\r\nhost: t\r\n\r\n")
        assert (await client.answer())[2] == b"0123456789"
        assert len(writes) == 2  # head and all pieces; the last chunk
        assert writes[0].endswith(b"\r\n\r\na\r\n0123456789\r\n")


async def test_a_fault_of_ours_is_a_bare_500_and_its_text_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with peer() as (client, _, _):
            client.send(b"GET /bug HTTP/1.1\r\nhost: t\r\ncontent-length: 6\r\n\r\nsecret" + GET)
            status, _, body = await client.answer()
            assert (status, body) == (500, b'{"error":"internal error"}')
            assert (await client.answer())[0] == 200
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_stream_that_breaks_off_does_not_look_whole(caplog: pytest.LogCaptureFixture) -> None:
    async with peer() as (client, _, _):
        client.send(b"GET /bug-late HTTP/1.1\r\nhost: t\r\ncontent-length: 6\r\n\r\nsecret")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.answer()
    assert "secret" not in caplog.text


async def test_more_connections_than_allowed_are_turned_away() -> None:
    async with echoing(replace(LIMITS, max_connections=2)) as (_, server, port):
        async with raw_client(port) as first, raw_client(port) as second:
            for client in (first, second):
                client.send(GET)
                assert (await client.answer())[0] == 200
            async with raw_client(port) as third:
                assert (await third.answer())[0] == 503
        await until(lambda: not server.connections)
        async with raw_client(port) as again:
            again.send(GET)
            assert (await again.answer())[0] == 200


async def test_drain_ends_idle_connections_waits_for_running_ones_and_accepts_no_more() -> None:
    async with echoing() as (echo, server, port), raw_client(port) as idle, raw_client(port) as busy:
        idle.send(GET)
        await idle.answer()
        busy.send(b"GET /wait HTTP/1.1\r\nhost: t\r\n\r\n")
        await until(lambda: len(echo.seen) == 2)
        draining = asyncio.create_task(server.drain(20))
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert not draining.done()
        echo.go_on.set()
        status, headers, _ = await busy.answer()
        assert (status, headers["connection"]) == (200, "close")
        await asyncio.wait_for(draining, 10)
        assert not server.connections


async def test_drain_cuts_what_outlasts_its_grace(caplog: pytest.LogCaptureFixture) -> None:
    async with echoing() as (echo, server, port), raw_client(port) as busy:
        busy.send(b"GET /wait HTTP/1.1\r\nhost: t\r\n\r\n")
        await until(lambda: bool(echo.seen))
        await asyncio.wait_for(server.drain(0.05), 10)
        assert echo.cancelled == 1
        assert not server.connections
        assert "1 connections had not ended" in caplog.text
