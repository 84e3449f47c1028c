"""The official client against real vLLM through the router: what an application developer would try on the first day."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
import pytest_asyncio

from tests.chaos.test_kill_vllm import engine
from tests.stack import Stack

KEY = "sk-of-the-tests"
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "continent": {"enum": ["Africa", "Asia", "Europe"]},
        "capital": {"type": "boolean"},
    },
    "required": ["city", "continent", "capital"],
    "additionalProperties": False,
}
PARIS: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, smollm2: Path) -> AsyncIterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("stack"), engine(smollm2), replicas=1, start_s=240)
    stack.tenants = [{"name": "tests", "key_sha256": [hashlib.sha256(KEY.encode()).hexdigest()]}]
    async with stack:
        yield stack


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(stack: Stack) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{stack.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


async def test_chat(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="auto", messages=PARIS, temperature=0, max_tokens=20)
    assert "Paris" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    told = answer.headgate  # type: ignore[attr-defined]
    assert (told["pool"], told["simulated"]) == ("pool", False)
    assert told["cost_usd"] > 0
    assert told["reason"]


async def test_streaming_with_usage_says_the_same(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model="pool", messages=PARIS, temperature=0, max_tokens=20)
    options: Any = {"include_usage": True}
    text, usage, reasons = "", None, []
    stream = await client.chat.completions.create(
        model="pool", messages=PARIS, temperature=0, max_tokens=20, stream=True, stream_options=options
    )
    async for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert text == whole.choices[0].message.content
    assert reasons == ["stop"]
    assert usage is not None
    assert whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens


async def test_a_long_prompt_is_cached_the_second_time(client: openai.AsyncOpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "The gate divides the river. " * 60 + "What does the gate do?"}]
    cached = []
    for _ in range(2):
        answer = await client.chat.completions.create(model="pool", messages=messages, max_tokens=4, temperature=0)
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        cached.append(answer.usage.prompt_tokens_details.cached_tokens)
    assert cached[0] == 0
    assert cached[1] >= 128


async def test_several_choices(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="pool", messages=PARIS, n=3, temperature=1.0, seed=4, max_tokens=12)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) > 1


async def test_stop(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model="pool", messages=PARIS, temperature=0, max_tokens=20, stop=[" Paris"])
    assert (answer.choices[0].message.content or "").endswith(" is")
    assert answer.choices[0].finish_reason == "stop"


async def test_logprobs(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="pool", messages=PARIS, temperature=0, max_tokens=8, logprobs=True, top_logprobs=2
    )
    told = answer.choices[0].logprobs
    assert told is not None
    tokens = told.content or []
    assert answer.usage is not None
    assert len(tokens) == answer.usage.completion_tokens
    assert all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in tokens)
    spoken = b"".join(bytes(token.bytes or ()) for token in tokens).decode()
    assert spoken.startswith(answer.choices[0].message.content or "")


async def test_json_schema(client: openai.AsyncOpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": CITY, "strict": True}}
    answer = await client.chat.completions.create(
        model="pool", messages=PARIS, temperature=0, max_tokens=80, response_format=form
    )
    city = json.loads(answer.choices[0].message.content or "")
    assert set(city) == {"city", "continent", "capital"}
    assert city["continent"] in CITY["properties"]["continent"]["enum"]
    assert isinstance(city["capital"], bool)


async def test_completions_and_models(client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(model="the-model", prompt="The capital of France is", max_tokens=4, temperature=0)
    assert answer.choices[0].text.startswith(" Paris")
    assert {model.id async for model in client.models.list()} >= {"pool", "the-model"}


async def test_errors_have_the_clients_own_classes(client: openai.AsyncOpenAI, stack: Stack) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="gpt-9", messages=PARIS)
    assert unknown.value.param == "model"
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.chat.completions.create(model="pool", messages=PARIS, temperature=-1)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as long:
        await client.chat.completions.create(model="pool", messages=[{"role": "user", "content": "word " * 3000}])
    assert "1024" in str(long.value)
    async with openai.AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="sk-wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            await stranger.chat.completions.create(model="pool", messages=PARIS)
    assert "sk-wrong" not in str(refused.value)


async def test_a_client_that_hangs_up_frees_the_slot_in_vllm(client: openai.AsyncOpenAI, stack: Stack) -> None:
    stream = await client.chat.completions.create(
        model="pool", messages=PARIS, max_tokens=900, stream=True, extra_body={"ignore_eos": True}
    )
    async for _ in stream:
        break
    async with asyncio.timeout(20):
        while not await running(stack):
            await asyncio.sleep(0.02)
    await stream.close()
    async with asyncio.timeout(20):
        while await running(stack):
            await asyncio.sleep(0.02)


async def running(stack: Stack) -> float:
    """Requests that vLLM itself says it runs."""
    async with aiohttp.ClientSession() as session, session.get(f"{stack.url}/metrics") as page:
        lines = (await page.text()).splitlines()
    line = next(line for line in lines if line.startswith("headgate_router_average_running_requests{"))
    return float(line.rsplit(" ", 1)[1])
