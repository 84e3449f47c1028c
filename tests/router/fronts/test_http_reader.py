"""What the HTTP server reads as a request and what it refuses, by raw sockets: framing, limits, smuggling, garbage."""

import asyncio

import pytest

from tests.router.fronts.http_echo import GET, echoing, peer
from tests.router.fronts.http_fakes import raw_client, until


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
