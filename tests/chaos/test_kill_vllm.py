"""The same with real vLLM: its worker process is killed in mid-answer, and the client must not notice."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chaos.test_kill_worker import asks, check, json_ask, with_stop
from tests.stack import Stack

KILLS = 5

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(900)]


def engine(model: Path) -> dict[str, Any]:
    return {
        "kind": "vllm",
        "model": str(model),
        "dtype": "float32",  # a continued answer is compared token by token
        "enforce_eager": True,
        "max_model_len": 1024,
        "max_num_seqs": 4,
        "kv_cache_gib": 0.5,
    }


@pytest.fixture
async def stack(tmp_path: Path, smollm2: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path, engine(smollm2), replicas=2, start_s=240) as stack:
        yield stack


async def test_five_kills_of_real_vllm_and_not_one_answer_shows_it(stack: Stack) -> None:
    rng = random.Random(5)
    story = asks("Tell me a short story about a river and a gate.")
    async with aiohttp.ClientSession() as session:
        cases = {
            "plain": story,
            "emoji": asks("Repeat exactly: 🙂 Grüße 👍🏽 🎉 日本語 🙂 Grüße 👍🏽 🎉 日本語"),
            "stop string": await with_stop(stack, session, story),
            "JSON schema": json_ask(max_tokens=120),
            "seeded": {**story, "temperature": 0.8, "seed": 7},
        }
        whole = {name: await stack.chat(session, body) for name, body in cases.items()}
        assert all(answer.error is None for answer in whole.values()), whole
        moved = 0
        for number in range(KILLS):
            name = list(cases)[number % len(cases)]
            kill_after = rng.randrange(1, max(2, whole[name].spoken // 2))
            heard = await stack.chat(session, cases[name], kill_after=kill_after)
            check(name, whole[name], heard)
            moved += heard.headgate["resumed"] > 0
            await stack.all_up()
    assert moved >= KILLS - 1
