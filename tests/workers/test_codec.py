"""What the worker refuses before an engine sees it, over real gRPC: each fault names its field."""

from collections.abc import AsyncIterator, Callable

import grpc
import pytest

from headgate.v1 import worker_pb2 as wire
from tests.workers.serving import Served, refusal, request, served, simulated


@pytest.fixture
async def fast() -> AsyncIterator[Served]:
    async with served(simulated()) as it:
        yield it


def _changed(change: Callable[[wire.WorkerGenerateRequest], object]) -> wire.WorkerGenerateRequest:
    message = request()
    change(message)
    return message


INVALID: list[tuple[str, Callable[[wire.WorkerGenerateRequest], object]]] = [
    ("request_id", lambda m: setattr(m, "request_id", "")),
    ("request_id", lambda m: setattr(m, "request_id", "x" * 300)),
    ("prompt", lambda m: m.ClearField("text")),
    ("prompt", lambda m: setattr(m, "text", "")),
    ("prompt", lambda m: m.token_ids.ids.extend([999_999])),
    ("prompt", lambda m: m.token_ids.SetInParent()),
    ("prompt", lambda m: setattr(m, "text", "river " * 20_000)),
    ("messages", lambda m: setattr(m.chat, "messages_json", b"{")),
    ("messages", lambda m: setattr(m.chat, "messages_json", b"[]")),
    ("messages", lambda m: setattr(m.chat, "messages_json", b"[1]")),
    ("messages", lambda m: setattr(m.chat, "messages_json", b'[{"role": "user", "content": 5}]')),
    ("messages", lambda m: setattr(m.chat, "messages_json", b'[{"content": "x"}]')),
    ("messages", lambda m: setattr(m.chat, "messages_json", b'[{"role": "user", "content": [{"type": "image_url"}]}]')),
    ("max_tokens", lambda m: setattr(m.sampling, "max_tokens", 0)),
    ("min_tokens", lambda m: (setattr(m.sampling, "max_tokens", 2), setattr(m.sampling, "min_tokens", 3))),
    ("temperature", lambda m: setattr(m.sampling, "temperature", -1)),
    ("temperature", lambda m: setattr(m.sampling, "temperature", float("nan"))),
    ("top_p", lambda m: setattr(m.sampling, "top_p", 0)),
    ("top_k", lambda m: setattr(m.sampling, "top_k", -2)),
    ("min_p", lambda m: setattr(m.sampling, "min_p", 1.5)),
    ("presence_penalty", lambda m: setattr(m.sampling, "presence_penalty", 3)),
    ("frequency_penalty", lambda m: setattr(m.sampling, "frequency_penalty", float("inf"))),
    ("repetition_penalty", lambda m: setattr(m.sampling, "repetition_penalty", 0)),
    ("logprobs", lambda m: setattr(m.sampling, "logprobs", 21)),
    ("stop", lambda m: m.sampling.stop.extend([""])),
    ("stop", lambda m: m.sampling.stop.extend(["x"] * 65)),
    ("stop", lambda m: m.sampling.stop.extend(["x" * 1025])),
    ("stop_token_ids", lambda m: m.sampling.stop_token_ids.extend([1] * 2000)),
    ("logit_bias", lambda m: m.sampling.logit_bias.update({1: float("nan")})),
    ("logit_bias", lambda m: m.sampling.logit_bias.update({999_999: 1.0})),
    ("logit_bias", lambda m: m.sampling.logit_bias.update(dict.fromkeys(range(2000), 1.0))),
    ("choice", lambda m: m.sampling.choice.SetInParent()),
    ("json_schema", lambda m: setattr(m.sampling, "json_schema", "")),
    ("json_schema", lambda m: setattr(m.sampling, "json_schema", "[" * 100_000)),
    ("regex", lambda m: setattr(m.sampling, "regex", "a+")),
    ("extra_json", lambda m: setattr(m.sampling, "extra_json", "[]")),
    ("bogus", lambda m: setattr(m.sampling, "extra_json", '{"bogus": 1}')),
    ("tools", lambda m: (setattr(m.chat, "messages_json", b'[{"role": "user"}]'), setattr(m.chat, "tools_json", b"[{}]"))),
]


@pytest.mark.parametrize(("param", "change"), INVALID, ids=[f"{param}-{i}" for i, (param, _) in enumerate(INVALID)])
async def test_what_can_never_be_served_is_refused_by_name(
    fast: Served, param: str, change: Callable[[wire.WorkerGenerateRequest], object]
) -> None:
    fault = await refusal(fast.stub.Generate(_changed(change)))
    assert fault.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert dict(fault.trailing_metadata() or ())["x-headgate-param"] == param
    assert fault.details()
    assert fast.engine.stats().running + fast.engine.stats().waiting == 0


@pytest.mark.parametrize("name", ["日本", "x" * 200_000, "a\\nb", ""], ids=["unicode", "long", "line", "empty"])
async def test_names_that_no_header_can_carry_are_left_out(fast: Served, name: str) -> None:
    fault = await refusal(fast.stub.Generate(request(extra_json=f'{{"{name}": 1}}')))
    assert fault.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "x-headgate-param" not in dict(fault.trailing_metadata() or ())
    assert "parameter" in (fault.details() or "")


async def test_a_huge_prompt_is_refused_before_it_is_read(fast: Served) -> None:
    fault = await refusal(fast.stub.Generate(request("x" * 8_000_000)))
    assert fault.code() is grpc.StatusCode.INVALID_ARGUMENT
