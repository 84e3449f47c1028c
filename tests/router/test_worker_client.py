"""The wire to a worker, over real gRPC, with a worker that misbehaves in every way we know of."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest

from headgate.v1 import generation_pb2 as gen
from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerServicer, add_WorkerServicer_to_server
from router.config import Failover
from router.continuation import Call, Part
from router.errors import DeadlineExceeded, HeadgateError, InvalidRequest, ReplicaLost
from router.fleet.channels import Channels
from router.request import ChatPrompt, Constraint, EmbedCall, Request, Sampling, TextPrompt, TokenPrompt
from router.worker_client import WorkerClient

Behaviour = Callable[[wire.WorkerGenerateRequest, Any], AsyncIterator[wire.WorkerGenerateResponse]]
PROMPT = wire.WorkerGenerateResponse.PromptUsage(prompt_tokens=12, cached_tokens=4)


def token(number: int, reason: int = 0, **more: Any) -> wire.WorkerGenerateResponse:
    finish = wire.WorkerGenerateResponse.Finish(reason=reason, completion_tokens=number + 1) if reason else None
    return wire.WorkerGenerateResponse(token_ids=[number], text=f"{number} ", finish=finish, **more)


class Fake(WorkerServicer):
    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[wire.WorkerGenerateRequest] = []
        self.running = 0

    async def Generate(self, request: wire.WorkerGenerateRequest, context: Any) -> AsyncIterator[wire.WorkerGenerateResponse]:
        self.asked.append(request)
        self.running += 1
        try:
            async for message in self.behaviour(request, context):
                yield message
        finally:
            self.running -= 1

    async def Embed(self, request: wire.EmbedRequest, context: Any) -> wire.EmbedResponse:
        vectors = [wire.EmbedResponse.Vector(values=[len(text), 1.0]) for text in request.texts if text != "drop me"]
        return wire.EmbedResponse(vectors=vectors, prompt_tokens=len(request.texts))


@asynccontextmanager
async def serving(behaviour: Behaviour, **failover: float) -> AsyncIterator[tuple[Fake, WorkerClient, str]]:
    fake, server, channels = Fake(behaviour), grpc.aio.server(), Channels()
    add_WorkerServicer_to_server(fake, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield fake, WorkerClient(channels, Failover(**failover)), address
    finally:
        await channels.close()
        await server.stop(None)


def call(**changes: Any) -> Call:
    request = Request("q", "m", changes.pop("prompt", TextPrompt("hi")), changes.pop("sampling", Sampling()), **changes)
    return Call(request, 0, "the-model", request.sampling)


async def parts_of(client: WorkerClient, address: str, asked: Call) -> list[Part]:
    async with aclosing(client.generate(address, asked)) as parts:
        return [part async for part in parts]


async def three(request: wire.WorkerGenerateRequest, context: Any) -> AsyncIterator[wire.WorkerGenerateResponse]:
    yield token(0, prompt=PROMPT)
    yield token(1)
    yield token(2, gen.FINISH_REASON_LENGTH)


async def test_an_answer_comes_through_whole() -> None:
    async with serving(three) as (_, client, address):
        parts = await parts_of(client, address, call())
    assert [part.text for part in parts] == ["0 ", "1 ", "2 "]
    assert (parts[0].prompt_tokens, parts[0].cached_tokens) == (12, 4)
    assert parts[1].prompt_tokens is None
    assert (parts[2].finish_reason, parts[2].completion_tokens) == ("length", 3)


async def test_everything_asked_for_reaches_the_worker() -> None:
    sampling = Sampling(
        max_tokens=5,
        temperature=0.0,
        seed=0,
        stop=("a", "b"),
        stop_token_ids=(7,),
        ignore_eos=True,
        logprobs=0,
        logit_bias=((3, -1.5),),
        constraint=Constraint("choice", ("x", "y")),
        extra_json='{"skip_special_tokens": false}',
    )
    prompt = ChatPrompt(b'[{"role": "user"}]', b"[]", b"{}")
    async with serving(three) as (fake, client, address):
        asked = replace(call(prompt=prompt, sampling=sampling, tenant="t", priority=-2), cache_salt="s")
        await parts_of(client, address, asked)
        await parts_of(client, address, call(prompt=TokenPrompt((1, 2))))
    got, ids = fake.asked
    assert (got.model, got.tenant, got.cache_salt, got.priority) == ("the-model", "t", "s", -2)
    assert got.request_id.startswith("q/0/")
    assert got.request_id != ids.request_id, "callers may repeat an id, engines must not see it twice"
    assert got.chat.messages_json == prompt.messages_json
    assert got.sampling.HasField("temperature")
    assert got.sampling.HasField("seed")
    assert got.sampling.HasField("logprobs")
    assert not got.sampling.HasField("top_p")
    assert list(got.sampling.choice.options) == ["x", "y"]
    assert dict(got.sampling.logit_bias) == {3: -1.5}
    assert (list(got.sampling.stop), got.sampling.ignore_eos) == (["a", "b"], True)
    assert list(ids.token_ids.ids) == [1, 2]


async def test_an_answer_that_nobody_reads_along_may_come_in_portions() -> None:
    async with serving(three) as (fake, client, address):
        await parts_of(client, address, call())
        await parts_of(client, address, call(stream=False))
    assert [asked.merge_ms > 0 for asked in fake.asked] == [False, True]


def failing(code: grpc.StatusCode, after: int = 0, metadata: tuple[tuple[str, str], ...] = ()) -> Behaviour:
    async def behaviour(request: Any, context: Any) -> AsyncIterator[wire.WorkerGenerateResponse]:
        for number in range(after):
            yield token(number)
        await context.abort(code, "because", trailing_metadata=metadata)

    return behaviour


@pytest.mark.parametrize(
    ("code", "error", "at_fault"),
    [
        (grpc.StatusCode.UNAVAILABLE, ReplicaLost, True),
        (grpc.StatusCode.INTERNAL, ReplicaLost, True),
        (grpc.StatusCode.UNKNOWN, ReplicaLost, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, ReplicaLost, False),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest, None),
    ],
)
@pytest.mark.parametrize("after", [0, 2])
async def test_what_a_status_means(code: grpc.StatusCode, error: type[HeadgateError], at_fault: bool, after: int) -> None:
    async with serving(failing(code, after, (("x-headgate-param", "top_p"),))) as (_, client, address):
        with pytest.raises(error) as caught:
            await parts_of(client, address, call())
    if isinstance(caught.value, ReplicaLost):
        assert caught.value.at_fault is at_fault
    else:
        assert caught.value.param == "top_p"


async def test_a_stream_that_just_ends_is_lost() -> None:
    async def ends(request: Any, context: Any) -> AsyncIterator[wire.WorkerGenerateResponse]:
        yield token(0)

    async with serving(ends) as (_, client, address):
        with pytest.raises(ReplicaLost, match="ended before"):
            await parts_of(client, address, call())


async def test_a_preempted_answer_moves_and_nobody_is_to_blame() -> None:
    async def preempts(request: Any, context: Any) -> AsyncIterator[wire.WorkerGenerateResponse]:
        yield token(0)
        yield token(1, gen.FINISH_REASON_ABORT)

    async with serving(preempts) as (_, client, address):
        with pytest.raises(ReplicaLost) as caught:
            await parts_of(client, address, call())
    assert not caught.value.at_fault


@pytest.mark.parametrize(("after", "bound"), [(0, "first_token_s"), (2, "idle_s")])
async def test_a_worker_that_hangs_is_given_up_and_its_call_cancelled(after: int, bound: str) -> None:
    async def hangs(request: Any, context: Any) -> AsyncIterator[wire.WorkerGenerateResponse]:
        for number in range(after):
            yield token(number)
        await asyncio.sleep(3600)

    async with serving(hangs, **{bound: 0.05}) as (fake, client, address):
        with pytest.raises(ReplicaLost, match="no token for"):
            await parts_of(client, address, call())
        await until(lambda: fake.running == 0)


async def test_the_deadline_reaches_the_worker() -> None:
    left: list[float] = []

    async def hangs(request: Any, context: Any) -> AsyncIterator[wire.WorkerGenerateResponse]:
        left.append(context.time_remaining())
        yield token(0)
        await asyncio.sleep(3600)

    async with serving(hangs) as (fake, client, address):
        with pytest.raises(DeadlineExceeded):
            await parts_of(client, address, call(deadline=asyncio.get_running_loop().time() + 0.3))
        await until(lambda: fake.running == 0)
        with pytest.raises(DeadlineExceeded):
            await parts_of(client, address, call(deadline=asyncio.get_running_loop().time() - 1))
    assert 0 < left[0] < 10, "the caller's deadline, but for gRPC's rounding, and not none at all"
    assert len(left) == 1


async def test_a_caller_who_leaves_cancels_the_call() -> None:
    async def slow(request: Any, context: Any) -> AsyncIterator[wire.WorkerGenerateResponse]:
        for number in range(10_000):
            yield token(number)
            await asyncio.sleep(0.01)

    async with serving(slow) as (fake, client, address):
        async with aclosing(client.generate(address, call())) as parts:
            await anext(parts)
            assert fake.running == 1
        await until(lambda: fake.running == 0)


async def test_nobody_there() -> None:
    channels = Channels()
    with pytest.raises(ReplicaLost):
        await parts_of(WorkerClient(channels, Failover()), "127.0.0.1:1", call())
    await channels.close()


async def test_embeddings_come_one_per_text() -> None:
    async with serving(three) as (_, client, address):
        vectors, tokens = await client.embed(address, EmbedCall("e", "m", ("a", "bcd")), "the-model")
        assert (vectors, tokens) == (((1.0, 1.0), (3.0, 1.0)), 2)
        with pytest.raises(ReplicaLost, match="1 vectors came back"):
            await client.embed(address, EmbedCall("e", "m", ("a", "drop me")), "the-model")


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_bytes_that_are_no_message_are_the_workers_fault() -> None:
    async def garbage(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"\xff\xff\xff"

    async def lump(request: bytes, context: Any) -> bytes:
        return b"\xff\xff\xff"

    handlers = {"Generate": grpc.unary_stream_rpc_method_handler(garbage), "Embed": grpc.unary_unary_rpc_method_handler(lump)}
    server, channels = grpc.aio.server(), Channels()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("headgate.v1.Worker", handlers),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    client = WorkerClient(channels, Failover())
    try:
        with pytest.raises(ReplicaLost, match="no message"):
            await parts_of(client, address, call())
        with pytest.raises(ReplicaLost, match="no message"):
            await client.embed(address, EmbedCall("e", "m", ("a",)), "m")
    finally:
        await channels.close()
        await server.stop(None)
