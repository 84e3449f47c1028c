"""Connections of the HTTP server, by raw sockets: keep-alive, pipelining, time-outs, hang-ups, back-pressure, drain."""

import asyncio
import logging
import socket
from dataclasses import replace
from typing import cast

import pytest

from tests.router.fronts.http_echo import GET, LIMITS, QUICK, echoing, peer
from tests.router.fronts.http_fakes import raw_client, until


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
