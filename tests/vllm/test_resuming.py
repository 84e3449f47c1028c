"""Answers of real vLLM continued from their tokens: identical wherever they are cut, and why some are refused instead."""

import asyncio
import json
from dataclasses import replace

import pytest

from tests.vllm.engines import prompt_ids_of
from tests.workers.engine_contract import Said, said
from workers.engine import Chat, Constraint, Generation, InvalidGeneration, Sampling
from workers.engines.vllm.engine import Vllm

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

EMOJI = Chat([{"role": "user", "content": "Repeat this exactly, many times: 😀👍🏽 日本語 😀👍🏽 日本語"}])
GREEDY = Sampling(max_tokens=40, temperature=0.0, ignore_eos=True)


async def resumed_everywhere(engine: Vllm, whole: Said, generation: Generation) -> None:
    """Cuts after every message, and asks for the rest of all of them at once."""

    async def rest(cut: int) -> tuple[str, Said]:
        part = Said(whole.deltas[:cut])
        again = replace(generation, request_id=f"cut-{cut}", resume_token_ids=part.ids)
        return part.text, await said(engine, again)

    cuts = range(1, len(whole.deltas))
    for cut, (text, again) in zip(cuts, await asyncio.gather(*map(rest, cuts)), strict=True):
        assert text + again.text == whole.text, f"cut after {cut} messages"
        assert (again.last.finish_reason, again.last.stop_reason) == (whole.last.finish_reason, whole.last.stop_reason)
        assert again.prompt_tokens == whole.prompt_tokens
        assert again.cached_tokens <= (whole.prompt_tokens or 0)


async def test_an_answer_cut_at_any_of_forty_tokens(engine: Vllm) -> None:
    generation = Generation("whole", EMOJI, GREEDY)
    whole = await said(engine, generation)
    assert len(whole.ids) == 40
    silent = [d for d in whole.deltas if d.token_ids and not d.text]
    assert len(silent) >= 5, "there must be cuts inside of characters"
    await resumed_everywhere(engine, whole, generation)


async def test_a_stop_string_over_any_seam(engine: Vllm) -> None:
    undisturbed = (await said(engine, Generation("free", EMOJI, GREEDY))).text
    middle = len(undisturbed) // 2
    generation = Generation("stop", EMOJI, replace(GREEDY, stop=(undisturbed[middle : middle + 5],)))
    whole = await said(engine, generation)
    assert whole.last.finish_reason == "stop"
    assert whole.text == undisturbed[: undisturbed.index(generation.sampling.stop[0])]
    await resumed_everywhere(engine, whole, generation)


async def test_limits_count_the_tokens_from_before(engine: Vllm) -> None:
    whole = await said(engine, Generation("limits", EMOJI, replace(GREEDY, min_tokens=20, ignore_eos=False)))
    assert len(whole.ids) >= 20
    sampling = replace(GREEDY, max_tokens=12, min_tokens=8)
    rest = await said(engine, Generation("limits-rest", EMOJI, sampling, resume_token_ids=whole.ids[:10]))
    assert (len(rest.ids), rest.last.finish_reason) == (2, "length")


# Under these a continued prompt does not continue the answer. Shown on vLLM itself, so that whoever lifts the rule sees why.
TRAPS = {
    "seed": Sampling(max_tokens=24, temperature=0.9, seed=11, ignore_eos=True),
    "frequency_penalty": Sampling(max_tokens=24, temperature=0.0, frequency_penalty=2.0, ignore_eos=True),
    "presence_penalty": Sampling(max_tokens=24, temperature=0.0, presence_penalty=2.0, ignore_eos=True),
    "json_schema": Sampling(
        max_tokens=24,
        temperature=0.0,
        constraint=Constraint(
            "json_schema",
            json.dumps({"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}),
        ),
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
async def test_what_a_continued_prompt_would_get_wrong_is_refused(engine: Vllm, trap: str) -> None:
    sampling = TRAPS[trap]
    generation = Generation("trap", EMOJI, sampling)
    whole = await said(engine, generation)
    half = whole.ids[: max(1, len(whole.ids) // 2)]
    with pytest.raises(InvalidGeneration, match="replay") as caught:
        await said(engine, replace(generation, resume_token_ids=half))
    assert caught.value.param == trap

    ids = await prompt_ids_of(engine, EMOJI)
    onward = replace(sampling, max_tokens=len(whole.ids) - len(half))
    naive = await said(engine, Generation("naive", (*ids, *half), onward))
    assert naive.ids != whole.ids[len(half) :], "vLLM continues this exactly now: the rule may go"


async def test_a_replayed_seed_gives_the_same_answer(engine: Vllm) -> None:
    """What the router does instead of continuing."""
    first = await said(engine, Generation("first", EMOJI, TRAPS["seed"]))
    second = await said(engine, Generation("second", EMOJI, TRAPS["seed"]))
    assert first.ids == second.ids
