"""Workers are killed at random tokens. No answer may break, lose a token or repeat one."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.stack import Heard, Stack

KILLS = 200
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 24},
        "age": {"type": "integer"},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 16}, "minItems": 2, "maxItems": 4},
    },
    "required": ["name", "age", "tags"],
}
PACED = {"kind": "simulated", "profile": "h100-8b", "longest_answer_tokens": 60, "shortest_answer_tokens": 40}


def asks(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 60, **more}


def json_ask(**more: Any) -> dict[str, Any]:
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
    return asks("Describe a person.", response_format=form, **more)


CASES = {
    "plain": asks("Tell me about rivers."),
    "emoji": asks("repeat: 🙂 Grüße 👍🏽 und 🎉 noch einmal 🙂 Grüße 👍🏽 und 🎉 🙂 Grüße 👍🏽 und 🎉"),
    "CJK": asks("repeat: 日本語の文章です。水門は川の流れを分ける。日本語の文章です。"),
    "log-probabilities": asks("Tell me about canals.", logprobs=True, top_logprobs=2),
    "JSON schema": json_ask(),
    "sampled JSON schema": json_ask(temperature=0.8, seed=11),
    "seeded": asks("Tell me about locks.", temperature=0.9, seed=3),
    "frequency penalty": asks("Tell me about weirs.", frequency_penalty=1.2),
    "two choices": asks("Tell me about gates.", n=2, temperature=0.9, seed=5),
}


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path, PACED, replicas=3) as stack:
        yield stack


async def with_stop(stack: Stack, session: aiohttp.ClientSession, body: dict[str, Any]) -> dict[str, Any]:
    """The same request with a stop string of several tokens from two thirds into its answer."""
    text = (await stack.chat(session, body)).text[0]
    at = 2 * len(text) // 3
    return {**body, "stop": [text[at : at + 9]]}


def check(case: str, whole: Heard, heard: Heard) -> None:
    assert heard.error is None, f"{case}: {heard.error}"
    assert heard.text == whole.text, case
    assert heard.finish == whole.finish, case
    assert heard.logprobs == whole.logprobs, case
    for count in ("prompt_tokens", "completion_tokens"):
        assert heard.usage[count] == whole.usage[count], case


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_two_hundred_kills_and_not_one_answer_shows_it(stack: Stack) -> None:
    rng = random.Random(20)
    moved = 0
    async with aiohttp.ClientSession() as session:
        cases = dict(CASES)
        for name in ("plain", "emoji", "CJK"):
            cases[f"{name}, stop string"] = await with_stop(stack, session, CASES[name])
        whole = {name: await stack.chat(session, body) for name, body in cases.items()}
        assert all(answer.error is None for answer in whole.values()), whole
        for number in range(KILLS):
            name = list(cases)[number % len(cases)]
            kill_after = rng.randrange(1, max(2, whole[name].spoken - 2))
            heard = await stack.chat(session, cases[name], kill_after=kill_after)
            check(name, whole[name], heard)
            moved += heard.headgate["resumed"] > 0
    # A kill may land when the last token has just left the worker; nearly all must have hit an answer under way.
    assert moved > 0.9 * KILLS
