"""gRPC clients of both protocols through a real router to a real worker process."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from headgate.v1 import inference_pb2
from headgate.v1.inference_pb2_grpc import InferenceStub
from tests.router.fronts.test_grpc_reflection import SERVICES, ask_by_reflection
from tests.stack import Stack


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path, {"kind": "simulated", "profile": "instant"}, replicas=2) as stack:
        yield stack


async def test_a_client_that_has_only_reflection(stack: Stack) -> None:
    services, text, oip_text = await asyncio.to_thread(ask_by_reflection, stack.grpc, "pool")
    assert services == SERVICES
    assert text.startswith("[simulated]")
    assert oip_text.startswith("[simulated]")


async def test_an_answer_says_what_it_cost_and_why_and_can_be_judged(stack: Stack) -> None:
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        stub = InferenceStub(channel)
        asked = inference_pb2.GenerateRequest(model="auto", text="Why?", sampling={"max_tokens": 8, "temperature": 0}, n=2)
        quote = await stub.Quote(asked)
        events = [event async for event in stub.Generate(asked)]
        started, finished = events[0].started, events[-1].finished
        verdict = await stub.Feedback(inference_pb2.FeedbackRequest(request_id=started.request_id, score=1.0))
        models = (await stub.ListModels(inference_pb2.ListModelsRequest())).models
    assert quote.options[0].decision.pool == started.decision.pool == verdict.pool == "pool"
    assert {event.delta.index for event in events[1:-1]} == {0, 1}
    assert finished.usage.completion_tokens == 16
    prompt, cached = finished.usage.prompt_tokens, finished.usage.cached_tokens
    assert finished.cost_usd == pytest.approx(((prompt - cached) * 1.0 + cached * 0.1 + 16 * 10.0) / 1e6)
    assert finished.decision.reason
    assert finished.decision.simulated
    assert {model.name for model in models} == {"pool", "the-model"}
