"""The lean client against real gRPC servers, and against servers that do what real ones rarely do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from headgate.v1 import worker_pb2 as wire
from router.fleet import state_stream
from router.fleet.state_stream import StateStream, StreamEnded, follow
from router.fleet.stats import WATCH
from tests.router.fleet.fake_worker import FakeWorker, until

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def message(body: bytes) -> bytes:
    return b"\0" + len(body).to_bytes(4, "big") + body


def data(body: bytes) -> bytes:
    return frame(0, 0, 1, message(body))


@asynccontextmanager
async def following(
    address: str, silence_s: float = 8.0, request: bytes = b""
) -> AsyncIterator[tuple[list[bytes], asyncio.Task[None]]]:
    """What was heard so far, and the task that hears it."""
    heard: list[bytes] = []
    task = asyncio.create_task(follow(address, WATCH, request, heard.append, silence_s))
    try:
        yield heard, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def raw_server(serve: Callable[[Reader, Writer], Awaitable[None]]) -> AsyncIterator[str]:
    """A TCP server that reads the client's opening and then does what the test says."""

    async def answer(reader: Reader, writer: Writer) -> None:
        try:
            await reader.readuntil(b"headgate-router")
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def ends_with(serve: Callable[[Reader, Writer], Awaitable[None]], silence_s: float = 8.0) -> tuple[list[bytes], str]:
    async with raw_server(serve) as address, following(address, silence_s) as (heard, task), asyncio.timeout(20):
        with pytest.raises(StreamEnded) as ended:
            await task
        return heard, str(ended.value)


async def test_it_speaks_to_a_real_server() -> None:
    async with FakeWorker() as worker:
        worker.say(running=3, models=["m" * 300])
        request = wire.WatchRequest(min_interval_ms=50).SerializeToString()
        async with following(worker.address, request=request) as (heard, _):
            await until(lambda: heard)
            worker.say(running=4)
            await until(lambda: len(heard) == 2)
        assert [wire.WorkerState.FromString(bytes_).running for bytes_ in heard] == [3, 4]
        assert worker.requests == [wire.WatchRequest(min_interval_ms=50)]
        await until(lambda: not worker.watchers)  # the server learnt that we left


async def test_a_state_larger_than_a_frame_and_more_than_the_window_arrive_whole() -> None:
    async with FakeWorker() as worker:
        model, many = "x" * 100_000, 30
        async with following(worker.address) as (heard, _):
            await until(lambda: worker.watchers)
            for running in range(many):
                worker.say(running=running, models=[model])
            await until(lambda: heard and wire.WorkerState.FromString(heard[-1]).running == many - 1)
        assert many * len(model) > 2 * state_stream.WINDOW
        assert all(wire.WorkerState.FromString(bytes_).models == [model] for bytes_ in heard)


async def test_an_empty_state_is_a_state() -> None:
    async with FakeWorker() as worker:
        worker.say(incarnation="", phase=0, max_running=0, models=[], engine="", reports_token_ids=False)
        async with following(worker.address) as (heard, _):
            await until(lambda: heard == [b""])


@pytest.mark.parametrize("fault", [None, ValueError("broken")], ids=["well", "with a fault"])
async def test_the_end_of_the_stream_is_the_end(fault: Exception | None) -> None:
    async with FakeWorker() as worker, following(worker.address) as (_, task):
        await until(lambda: worker.watchers)
        worker.end(fault)
        with pytest.raises(StreamEnded, match="the worker ended the stream"):
            await task


async def test_a_server_without_that_service_is_an_end_too() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with pytest.raises(StreamEnded, match="the worker ended the stream"):
        await follow(f"127.0.0.1:{port}", WATCH, b"", print)
    await server.stop(None)


async def test_a_server_that_drains_is_heard_until_its_last_state() -> None:
    async with FakeWorker() as worker, following(worker.address) as (heard, task):
        await until(lambda: worker.watchers)
        stopping = asyncio.create_task(worker.stop(grace_s=20))
        await asyncio.sleep(0.05)
        worker.say(running=9)
        await until(lambda: heard)
        worker.end()
        with pytest.raises(StreamEnded):
            await task
        await stopping


async def test_nobody_there() -> None:
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await follow("127.0.0.1:1", WATCH, b"", print)


async def test_a_host_that_vanished_is_noticed_by_its_silence() -> None:
    async def vanish(reader: Reader, writer: Writer) -> None:
        writer.write(data(b"last words"))
        await reader.read(-1)

    heard, why = await ends_with(vanish, silence_s=0.2)
    assert heard == [b"last words"]
    assert why == "nothing heard for 0.2 s"


