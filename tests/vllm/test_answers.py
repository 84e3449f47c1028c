"""Answers of real vLLM through our engine, against what vLLM itself says to the same prompt."""

import asyncio
import json
import math
from dataclasses import replace
from typing import Any

import pytest

from tests.vllm.engines import vllms_own
from tests.workers.engine_contract import said, until
from workers.engine import Chat, Constraint, Generation, InvalidGeneration, Sampling
from workers.engines.vllm.engine import Vllm

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

QUESTIONS = (
    "What is the capital of France?",
    "Repeat this exactly: 😀👍🏽 日本語 😀👍🏽 日本語",
    "Say 'Grüße aus Köln' three times.",
    "Write a Python function that adds two numbers.",
)
GREEDY = Sampling(max_tokens=40, temperature=0.0)
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 1, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def asked(question: str) -> Chat:
    return Chat([{"role": "user", "content": question}])


@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_text_is_what_vllm_itself_would_say(engine: Vllm, question: str) -> None:
    ours = await said(engine, Generation("text", asked(question), GREEDY))
    theirs = await vllms_own(engine, asked(question), max_tokens=40)
    assert ours.text == theirs.text
    assert ours.ids == tuple(theirs.token_ids)
    assert ours.last.finish_reason == theirs.finish_reason


async def test_special_tokens_are_shown_to_who_asks(engine: Vllm) -> None:
    prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>"
    sampling = Sampling(
        max_tokens=12, temperature=0.0, ignore_eos=True, extra={"skip_special_tokens": False, "add_special_tokens": False}
    )
    ours = await said(engine, Generation("special", prompt, sampling))
    theirs = await vllms_own(engine, prompt, max_tokens=12, ignore_eos=True, skip_special_tokens=False)
    assert ours.text == theirs.text
    hidden = await said(engine, Generation("hidden", prompt, replace(sampling, extra={"add_special_tokens": False})))
    assert hidden.ids == ours.ids
    assert "<|" not in hidden.text


async def test_a_stop_token_counts_and_is_named_but_not_shown(engine: Vllm) -> None:
    whole = await said(engine, Generation("whole", asked(QUESTIONS[0]), GREEDY))
    stop = whole.ids[3]
    sampling = replace(GREEDY, stop_token_ids=(stop,))
    cut = await said(engine, Generation("stop", asked(QUESTIONS[0]), sampling))
    assert cut.ids == whole.ids[:4]
    assert (cut.last.finish_reason, cut.last.stop_reason) == ("stop", str(stop))
    assert cut.text == "".join(d.text for d in whole.deltas[:3])
    shown = await said(engine, Generation("shown", asked(QUESTIONS[0]), replace(sampling, include_stop_in_output=True)))
    assert shown.text == "".join(d.text for d in whole.deltas[:4])
    assert (whole.last.finish_reason, whole.last.stop_reason) == ("stop", "")  # its own end is nobody's stop token


async def test_logprobs_add_up_and_spell_the_text(engine: Vllm) -> None:
    sampling = replace(GREEDY, logprobs=3)
    answer = await said(engine, Generation("logprobs", asked(QUESTIONS[1]), sampling))
    theirs = await vllms_own(engine, asked(QUESTIONS[1]), max_tokens=40, logprobs=3)
    steps = [step for delta in answer.deltas for step in delta.logprobs]
    assert math.isclose(sum(step.logprob for step in steps), theirs.cumulative_logprob, abs_tol=1e-3)
    spelled = b"".join(step.token_bytes for step in steps).decode(errors="ignore")
    assert spelled.removesuffix("<|im_end|>") == answer.text
    assert any(step.token == "\ufffd" for step in steps), "a token that is part of a character has bytes all the same"
    assert all(len(step.top) == 3 and step.top[0].logprob >= step.top[1].logprob for step in steps)


async def test_structured_output_of_every_kind(engine: Vllm) -> None:
    prompt = asked("Give me a person as JSON.")

    async def under(kind: Any, value: Any = "", most: int = 60) -> str:
        sampling = Sampling(max_tokens=most, temperature=0.0, constraint=Constraint(kind, value))
        return (await said(engine, Generation(str(kind), prompt, sampling))).text

    person = json.loads(await under("json_schema", json.dumps(SCHEMA)))
    assert set(person) == {"name", "age"}
    assert 1 <= person["age"] <= 99
    assert await under("choice", ("left", "right")) in ("left", "right")
    assert (await under("regex", "[ab]{5}")) in {f"{n:05b}".replace("0", "a").replace("1", "b") for n in range(32)}
    assert await under("grammar", 'root ::= "yes" | "no"') in ("yes", "no")
    assert (await under("json_object", most=4)).lstrip().startswith("{")


