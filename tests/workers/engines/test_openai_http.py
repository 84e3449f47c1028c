"""The engine for OpenAI-compatible servers, against scripted ones: what is sent, what comes back, and every way to fail."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.workers.engine_contract import until
from tests.workers.fake_servers import MODEL, Scripted, all_of, serving, sse
from workers.config import OpenAIHttpEngine
from workers.engine import Chat, Constraint, Delta, EngineBusy, EngineFailed, Generation, InvalidGeneration, Sampling
from workers.engines.openai_http.engine import OpenAIHttp

DONE = sse("[DONE]")
HELLO = Generation("r", "hello", Sampling(max_tokens=8, temperature=0.0))
SECRET = "sk-very-secret"


def text(said: str, **choice: Any) -> bytes:
    return sse({"choices": [{"index": 0, "text": said, "finish_reason": None, **choice}]})


def chat(**delta: Any) -> bytes:
    finish = delta.pop("finish_reason", None)
    return sse({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def usage(prompt: int, completion: int, cached: int = 0) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "prompt_tokens_details": {"cached_tokens": cached}}
    return sse({"choices": [], "usage": counts})


@asynccontextmanager
async def engine_on(server: Scripted, **settings: Any) -> AsyncIterator[OpenAIHttp]:
    async with serving(server.app()) as url:
        engine = OpenAIHttp(OpenAIHttpEngine(**{"base_url": url, "model": MODEL, "start_s": 5.0, **settings}), ("served",))
        try:
            await engine.ready()
            yield engine
        finally:
            await engine.close()


async def sent(generation: Generation, dialect: str) -> tuple[str, dict[str, Any]]:
    """What the server is asked for this."""
    server = Scripted([text("x", token_ids=[1], finish_reason="length"), DONE])
    async with engine_on(server, dialect=dialect) as engine:
        await all_of(engine.generate(generation))
    path, _, body = server.calls[-1]
    return path, body


async def test_an_answer_in_openai_s_form() -> None:
    server = Scripted([text("He"), text("llo"), text("", finish_reason="stop"), usage(5, 2, cached=4), DONE])
    async with engine_on(server) as engine:
        deltas = await all_of(engine.generate(HELLO))
        info = await engine.ready()
    assert "".join(d.text for d in deltas) == "Hello"
    assert deltas[-1] == Delta(
        finish_reason="stop", prompt_tokens=5, cached_tokens=4, completion_tokens=2
    )  # such servers count last
    assert not info.reports_token_ids
    assert info.parses_tool_calls


async def test_sglang_names_the_stop_it_met() -> None:
    server = Scripted([text("a"), text("", finish_reason="stop", matched_stop="###"), usage(1, 1), DONE])
    async with engine_on(server, dialect="sglang") as engine:
        deltas = await all_of(engine.generate(replace(HELLO, sampling=Sampling(stop=("###",)))))
    assert (deltas[-1].finish_reason, deltas[-1].stop_reason) == ("stop", "###")
    assert server.calls[-1][2]["stop"] == ["###"]


async def test_ids_wait_for_the_text_they_belong_to() -> None:
    """vLLM sends the tokens of an unfinished character with no text; a cut there could not be continued."""
    server = Scripted(
        [
            text("", token_ids=[], prompt_token_ids=[7, 7, 7]),
            text("", token_ids=[10]),
            text("😀", token_ids=[11, 12]),
            text("", token_ids=[2], finish_reason="stop"),
            usage(3, 4),
            DONE,
        ]
    )
    async with engine_on(server, dialect="vllm") as engine:
        deltas = await all_of(engine.generate(HELLO))
    assert [(d.token_ids, d.text) for d in deltas] == [((10, 11, 12), "😀"), ((2,), "")]
    assert deltas[0].prompt_tokens == 3


async def test_a_stop_token_of_vllm_is_told_apart_from_a_stop_string() -> None:
    server = Scripted([text("ab", token_ids=[1]), text("", token_ids=[5], finish_reason="stop", stop_reason=5), DONE])
    async with engine_on(server, dialect="vllm") as engine:
        deltas = await all_of(engine.generate(HELLO))
    assert (deltas[-1].token_ids, deltas[-1].finish_reason, deltas[-1].stop_reason) == ((5,), "stop", "5")


async def test_tool_calls_pass_through_without_ids() -> None:
    calls = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]
    server = Scripted([chat(content=""), chat(tool_calls=calls), chat(finish_reason="tool_calls"), usage(9, 3), DONE])
    prompt = Chat([{"role": "user", "content": "?"}], tools=[{"type": "function", "function": {"name": "weather"}}])
    async with engine_on(server, dialect="vllm") as engine:
        deltas = await all_of(engine.generate(replace(HELLO, prompt=prompt)))
    assert [json.loads(d.tool_calls_json) for d in deltas if d.tool_calls_json] == [calls]
    assert deltas[-1].finish_reason == "tool_calls"
    assert not any(d.token_ids for d in deltas)
    assert server.calls[-1][2]["tools"] == prompt.tools


async def test_both_shapes_of_logprobs() -> None:
    entry = {"token": "é", "bytes": [195, 169], "logprob": -0.5, "top_logprobs": [{"token": "e", "logprob": -1.5}]}
    chatted = sse({"choices": [{"delta": {"content": "é"}, "logprobs": {"content": [entry]}, "finish_reason": "length"}]})
    plain = text(
        "é", logprobs={"tokens": ["é"], "token_logprobs": [-0.5], "top_logprobs": [{"e": -1.5}]}, finish_reason="length"
    )
    for event in (chatted, plain):
        async with engine_on(Scripted([event, DONE])) as engine:
            (delta,) = await all_of(engine.generate(HELLO))
        (step,) = delta.logprobs
        assert (step.token, step.token_bytes, step.logprob) == ("é", "é".encode(), -0.5)
        assert (step.top[0].token, step.top[0].logprob) == ("e", -1.5)


FULL = Sampling(
    max_tokens=9,
    min_tokens=2,
    temperature=0.5,
    top_p=0.9,
    top_k=40,
    min_p=0.1,
    repetition_penalty=1.1,
    seed=3,
    stop=("END",),
    stop_token_ids=(7,),
    ignore_eos=True,
    logit_bias={5: -1.0},
    logprobs=2,
    constraint=Constraint("regex", "a+"),
    extra={"bad_words": ["no"]},
)


async def test_what_a_vllm_server_is_asked() -> None:
    path, body = await sent(Generation("r", "hi", FULL, cache_salt="s", priority=2), "vllm")
    assert path == "/v1/completions"
    assert body == {
        "model": MODEL,
        "prompt": "hi",
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_token_ids": True,
        "max_tokens": 9,
        "min_tokens": 2,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.1,
        "repetition_penalty": 1.1,
        "seed": 3,
        "stop_token_ids": [7],
        "ignore_eos": True,
        "logit_bias": {"5": -1.0},
        "logprobs": 2,
        "structured_outputs": {"regex": "a+"},
        "bad_words": ["no"],
        "cache_salt": "s",
        "priority": 2,
    }  # and no stop strings: they are matched here


async def test_what_a_chat_server_is_asked() -> None:
    schema = Constraint("json_schema", '{"type": "object"}')
    prompt = Chat([{"role": "user", "content": "hi"}])
    path, body = await sent(Generation("r", prompt, Sampling(stop=("a",), logprobs=0, constraint=schema)), "openai")
    assert path == "/v1/chat/completions"
    assert body["messages"] == prompt.messages
    assert body["stop"] == ["a"]
    assert (body["logprobs"], body["top_logprobs"]) == (True, 0)
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert "return_token_ids" not in body


@pytest.mark.parametrize(
    ("dialect", "sampling", "param"),
    [
        ("openai", Sampling(top_k=5), "top_k"),
        ("openai", Sampling(constraint=Constraint("regex", "a")), "regex"),
        ("openai", Sampling(extra={"bad_words": ["x"]}), "bad_words"),
        ("tgi", Sampling(extra={"reasoning_effort": "low"}), "reasoning_effort"),
        ("sglang", Sampling(constraint=Constraint("choice", ("a",))), "choice"),
        ("vllm", Sampling(extra={"bad_words": "x"}), "bad_words"),
        ("vllm", Sampling(constraint=Constraint("json_schema", "{")), "json_schema"),
    ],
)
async def test_what_a_server_would_ignore_is_refused(dialect: str, sampling: Sampling, param: str) -> None:
    with pytest.raises(InvalidGeneration) as caught:
        await sent(Generation("r", "hi", sampling), dialect)
    assert caught.value.param == param


async def test_no_answer_is_continued_where_ids_are_not_known() -> None:
    async with engine_on(Scripted()) as engine:
        with pytest.raises(InvalidGeneration) as caught:
            await all_of(engine.generate(replace(HELLO, resume_token_ids=(1,))))
    assert caught.value.param == "resume_token_ids"


@pytest.mark.parametrize(
    ("status", "fault"),
    [(400, InvalidGeneration), (422, InvalidGeneration), (429, EngineBusy)]
    + [(status, EngineFailed) for status in (302, 401, 403, 404, 500, 503)],
)
async def test_refusals(status: int, fault: type[Exception]) -> None:
    error = {"error": {"message": "top_p must be in (0, 1]", "param": "top_p", "code": status}}
    async with engine_on(Scripted(status=status, error=error)) as engine:
        with pytest.raises(fault) as caught:
            await all_of(engine.generate(HELLO))
    if isinstance(caught.value, InvalidGeneration):
        assert (caught.value.message, caught.value.param) == ("top_p must be in (0, 1]", "top_p")


BROKEN = {
    "ends without a word": [text("He")],
    "ends without a finish reason": [text("He"), DONE],
    "is no JSON": [text("He"), b"data: {oops\n\n"],
    "is no object": [text("He"), b"data: 5\n\n"],
    "says that it failed": [text("He"), sse({"error": {"message": "boom", "code": 500}})],
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_stream_that_breaks_is_the_engine_s_failure(broken: str) -> None:
    async with engine_on(Scripted(BROKEN[broken])) as engine:
        stream = engine.generate(HELLO)
        assert (await anext(stream)).text == "He"
        with pytest.raises(EngineFailed):
            await anext(stream)
        assert engine.stats().running == 0


async def test_a_refusal_within_the_stream_is_the_request_s_fault() -> None:
    error = sse({"error": {"message": "no such schema", "param": "response_format", "code": 400}})
    async with engine_on(Scripted([error])) as engine:
        with pytest.raises(InvalidGeneration, match="no such schema"):
            await all_of(engine.generate(HELLO))


async def test_silence_is_a_failure() -> None:
    async with engine_on(Scripted([text("He")], hold=True), idle_s=0.1) as engine:
        with pytest.raises(EngineFailed):
            await all_of(engine.generate(HELLO))


async def test_leaving_hangs_up_on_the_server() -> None:
    server = Scripted([text("He")], hold=True)
    async with engine_on(server) as engine:
        stream = engine.generate(HELLO)
        assert (await anext(stream)).text == "He"
        assert engine.stats().running == 1
        await stream.aclose()
        assert engine.stats().running == 0
        await until(lambda: server.hung_up == 1, "the server saw it")


async def test_the_key_is_sent_and_never_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", SECRET)
    server = Scripted(status=401, error={"error": {"message": f"Incorrect API key provided: {SECRET}"}})
    with caplog.at_level(logging.DEBUG):
        async with engine_on(server, api_key_env="UPSTREAM_KEY") as engine:
            with pytest.raises(EngineFailed, match="api_key_env") as caught:
                await all_of(engine.generate(HELLO))
    assert server.calls[-1][1]["Authorization"] == f"Bearer {SECRET}"
    assert SECRET not in str(caught.value) + caplog.text


async def test_a_key_that_is_not_set_is_noticed_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPSTREAM_KEY", raising=False)
    with pytest.raises(EngineFailed, match="UPSTREAM_KEY is not set"):
        async with engine_on(Scripted(), api_key_env="UPSTREAM_KEY"):
            pass


async def test_a_server_without_the_model_is_noticed_at_the_start() -> None:
    with pytest.raises(EngineFailed, match=r"serves \['another'\]"):
        async with engine_on(Scripted(models=["another"])):
            pass


async def test_a_server_that_comes_up_late_is_waited_for() -> None:
    server = Scripted(models_status=503)

    async def come_up() -> None:
        while not server.calls:
            await asyncio.sleep(0.001)
        server.models_status = 200

    task = asyncio.create_task(come_up())
    async with engine_on(server):
        assert len(server.calls) >= 2
    await task


async def test_a_server_that_never_comes_up() -> None:
    with pytest.raises(EngineFailed, match=r"within 0\.2 s"):
        async with engine_on(Scripted(), base_url="http://127.0.0.1:1", start_s=0.2):
            pass


async def test_others_load_on_the_server_is_seen() -> None:
    page = (
        f'vllm:num_requests_running{{model_name="{MODEL}"}} 3.0\nvllm:num_requests_waiting 2.0\nvllm:kv_cache_usage_perc 0.5\n'
    )
    server = Scripted([text("He", token_ids=[1])], hold=True, metrics=lambda: page)
    async with engine_on(server, dialect="vllm", metrics_every_s=0.01) as engine:
        await until(lambda: engine.stats().waiting == 2, "the page was read")
        assert (engine.stats().running, engine.stats().kv_used) == (3, 0.5)


async def test_embeddings_come_in_the_order_of_the_texts() -> None:
    async def answer(request: Any) -> Any:
        from aiohttp import web

        assert (await request.json())["dimensions"] == 2
        data = [{"index": 1, "embedding": [0.0, 1.0]}, {"index": 0, "embedding": [1.0, 0.0]}]
        return web.json_response({"data": data, "usage": {"prompt_tokens": 7}})

    server = Scripted()
    server._answer = answer  # type: ignore[method-assign]
    async with engine_on(server, embeddings=True) as engine:
        assert await engine.embed(["a", "b"], 2) == ([[1.0, 0.0], [0.0, 1.0]], 7)
