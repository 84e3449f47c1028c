"""The Worker service over real gRPC: what it answers, how it refuses, and that it always lets go."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from headgate.v1 import generation_pb2 as gen
from headgate.v1 import worker_pb2 as wire
from tests.workers.serving import UNHURRIED, Served, messages, refusal, request, rest_of, served, simulated
from workers.engine import Delta, EngineInfo, EngineStats, Generation
from workers.engines.simulated.engine import Simulated


@pytest.fixture
async def fast() -> AsyncIterator[Served]:
    async with served(simulated()) as it:
        yield it


@pytest.fixture
async def unhurried() -> AsyncIterator[Served]:
    async with served(simulated(**UNHURRIED)) as it:
        yield it


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def load(it: Served) -> int:
    stats = it.engine.stats()
    return stats.running + stats.waiting


async def test_an_answer(fast: Served) -> None:
    parts = await messages(fast.stub, request(max_tokens=12))
    assert parts[0].prompt.prompt_tokens > 0
    assert not any(part.HasField("prompt") for part in parts[1:])
    assert "".join(part.text for part in parts).startswith("[simulated] ")
    assert parts[-1].finish.reason == gen.FINISH_REASON_LENGTH
    assert parts[-1].finish.completion_tokens == sum(len(part.token_ids) for part in parts) == 12
    assert not any(part.HasField("finish") for part in parts[:-1])


async def test_a_resumed_answer_counts_as_a_whole(fast: Served) -> None:
    whole = [i for part in await messages(fast.stub, request(max_tokens=12)) for i in part.token_ids]
    message = request(max_tokens=12)
    message.resume_token_ids.extend(whole[:7])
    parts = await messages(fast.stub, message)
    assert [i for part in parts for i in part.token_ids] == whole[7:]
    assert parts[-1].finish.completion_tokens == 12


async def test_logprobs_and_drafts_cross_the_wire() -> None:
    async with served(simulated(speculation={"num_speculative_tokens": 3, "acceptance": 0.7})) as it:
        parts = await messages(it.stub, request(max_tokens=40, logprobs=2, ignore_eos=True))
    logprobs = [p for part in parts for p in part.logprobs]
    assert len(logprobs) == 40
    assert all(len(p.top) == 2 and p.logprob < 0 for p in logprobs)
    finish = parts[-1].finish
    assert 0 < finish.accepted_tokens < finish.draft_tokens


async def test_chat_and_token_prompts(fast: Served) -> None:
    chat = request()
    chat.chat.messages_json = b'[{"role": "user", "content": "repeat: gr\xc3\xbc\xc3\x9fe"}]'
    assert "".join(p.text for p in await messages(fast.stub, chat)) == "[simulated] grüße"
    ids = request()
    ids.token_ids.ids.extend([1, 2, 3])
    assert (await messages(fast.stub, ids))[0].prompt.prompt_tokens == 3


async def test_an_unknown_model(fast: Served) -> None:
    message = request()
    message.model = "other"
    assert (await refusal(fast.stub.Generate(message))).code() is grpc.StatusCode.NOT_FOUND


async def test_hanging_up_frees_the_slot(unhurried: Served) -> None:
    call = unhurried.stub.Generate(request(max_tokens=4000, ignore_eos=True))
    await call.read()
    assert load(unhurried) == 1
    call.cancel()
    await until(lambda: load(unhurried) == 0)


async def test_a_deadline_frees_the_slot(unhurried: Served) -> None:
    call = unhurried.stub.Generate(request(max_tokens=8000, ignore_eos=True), timeout=0.2)
    assert (await refusal(call)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: load(unhurried) == 0)


async def test_a_client_that_does_not_read_frees_the_slot_when_it_leaves() -> None:
    async with served(simulated(max_context_tokens=100_000)) as it:
        call = it.stub.Generate(request(max_tokens=90_000, ignore_eos=True, logprobs=20))
        await call.read()  # and no more: the transport's window fills up, and the worker waits within its send
        await asyncio.sleep(0.3)
        call.cancel()
        await until(lambda: load(it) == 0)


async def test_preempting_ends_the_answer_with_abort(unhurried: Served) -> None:
    call = unhurried.stub.Generate(request(request_id="victim", max_tokens=4000, ignore_eos=True))
    first = await call.read()
    assert (await unhurried.stub.Preempt(wire.PreemptRequest(request_id="victim"))).found
    rest = await rest_of(call)
    assert rest[-1].finish.reason == gen.FINISH_REASON_ABORT
    ids = [i for part in (first, *rest) for i in part.token_ids]
    assert rest[-1].finish.completion_tokens == len(ids)
    assert load(unhurried) == 0
    assert not (await unhurried.stub.Preempt(wire.PreemptRequest(request_id="victim"))).found


async def test_a_preempted_answer_continues_where_it_ended(unhurried: Served) -> None:
    whole = await messages(unhurried.stub, request(max_tokens=60))
    call = unhurried.stub.Generate(request(request_id="mover", max_tokens=60))
    part = [await call.read(), await call.read()]
    await unhurried.stub.Preempt(wire.PreemptRequest(request_id="mover"))
    part += await rest_of(call)
    again = request(request_id="mover", max_tokens=60)
    again.resume_token_ids.extend(i for message in part for i in message.token_ids)
    rest = await messages(unhurried.stub, again)
    assert "".join(m.text for m in (*part, *rest)) == "".join(m.text for m in whole)


async def test_preempting_while_the_client_does_not_read() -> None:
    async with served(simulated(max_context_tokens=100_000)) as it:
        call = it.stub.Generate(request(request_id="slow", max_tokens=90_000, ignore_eos=True, logprobs=20))
        await call.read()
        await asyncio.sleep(0.3)
        assert (await it.stub.Preempt(wire.PreemptRequest(request_id="slow"))).found
        assert (await rest_of(call))[-1].finish.reason == gen.FINISH_REASON_ABORT


async def test_draining_waits_for_what_runs_and_refuses_what_comes(unhurried: Served) -> None:
    call = unhurried.stub.Generate(request(max_tokens=30, ignore_eos=True))
    await call.read()
    drain = asyncio.create_task(_unary(unhurried.stub.Drain(wire.DrainRequest(grace_s=20))))
    health = health_pb2_grpc.HealthStub(unhurried.channel)

    async def draining() -> bool:
        fault = await refusal(unhurried.stub.Generate(request(request_id="late", max_tokens=1)))
        return fault.code() is grpc.StatusCode.UNAVAILABLE and "draining" in (fault.details() or "")

    while unhurried.worker.phase == wire.WORKER_PHASE_READY:
        await asyncio.sleep(0.001)
    assert await draining()
    parts = await rest_of(call)
    assert parts[-1].finish.reason == gen.FINISH_REASON_LENGTH
    assert (await drain).still_running == 0
    state = await health.Check(health_pb2.HealthCheckRequest(service="headgate.v1.Worker"))
    assert state.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def _unary(call: Any) -> Any:
    return await call


async def test_a_drain_answers_when_its_grace_is_over(unhurried: Served) -> None:
    call = unhurried.stub.Generate(request(max_tokens=8000, ignore_eos=True))
    await call.read()
    assert (await unhurried.stub.Drain(wire.DrainRequest(grace_s=0.05))).still_running == 1
    fault = await refusal(unhurried.stub.Drain(wire.DrainRequest(grace_s=float("nan"))))
    assert fault.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_end_of_the_grace_hands_answers_back(unhurried: Served) -> None:
    call = unhurried.stub.Generate(request(max_tokens=8000, ignore_eos=True))
    await call.read()
    stop = asyncio.create_task(unhurried.worker.drain(0.05))
    parts = await rest_of(call)
    assert parts[-1].finish.reason == gen.FINISH_REASON_ABORT
    await stop


async def test_a_busy_engine_is_told_apart() -> None:
    async with served(simulated(failures={"refuse_rate": 1.0})) as it:
        fault = await refusal(it.stub.Generate(request()))
        assert fault.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_broken_engine_is_told_apart_and_stays_broken() -> None:
    async with served(simulated(failures={"fail_after_tokens": 5})) as it:
        fault = await refusal(it.stub.Generate(request(max_tokens=50)))
        assert fault.code() is grpc.StatusCode.UNAVAILABLE
        assert "on purpose" in await asyncio.wait_for(it.worker.broken(), 20)
        assert (await refusal(it.stub.Generate(request()))).code() is grpc.StatusCode.UNAVAILABLE


async def test_before_the_engine_is_ready() -> None:
    async with served(simulated(failures={"start_s": 60}), start=False) as it:
        fault = await refusal(it.stub.Generate(request()))
        assert (fault.code(), fault.details()) == (grpc.StatusCode.UNAVAILABLE, "this worker is starting")
        state = await it.stub.Watch(wire.WatchRequest()).read()
        assert state.phase == wire.WORKER_PHASE_STARTING
        assert state.incarnation


async def test_embeddings() -> None:
    async with served(simulated(embedding_dimensions=32)) as it:
        asked = wire.EmbedRequest(request_id="e", model="sim", texts=["a river", "a stream"], dimensions=16)
        answer = await it.stub.Embed(asked)
        assert [len(v.values) for v in answer.vectors] == [16, 16]
        assert answer.prompt_tokens > 0
        for texts, dimensions, param in (
            ([], 16, "input"),
            ([""], 16, "input"),
            (["a"], 0, "dimensions"),
            (["a"], 64, "dimensions"),
        ):
            bad = wire.EmbedRequest(request_id="e", model="sim", texts=texts, dimensions=dimensions)
            fault = await refusal(it.stub.Embed(bad))
            assert fault.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert dict(fault.trailing_metadata() or ())["x-headgate-param"] == param


async def test_an_engine_that_does_not_embed(fast: Served) -> None:
    fault = await refusal(fast.stub.Embed(wire.EmbedRequest(request_id="e", model="sim", texts=["a"])))
    assert fault.code() is grpc.StatusCode.UNIMPLEMENTED


class Buggy:
    """An engine with a bug nobody foresaw."""

    def __init__(self, deltas: Sequence[Delta] = ()) -> None:
        self.deltas = deltas

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        for delta in self.deltas:
            yield delta
        if not self.deltas:
            raise ZeroDivisionError(f"can't divide {generation.prompt}")

    def stats(self) -> EngineStats:
        return EngineStats()

    async def ready(self) -> EngineInfo:
        return EngineInfo("buggy", ("sim",))

    async def close(self) -> None:
        return


async def test_an_unforeseen_fault_tells_the_caller_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    async with served(Buggy()) as it:
        fault = await refusal(it.stub.Generate(request()))
        assert fault.code() is grpc.StatusCode.INTERNAL
        assert "rivers" not in (fault.details() or "")
        assert "nobody foresaw: ZeroDivisionError" in caplog.text
        assert "rivers" not in caplog.text


async def test_a_stream_that_just_ends_is_a_fault() -> None:
    async with served(Buggy([Delta((1,), "a", prompt_tokens=1)])) as it:
        assert (await refusal(it.stub.Generate(request()))).code() is grpc.StatusCode.UNAVAILABLE


async def test_the_same_request_id_twice_at_once(unhurried: Served) -> None:
    """A router may come back before its old call is gone; both run, and one order ends both."""
    calls = [unhurried.stub.Generate(request(request_id="twin", max_tokens=4000, ignore_eos=True)) for _ in range(2)]
    for call in calls:
        await call.read()
    await unhurried.stub.Preempt(wire.PreemptRequest(request_id="twin"))
    for call in calls:
        parts = await rest_of(call)
        assert parts[-1].finish.reason == gen.FINISH_REASON_ABORT


async def test_many_hang_up_at_random_and_nothing_is_left(unhurried: Served) -> None:
    assert isinstance(unhurried.engine, Simulated)

    async def some(number: int) -> None:
        call = unhurried.stub.Generate(request(f"Prompt {number}", f"r{number}", max_tokens=4000, ignore_eos=True))
        for _ in range(number % 7):
            await call.read()
        call.cancel()

    await asyncio.gather(*(some(number) for number in range(100)))
    await until(lambda: load(unhurried) == 0 and unhurried.worker.active == 0)
    assert unhurried.engine.stats().kv_used == 0.0