async def test_a_quiet_server_that_answers_pings_is_alive() -> None:
    pings = 0

    async def answer_pings(reader: Reader, writer: Writer) -> None:
        nonlocal pings
        while True:
            await reader.readuntil(frame(6, 0, 0, bytes(8)))
            pings += 1
            writer.write(frame(6, 1, 0, bytes(8)))

    async with raw_server(answer_pings) as address, following(address, silence_s=0.1) as (_, task):
        await until(lambda: pings == 3)
        assert not task.done()


async def test_pings_and_settings_are_acknowledged() -> None:
    async def ask(reader: Reader, writer: Writer) -> None:
        writer.write(frame(4, 0, 0, bytes(6)) + frame(6, 0, 0, b"12345678"))
        await reader.readuntil(frame(4, 1, 0) + frame(6, 1, 0, b"12345678"))
        writer.write(frame(4, 1, 0) + data(b"done"))
        writer.write(frame(7, 0, 0, (2**31 - 1).to_bytes(4, "big") + bytes(4)) + data(b"still here") + frame(1, 5, 1))

    assert await ends_with(ask) == ([b"still here"], "the worker ended the stream")


def test_it_runs_on_the_loop_that_the_router_runs_on() -> None:
    async def speak(reader: Reader, writer: Writer) -> None:
        writer.write(data(b"a") + frame(1, 5, 1))

    assert uvloop.run(ends_with(speak)) == ([b"a"], "the worker ended the stream")

    async def nobody() -> None:
        with pytest.raises(OSError, match="refused"):
            await follow("127.0.0.1:1", WATCH, b"", print)

    uvloop.run(nobody())


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the worker does not speak HTTP/2"),
        (frame(3, 0, 1, (8).to_bytes(4, "big")), "the worker reset the stream, HTTP/2 error 8"),
        (frame(7, 0, 0, bytes(4) + (11).to_bytes(4, "big")), "the worker refused the stream, HTTP/2 error 11"),
        (frame(0, 0, 1, b"\1\0\0\0\1x"), "the worker sent a message that is compressed or too large"),
        (frame(0, 0, 1, b"\0\xff\xff\xff\xff"), "the worker sent a message that is compressed or too large"),
        (b"", "the worker closed the connection"),
    ],
)
async def test_ways_to_end(sent: bytes, why: str) -> None:
    async def send(_: Reader, writer: Writer) -> None:
        writer.write(sent)
        await writer.drain()
        await asyncio.sleep(0.01)

    assert await ends_with(send) == ([], why)


def stream_of(heard: list[bytes]) -> StateStream:
    return StateStream(b"", heard.append)


async def test_of_states_that_arrive_together_only_the_newest_is_told() -> None:
    heard: list[bytes] = []
    stream_of(heard).data_received(data(b"1") + data(b"2") + frame(0, 0, 1, message(b"3") + message(b"4")))
    assert heard == [b"4"]


async def test_padding_is_not_part_of_a_message() -> None:
    heard: list[bytes] = []
    stream_of(heard).data_received(frame(0, 8, 1, b"\4" + message(b"padded") + bytes(4)))
    assert heard == [b"padded"]


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8), st.data())
async def test_however_the_bytes_are_cut_each_state_arrives_whole(bodies: list[bytes], draw: st.DataObject) -> None:
    """Messages over frames, and frames over reads: two cuts that have nothing to do with each other."""
    payload = b"".join(map(message, bodies))
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(payload)), max_size=6)))
    wire_bytes = b"".join(frame(0, 0, 1, payload[a:b]) for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True))
    heard: list[bytes] = []
    stream = stream_of(heard)
    at = 0
    while at < len(wire_bytes):
        step = draw.draw(st.integers(1, 40))
        stream.data_received(wire_bytes[at : at + step])
        at += step
    assert heard[-1] == bodies[-1]
    left = iter(bodies)
    assert all(one in left for one in heard), "in order, none made up"


@given(st.binary(max_size=2000))
async def test_no_bytes_break_it(noise: bytes) -> None:
    stream = stream_of([])
    stream.data_received(noise)
    stream.data_received(noise)


async def test_a_long_host_name_fits_a_header() -> None:
    host = ".".join(["a" * 60] * 4)
    hello = state_stream._hello(f"{host}:1", WATCH, b"", "http")
    # RFC 7541 section 5.1: a full 7-bit prefix, then 245 - 127 = 118.
    assert b":authority\x7f\x76" + host.encode() in hello
