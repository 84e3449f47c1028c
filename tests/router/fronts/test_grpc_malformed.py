"""A thousand malformed calls on uvloop, as in production: each is told INVALID_ARGUMENT and the field, nothing is logged, and
the memory stays flat.
"""

import gc
import logging
import math
import os
import random
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import uvloop

from headgate.oip.v2 import grpc_predict_v2_pb2 as oip
from headgate.v1 import inference_pb2
from tests.router.fronts.grpc_fakes import FakeDispatcher, serving, trailers

SEED = 20_260_703
INFERENCE, OIP = "/headgate.v1.Inference/", "/inference.GRPCInferenceService/"
OK, INVALID, NOT_FOUND = grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND

# Method → what random bytes may end as. Bytes may happen to be a message of unknown fields only, which proto3 lets pass: then
# the methods that need no field answer, and the others miss one.
BYTES = {
    INFERENCE + "Generate": {INVALID},
    INFERENCE + "Quote": {INVALID},
    INFERENCE + "Feedback": {INVALID},
    INFERENCE + "ListModels": {OK, INVALID},
    INFERENCE + "Budget": {OK, INVALID},
    OIP + "ModelInfer": {INVALID},
    OIP + "ModelReady": {INVALID},
    OIP + "ModelMetadata": {INVALID},
    OIP + "ServerLive": {OK, INVALID},
    OIP + "ServerReady": {OK, INVALID},
    OIP + "ServerMetadata": {OK, INVALID},
    OIP + "ModelStreamInfer": {OK, INVALID},
    "/grpc.health.v1.Health/Check": {OK, INVALID, NOT_FOUND},
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {OK, INVALID},
}
STREAMS = ("Generate", "ModelStreamInfer", "ServerReflectionInfo")
BOTH_WAYS = ("ModelStreamInfer", "ServerReflectionInfo")

Wire = inference_pb2.GenerateRequest
Outcome = tuple[grpc.StatusCode, str, str, list[bytes]]


async def call(channel: grpc.aio.Channel, method: str, raw: bytes) -> Outcome:
    """Status, text, field at fault, and the raw answers."""
    name = method.rpartition("/")[2]
    plain = {"request_serializer": bytes, "response_deserializer": bytes}
    answers: list[bytes] = []
    try:
        if name in BOTH_WAYS:
            answers = [each async for each in channel.stream_stream(method, **plain)(iter([raw]), timeout=20)]
        elif name in STREAMS:
            answers = [each async for each in channel.unary_stream(method, **plain)(raw, timeout=20)]
        else:
            answers = [await channel.unary_unary(method, **plain)(raw, timeout=20)]
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or "", str(trailers(error).get("x-headgate-param", "")), answers
    return OK, "", "", answers


def random_bytes(rng: random.Random, count: int) -> Iterator[tuple[str, bytes]]:
    for _ in range(count):
        yield rng.choice(list(BYTES)), rng.randbytes(rng.choice((1, 2, 7, 40, 300)))


def wrong_values(rng: random.Random) -> dict[str, Callable[[], dict[str, Any]]]:
    """Field at fault → a request that is wrong there, anew each time."""

    def sampling(**values: Any) -> dict[str, Any]:
        return {"sampling": values}

    def outside(low: float, high: float) -> float:
        return rng.choice((low - rng.random() - 1e-6, high + rng.random() + 1e-6, math.nan, math.inf, -math.inf))

    return {
        "sampling.temperature": lambda: sampling(temperature=outside(0, 2)),
        "sampling.top_p": lambda: sampling(top_p=outside(0, 1)),
        "sampling.min_p": lambda: sampling(min_p=outside(0, 1)),
        "sampling.presence_penalty": lambda: sampling(presence_penalty=outside(-2, 2)),
        "sampling.frequency_penalty": lambda: sampling(frequency_penalty=outside(-2, 2)),
        "sampling.repetition_penalty": lambda: sampling(repetition_penalty=rng.choice((0.0, -rng.random(), math.nan))),
        "sampling.max_tokens": lambda: sampling(max_tokens=rng.choice((0, 2**31, 2**32 - 1))),
        "sampling.min_tokens": lambda: sampling(min_tokens=rng.randint(2, 2**32 - 1), max_tokens=1),
        "sampling.top_k": lambda: sampling(top_k=-rng.randint(2, 2**31)),
        "sampling.logprobs": lambda: sampling(logprobs=rng.randint(21, 2**32 - 1)),
        "sampling.stop[0]": lambda: sampling(stop=[rng.choice(("", "x" * 1025))]),
        "sampling.stop": lambda: sampling(stop=["x"] * rng.randint(65, 99)),
        "sampling.stop_token_ids[0]": lambda: sampling(stop_token_ids=[rng.randint(2**31, 2**32 - 1)]),
        "sampling.logit_bias[3]": lambda: sampling(logit_bias={3: outside(-100, 100)}),
        "sampling.json_schema": lambda: sampling(json_schema=rng.choice(("[]", "{", "nul", '"x"', "1e"))),
        "sampling.choice.options": lambda: sampling(choice={"options": [""] * rng.randint(0, 3)}),
        "sampling.regex": lambda: sampling(regex=""),
        "sampling.extra_json": lambda: sampling(extra_json=rng.choice(("[]", "{", "{'a':1}"))),
        "model": lambda: {"model": "m" * rng.randint(257, 999)},
        "n": lambda: {"n": rng.choice((0, rng.randint(17, 2**32 - 1)))},
        "session_id": lambda: {"session_id": "s" * 257},
        "request_id": lambda: {"request_id": rng.choice(("a b", "ü", "\x00", "x" * 129, "a\nb"))},
        "text": lambda: {"text": ""},
        "token_ids.ids": lambda: {"token_ids": {}},
        "token_ids.ids[1]": lambda: {"token_ids": {"ids": [0, rng.randint(2**31, 2**32 - 1)]}},
        "chat.messages": lambda: {"chat": {}},
        "chat.messages[0].role": lambda: {"chat": {"messages": [{"role": rng.choice(("", "root", "User"))}]}},
        "chat.tools_json": lambda: {"chat": {"messages": [{"role": "user"}], "tools_json": rng.choice(("{}", "[", "x"))}},
    }