async def test_a_repeated_prompt_is_found_in_the_cache(engine: Vllm) -> None:
    long = Chat([{"role": "user", "content": "Count with me. " + " ".join(map(str, range(100)))}])
    once = await said(engine, Generation("cold", long, replace(GREEDY, max_tokens=2)))
    hits = engine.stats().prefix_hit_tokens_total
    again = await said(engine, Generation("warm", long, replace(GREEDY, max_tokens=2)))
    assert (once.cached_tokens, once.prompt_tokens) == (0, again.prompt_tokens)
    assert again.cached_tokens == (again.prompt_tokens or 0) // 32 * 32
    assert engine.stats().prefix_hit_tokens_total == hits + again.cached_tokens


async def test_a_client_that_leaves_frees_vllm_s_slot(engine: Vllm) -> None:
    sampling = Sampling(max_tokens=600, temperature=0.0, ignore_eos=True)
    streams = [engine.generate(Generation(f"left-{i}", asked(f"Tell me of {i}."), sampling)) for i in range(3)]
    await asyncio.gather(*(anext(stream) for stream in streams))
    await until(lambda: engine.stats().running == 3, "vLLM's scheduler runs all three")
    assert engine.stats().kv_used > 0
    for stream in streams:
        await stream.aclose()
    await until(lambda: engine.stats().running + engine.stats().waiting == 0, "vLLM's scheduler runs none")
    assert engine.stats().kv_used == 0


async def test_requests_beyond_the_batch_wait(engine: Vllm) -> None:
    most = (await engine.ready()).max_running
    sampling = Sampling(max_tokens=300, temperature=0.0, ignore_eos=True)
    streams = [engine.generate(Generation(f"many-{i}", f"{i}", sampling)) for i in range(most + 2)]
    readers = [asyncio.ensure_future(anext(stream)) for stream in streams]
    await until(lambda: (engine.stats().running, engine.stats().waiting) == (most, 2), "two wait")
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    for stream in streams:
        await stream.aclose()
    await until(lambda: engine.stats().running + engine.stats().waiting == 0, "all are gone")


REFUSED = {
    "presence_penalty": Sampling(presence_penalty=3.0),
    "top_p": Sampling(top_p=0.0),
    "temperature": Sampling(temperature=9.0),
    "logprobs": Sampling(logprobs=1000),
    "logit_bias": Sampling(logit_bias={10**8: 1.0}),
    "stop_token_ids": Sampling(stop_token_ids=(10**7,)),
    "min_tokens": Sampling(min_tokens=9, max_tokens=3),
    "regex": Sampling(constraint=Constraint("regex", "(")),
    "grammar": Sampling(constraint=Constraint("grammar", "zzz :")),
    "choice": Sampling(constraint=Constraint("choice", ())),
    "bad_words": Sampling(extra={"bad_words": [""]}),
    "allowed_token_ids": Sampling(extra={"allowed_token_ids": []}),
    "truncate_prompt_tokens": Sampling(extra={"truncate_prompt_tokens": 10**6}),
    "continue_final_message": Sampling(extra={"continue_final_message": True}),
}


@pytest.mark.parametrize("param", REFUSED)
async def test_vllm_s_own_checks_name_the_field(engine: Vllm, param: str) -> None:
    with pytest.raises(InvalidGeneration) as caught:
        await said(engine, Generation("refused", asked("Hi"), REFUSED[param]))
    assert caught.value.param == param


BAD_PROMPTS: dict[str, Any] = {
    "too long": "word " * 5000,
    "empty": "",
    "no tokens": (),
    "unknown token": (10**7,),
    "no messages": Chat([]),
    "no role": Chat([{"content": "x"}]),
    "a number": Chat([{"role": "user", "content": 5}]),
    "an image": Chat([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
    "too long a chat": Chat([{"role": "user", "content": "secret " * 5000}]),
}


@pytest.mark.parametrize("why", BAD_PROMPTS)
async def test_bad_prompts_are_refused_and_not_quoted(engine: Vllm, why: str) -> None:
    prompt = BAD_PROMPTS[why]
    with pytest.raises(InvalidGeneration) as caught:
        await said(engine, Generation("bad", prompt, GREEDY))
    assert caught.value.param == ("messages" if isinstance(prompt, Chat) else "prompt")
    assert "word" not in caught.value.message
    assert "secret" not in caught.value.message


async def test_truncation_keeps_what_was_asked_for(engine: Vllm) -> None:
    sampling = Sampling(max_tokens=2, temperature=0.0, extra={"truncate_prompt_tokens": 20, "truncation_side": "left"})
    answer = await said(engine, Generation("cut", "word " * 500, sampling))
    assert answer.prompt_tokens == 20
