"""The front as OpenAI's own Python client sees it, over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from tests.router.fronts.http_fakes import KEY, SECRET, TEXT, USAGE, WORDS, FakeDispatcher, serving, until

HI: list[Any] = [{"role": "user", "content": SECRET}]


def about(answer: Any) -> dict[str, Any]:
    """Our own object in an answer, a chunk or a model."""
    found: dict[str, Any] = answer.to_dict()["headgate"]
    return found


@asynccontextmanager
async def client_of(dispatcher: FakeDispatcher, key: str = KEY) -> AsyncIterator[AsyncOpenAI]:
    async with serving(dispatcher) as (_, port):
        client = AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0)
        try:
            yield client
        finally:
            await client.close()


async def test_chat() -> None:
    async with client_of(FakeDispatcher()) as client:
        raw = await client.chat.completions.with_raw_response.create(model="small", messages=HI)
        answer = raw.parse()
        (choice,) = answer.choices
        assert (choice.message.content, choice.message.role, choice.finish_reason) == (TEXT, "assistant", "stop")
        assert (answer.object, answer.model) == ("chat.completion", "smollm2")
        assert answer.usage is not None
        assert answer.usage.total_tokens == USAGE.prompt_tokens + USAGE.completion_tokens
        assert answer.usage.prompt_tokens_details is not None
        assert answer.usage.prompt_tokens_details.cached_tokens == USAGE.cached_tokens
        headgate = about(answer)
        assert headgate == {
            "request_id": raw.headers["x-headgate-request-id"],
            "pool": "small",
            "model": "smollm2",
            "replica": "small-0",
            "reason": "short prompt; least loaded",
            "simulated": True,
            "quality": None,
            "policy": "",
            "exploring": False,
            "cost_usd": 0.000125,
            "cached_tokens": 4,
            "resumed": 1,
            "escalated": 0,
            "ttft_ms": 250.0,
            "footprint": None,
            "budgets": [],
        }
        assert raw.headers["x-headgate-cost-usd"] == "0.000125"
        assert raw.headers["x-headgate-simulated"] == "true"
        assert answer.id == f"chatcmpl-{headgate['request_id']}"
        assert raw.headers["x-request-id"] == headgate["request_id"]


async def test_streaming_with_usage() -> None:
    async with client_of(FakeDispatcher()) as client:
        chunks = [
            chunk
            async for chunk in await client.chat.completions.create(
                model="small", messages=HI, stream=True, stream_options={"include_usage": True}
            )
        ]
        *spoken, last = chunks
        assert spoken[0].choices[0].delta.role == "assistant"
        assert [chunk.choices[0].delta.content for chunk in spoken[1:-1]] == list(WORDS)
        assert spoken[-1].choices[0].finish_reason == "stop"
        assert all(chunk.usage is None for chunk in spoken)
        assert last.choices == []
        assert last.usage is not None
        assert last.usage.completion_tokens == USAGE.completion_tokens
        assert about(last)["cost_usd"] == 0.000125
        assert len({chunk.id for chunk in chunks}) == 1


async def test_streaming_without_usage_gives_every_chunk_a_choice() -> None:
    async with client_of(FakeDispatcher()) as client:
        stream = await client.chat.completions.create(model="small", messages=HI, stream=True)
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
        assert chunks[-1].choices[0].finish_reason == "stop"
        assert about(chunks[-1])["replica"] == "small-0"
        assert stream.response.headers["x-headgate-pool"] == "small"


async def test_several_choices() -> None:
    async with client_of(FakeDispatcher()) as client:
        answer = await client.chat.completions.create(model="small", messages=HI, n=3)
        assert [(choice.index, choice.message.content) for choice in answer.choices] == [(i, TEXT) for i in range(3)]
        texts = dict.fromkeys(range(3), "")
        ends: list[int] = []
        async for chunk in await client.chat.completions.create(model="small", messages=HI, n=3, stream=True):
            (choice,) = chunk.choices
            texts[choice.index] += choice.delta.content or ""
            ends += [choice.index] if choice.finish_reason else []
        assert texts == dict.fromkeys(range(3), TEXT)
        assert ends == [0, 1, 2]


async def test_what_is_asked_reaches_the_dispatcher() -> None:
    fake = FakeDispatcher()
    schema: Any = {"type": "json_schema", "json_schema": {"name": "p", "schema": {"type": "object"}, "strict": True}}
    async with client_of(fake) as client:
        await client.chat.completions.create(
            model="small",
            messages=HI,
            stop=["###", "END"],
            max_completion_tokens=7,
            temperature=0,
            seed=3,
            response_format=schema,
            logit_bias={"5": -100},
            extra_body={"top_k": 4, "min_p": 0.1, "skip_special_tokens": False},
            extra_headers={"x-session-id": "s1", "x-request-id": "r-1", "x-headgate-timeout-s": "9.5"},
        )
    (request,) = fake.requests
    sampling = request.sampling
    assert (request.id, request.session, request.tenant, request.model) == ("r-1", "s1", "team", "small")
    assert (sampling.stop, sampling.max_tokens, sampling.seed) == (("###", "END"), 7, 3)
    assert sampling.greedy
    assert sampling.constraint is not None
    assert (sampling.constraint.kind, sampling.constraint.value) == ("json_schema", '{"type":"object"}')
    assert (sampling.logit_bias, sampling.top_k, sampling.min_p) == (((5, -100.0),), 4, 0.1)
    assert sampling.extra_json == '{"skip_special_tokens":false}'
    assert request.deadline is not None


async def test_logprobs_of_chat() -> None:
    async with client_of(FakeDispatcher()) as client:
        answer = await client.chat.completions.create(model="small", messages=HI, logprobs=True, top_logprobs=2)
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.content is not None
        assert [token.token for token in logprobs.content] == list(WORDS)
        first = logprobs.content[0]
        assert (first.logprob, bytes(first.bytes or [])) == (-0.25, b"Hel")
        assert [(top.token, top.logprob) for top in first.top_logprobs] == [("Hel", -0.25), ("other", -9999.0)]
        streamed: list[str] = []
        async for chunk in await client.chat.completions.create(model="small", messages=HI, logprobs=True, stream=True):
            part = chunk.choices[0].logprobs
            streamed += [token.token for token in part.content or []] if part else []
        assert streamed == list(WORDS)


async def test_logprobs_of_completions() -> None:
    async with client_of(FakeDispatcher()) as client:
        answer = await client.completions.create(model="small", prompt="hi", logprobs=1)
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.tokens == list(WORDS)
        assert logprobs.text_offset == [len("".join(WORDS[:i])) for i in range(len(WORDS))]
        assert logprobs.top_logprobs is not None
        assert logprobs.top_logprobs[0] == {"Hel": -0.25, "other": -9999.0}
        offsets: list[int] = []
        async for chunk in await client.completions.create(model="small", prompt="hi", logprobs=1, stream=True):
            part = chunk.choices[0].logprobs
            offsets += part.text_offset or [] if part else []
        assert offsets == logprobs.text_offset


async def test_completions_of_several_prompts() -> None:
    fake = FakeDispatcher()
    async with client_of(fake) as client:
        answer = await client.completions.create(model="small", prompt=["a", "b"], n=2, echo=True)
        assert [choice.text for choice in answer.choices] == ["a" + TEXT, "a" + TEXT, "b" + TEXT, "b" + TEXT]
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
        assert answer.usage is not None
        assert answer.usage.prompt_tokens == 2 * USAGE.prompt_tokens
        assert answer.usage.completion_tokens == 4 * len(WORDS)
        assert about(answer)["cost_usd"] == 0.00025
        assert len({request.id for request in fake.requests}) == 2
        texts = dict.fromkeys(range(4), "")
        async for chunk in await client.completions.create(model="small", prompt=["a", "b"], n=2, echo=True, stream=True):
            texts[chunk.choices[0].index] += chunk.choices[0].text
        assert list(texts.values()) == [choice.text for choice in answer.choices]


async def test_completion_of_token_ids_and_their_report() -> None:
    fake = FakeDispatcher()
    async with client_of(fake) as client:
        answer = await client.completions.create(model="small", prompt=[1, 2, 3], extra_body={"return_token_ids": True})
        assert answer.choices[0].to_dict()["token_ids"] == list(range(len(WORDS)))
        assert fake.requests[0].prompt.ids == (1, 2, 3)  # type: ignore[union-attr]
        assert fake.requests[0].sampling.max_tokens == 16


async def test_tool_calls() -> None:
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    async with client_of(FakeDispatcher()) as client:
        answer = await client.chat.completions.create(model="tools", messages=HI, tools=tools, tool_choice="required")
        (choice,) = answer.choices
        assert choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls is not None
        assert choice.message.tool_calls[0].to_dict() == {
            "id": "call_1",
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
        }
        names = []
        async for chunk in await client.chat.completions.create(model="tools", messages=HI, tools=tools, stream=True):
            names += [call.function.name for call in chunk.choices[0].delta.tool_calls or [] if call.function]
        assert names == ["f"]


async def test_embeddings_as_numbers_and_packed() -> None:
    fake = FakeDispatcher()
    async with client_of(fake) as client:
        packed = await client.embeddings.create(model="e", input=["a", "b"], dimensions=2)
        plain = await client.embeddings.create(model="e", input="a", encoding_format="float")
        assert [item.embedding for item in packed.data] == [[0.0, 0.5], [1.0, 0.5]]
        assert plain.data[0].embedding == [0.0, 0.5]
        assert packed.usage.total_tokens == 7
    assert (fake.embeds[0].texts, fake.embeds[0].dimensions, fake.embeds[1].texts) == (("a", "b"), 2, ("a",))


async def test_models() -> None:
    async with client_of(FakeDispatcher()) as client:
        page = await client.models.list()
        assert [model.id for model in page.data] == ["small", "org/model"]
        model = await client.models.retrieve("org/model")
        assert model.owned_by == "headgate"
        assert [pool["pool"] for pool in about(model)["pools"]] == ["small", "large"]
        with pytest.raises(openai.NotFoundError) as failed:
            await client.models.retrieve("nothing")
        assert failed.value.code == "model_not_found"


ERRORS: dict[str, tuple[type[openai.APIStatusError], int, str | None]] = {
    "missing": (openai.NotFoundError, 404, "model_not_found"),
    "forbidden": (openai.PermissionDeniedError, 403, "pool_not_allowed"),
    "busy": (openai.RateLimitError, 429, "overloaded"),
    "broke": (openai.RateLimitError, 429, "budget_exceeded"),
    "none": (openai.InternalServerError, 503, "no_replica"),
    "late": (openai.InternalServerError, 504, "deadline_exceeded"),
    "lost-early": (openai.InternalServerError, 502, "answer_lost"),
    "bug": (openai.InternalServerError, 500, "internal"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ERRORS)
async def test_errors_have_the_class_the_client_knows(model: str, stream: bool) -> None:
    kind, status, code = ERRORS[model]
    async with client_of(FakeDispatcher()) as client:
        with pytest.raises(kind) as failed:
            await client.chat.completions.create(model=model, messages=HI, stream=stream)
    assert (failed.value.status_code, failed.value.code) == (status, code)
    assert failed.value.request_id
    assert SECRET not in failed.value.message
    if model == "missing":
        assert (failed.value.param, failed.value.type) == ("model", "invalid_request_error")
    if model == "busy":
        assert failed.value.response.headers["retry-after"] == "2"
        assert failed.value.response.headers["retry-after-ms"] == "1500"


async def test_a_wrong_key_and_no_key() -> None:
    async with client_of(FakeDispatcher(keys=True), key="sk-wrong") as client:
        with pytest.raises(openai.AuthenticationError) as failed:
            await client.chat.completions.create(model="small", messages=HI)
        assert (failed.value.code, failed.value.type) == ("invalid_api_key", "invalid_request_error")
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
    async with client_of(FakeDispatcher(keys=True)) as client:
        await client.chat.completions.create(model="small", messages=HI)


async def test_a_wrong_parameter_is_named() -> None:
    async with client_of(FakeDispatcher()) as client:
        with pytest.raises(openai.BadRequestError) as failed:
            await client.chat.completions.create(model="small", messages=HI, temperature=3)
        assert (failed.value.param, failed.value.code) == ("temperature", "invalid_value")


@pytest.mark.parametrize("model", ["lost", "bug-late"])
async def test_an_error_in_mid_stream_is_an_event_and_no_end(model: str) -> None:
    said = ""
    async with client_of(FakeDispatcher()) as client:
        stream = await client.chat.completions.create(model=model, messages=HI, stream=True)
        with pytest.raises(openai.APIError) as failed:  # noqa: PT012 - what came before the error counts
            async for chunk in stream:
                said += chunk.choices[0].delta.content or ""
    assert said == "Hello"
    assert failed.value.code == ("answer_lost" if model == "lost" else "internal")
    assert SECRET not in failed.value.message


async def test_a_client_that_leaves_frees_its_request() -> None:
    fake = FakeDispatcher()
    async with client_of(fake) as client:
        for model in ("hang", "endless"):
            stream = await client.chat.completions.create(model=model, messages=HI, stream=True)
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
            assert fake.running == 1
            await stream.close()
            await until(lambda: fake.running == 0)
        with pytest.raises(openai.APITimeoutError):
            await client.with_options(timeout=0.2).chat.completions.create(model="hang-early", messages=HI)
        await until(lambda: fake.running == 0)