def mutated(rng: random.Random, message: bytes) -> bytes:
    """A good message with some bytes changed: wrong wire types, lengths, field numbers, UTF-8."""
    raw = bytearray(message)
    for _ in range(rng.randint(1, 4)):
        raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)


def good_messages() -> dict[str, bytes]:
    ask = Wire(model="auto", text="hello", n=1, sampling={"temperature": 0.5, "stop": ["a"], "seed": 3})
    tensor = {"name": "text_input", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [b"hello"]}}
    infer = oip.ModelInferRequest(model_name="small", inputs=[tensor], parameters={"seed": {"int64_param": 3}})
    infer_raw = infer.SerializeToString()
    return {INFERENCE + "Generate": ask.SerializeToString(), OIP + "ModelInfer": infer_raw, OIP + "ModelStreamInfer": infer_raw}


def memory() -> tuple[int, int]:
    """Bytes: what Python holds, and what the process holds."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0], int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def storm(rng: random.Random, channel: grpc.aio.Channel) -> int:
    """About 250 malformed calls; returns how many."""
    count = 0
    for method, raw in random_bytes(rng, 100):
        status, text, field, answers = await call(channel, method, raw)
        assert status in BYTES[method], (method, raw, text)
        assert status != INVALID or (field and field in text), (method, raw, text)
        if method.endswith("ModelStreamInfer") and status == OK:
            assert oip.ModelStreamInferResponse.FromString(answers[0]).error_message
        count += 1
    for field, make in wrong_values(rng).items():
        for method in ("Generate", "Quote"):
            prompt = {} if {"token_ids", "chat"} & set(fields := make()) else {"text": "hi"}
            raw = Wire(**({"model": "auto"} | prompt | fields)).SerializeToString()
            status, text, told, _ = await call(channel, INFERENCE + method, raw)
            assert (status, told) == (INVALID, field), (field, text)
            assert text.startswith(f"{field}: ")
            count += 1
    for method, message in good_messages().items():
        for _ in range(35):
            raw = mutated(rng, message)
            status, text, field, _ = await call(channel, method, raw)
            # A change may also leave a good message, or one that asks for another version of the model.
            assert status in (OK, INVALID, NOT_FOUND), (method, raw, text)
            assert status != INVALID or (field and "Traceback" not in text), (method, raw, text)
            count += 1
    return count


async def thousand_calls() -> None:
    rng, count = random.Random(SEED), 0
    async with serving(fake := FakeDispatcher()) as channel:
        # The first round fills caches and pools.
        count += await storm(rng, channel)
        tracemalloc.start()
        python_before, process_before = memory()
        while count < 1000:
            count += await storm(rng, channel)
            fake.asked.clear()
        python_after, process_after = memory()
        tracemalloc.stop()
        assert fake.open == 0
    assert python_after - python_before < 256 * 1024
    assert process_after - process_before < 32 * 1024 * 1024


def test_a_thousand_malformed_calls(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.WARNING)
    uvloop.run(thousand_calls())
    assert not caplog.records
    assert "Traceback" not in "".join(capfd.readouterr())
