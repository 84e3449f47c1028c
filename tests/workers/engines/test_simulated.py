"""The simulated engine: what it says, the traps of real engines that it reproduces, its faults on purpose, its speed model."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from tests.workers.engine_contract import Said, said
from workers.config import SimulatedEngine
from workers.engine import (
    Chat,
    Constraint,
    EngineBusy,
    EngineFailed,
    Generation,
    InvalidGeneration,
    Sampling,
)
from workers.engines.simulated.engine import Simulated
from workers.engines.simulated.text import EOS, TOKEN_BYTES, encode

GREEDY = Sampling(max_tokens=80, temperature=0.0)
PROMPTS = [f"Question {number}" for number in range(30)]


def simulated(**settings: Any) -> Simulated:
    return Simulated(SimulatedEngine.model_validate(settings), ("sim",))


@pytest.fixture
async def engine() -> AsyncIterator[Simulated]:
    engine = simulated()
    await engine.ready()
    yield engine
    await engine.close()


async def answer(engine: Simulated, prompt: Any = "Hello", sampling: Sampling = GREEDY, **more: Any) -> Said:
    return await said(engine, Generation("r", prompt, sampling, **more))


async def test_every_answer_says_that_it_is_simulated(engine: Simulated) -> None:
    for prompt in PROMPTS:
        got = await answer(engine, prompt, Sampling(temperature=0.0))
        assert got.text.startswith("[simulated] ")
        assert got.last.finish_reason == "stop"
        assert got.ids[-1] == EOS
        assert 20 <= len(got.ids) <= 125


async def test_the_same_in_every_process(engine: Simulated) -> None:
    """A text written down: Python's own hash differs between processes, so none of it may reach the words."""
    said = (await answer(engine, "Hello", replace(GREEDY, max_tokens=16))).text
    assert said == "[simulated] Every broad story turns again behind no winter光. Every distant gate"


async def test_some_characters_are_several_tokens(engine: Simulated) -> None:
    ids = [i for p in PROMPTS for i in (await answer(engine, p)).ids]
    leads = {i for i in ids if 0xC0 <= i < 256}
    assert {TOKEN_BYTES[i][0] >> 4 for i in leads} >= {0xC, 0xE, 0xF}  # characters of 2, 3 and 4 bytes


async def test_any_seam_is_invisible_to_greedy_decoding(engine: Simulated) -> None:
    for prompt in PROMPTS:
        whole = await answer(engine, prompt)
        for seam in range(1, len(whole.ids), 7):
            rest = await answer(engine, prompt, resume_token_ids=whole.ids[:seam])
            assert whole.ids[:seam] + rest.ids == whole.ids
            assert whole.text.endswith(rest.text)


async def test_one_wrong_token_at_the_seam_changes_what_follows(engine: Simulated) -> None:
    whole = await answer(engine, "Hello")
    wrong = [*whole.ids[:30]]
    wrong[3] = wrong[3] + 1
    rest = await answer(engine, "Hello", resume_token_ids=tuple(wrong))
    assert rest.ids != whole.ids[30:]


async def test_a_missing_token_at_the_seam_changes_what_follows(engine: Simulated) -> None:
    whole = await answer(engine, "Hello")
    rest = await answer(engine, "Hello", resume_token_ids=whole.ids[:10] + whole.ids[11:30])
    assert rest.ids[:10] != whole.ids[30:40]


class TestTraps:
    """Each is how real vLLM behaves when a prompt is continued by appending; the router must not continue such answers so."""

    async def resumed_equals(self, engine: Simulated, sampling: Sampling, seam: int = 20) -> bool:
        whole = await answer(engine, "Hello", sampling)
        rest = await answer(engine, "Hello", sampling, resume_token_ids=whole.ids[:seam])
        return whole.ids[:seam] + rest.ids == whole.ids

    async def test_greedy_is_equal(self, engine: Simulated) -> None:
        assert await self.resumed_equals(engine, GREEDY)

    async def test_a_seeded_stream_restarts(self, engine: Simulated) -> None:
        sampling = replace(GREEDY, temperature=0.9, seed=7)
        assert (await answer(engine, "Hello", sampling)).ids == (await answer(engine, "Hello", sampling)).ids
        assert not await self.resumed_equals(engine, sampling)

    @pytest.mark.parametrize("penalty", ["frequency_penalty", "presence_penalty"])
    async def test_penalties_forget_what_another_call_said(self, engine: Simulated, penalty: str) -> None:
        sampling = replace(GREEDY, ignore_eos=True, **{penalty: 2.0})
        assert not await self.resumed_equals(engine, sampling, seam=60)

    async def test_a_repetition_penalty_counts_the_prompt_and_is_equal(self, engine: Simulated) -> None:
        assert await self.resumed_equals(engine, replace(GREEDY, repetition_penalty=1.3), seam=40)

    async def test_a_grammar_restarts(self, engine: Simulated) -> None:
        constraint = Constraint(
            "json_schema", '{"type": "object", "properties": {"name": {"const": "John"}}, "required": ["name"]}'
        )
        sampling = replace(GREEDY, constraint=constraint)
        whole = await answer(engine, "Hello", sampling)
        rest = await answer(engine, "Hello", sampling, resume_token_ids=whole.ids[:5])
        assert json.loads(whole.text) == {"name": "John"}
        assert rest.text == whole.text  # from its beginning


async def test_without_a_seed_sampling_is_random(engine: Simulated) -> None:
    hot = replace(GREEDY, temperature=1.0)
    assert len({(await answer(engine, "Hello", hot)).text for _ in range(5)}) > 1


async def test_seeds_differ(engine: Simulated) -> None:
    texts = {(await answer(engine, "Hello", replace(GREEDY, temperature=1.0, seed=seed))).text for seed in range(5)}
    assert len(texts) == 5


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}, {"temperature": 0.01}])
async def test_narrow_sampling_is_greedy(engine: Simulated, narrow: dict[str, Any]) -> None:
    sampling = replace(GREEDY, **{"temperature": 1.0, **narrow})
    assert (await answer(engine, "Hello", sampling)).ids == (await answer(engine)).ids


async def test_min_tokens_and_ignore_eos(engine: Simulated) -> None:
    short = simulated(shortest_answer_tokens=5, longest_answer_tokens=5)
    await short.ready()
    assert len((await answer(short, "Hello", Sampling(temperature=0.0))).ids) <= 8
    assert len((await answer(short, "Hello", Sampling(temperature=0.0, min_tokens=50))).ids) >= 50
    endless = await answer(short, "Hello", Sampling(temperature=0.0, max_tokens=300, ignore_eos=True))
    assert (len(endless.ids), endless.last.finish_reason) == (300, "length")
    await short.close()


async def test_stop_token_ids(engine: Simulated) -> None:
    whole = await answer(engine)
    stop = whole.ids[9]
    cut = await answer(engine, sampling=replace(GREEDY, stop_token_ids=(stop,)))
    assert cut.ids == whole.ids[: whole.ids.index(stop) + 1]
    assert (cut.last.finish_reason, cut.last.stop_reason) == ("stop", str(stop))
    late = await answer(engine, sampling=replace(GREEDY, stop_token_ids=(stop,), min_tokens=whole.ids.index(stop) + 1))
    assert len(late.ids) > len(cut.ids)


async def test_logit_bias_forbids_and_forces(engine: Simulated) -> None:
    whole = await answer(engine)
    forbidden = whole.ids[1]
    other = await answer(engine, sampling=replace(GREEDY, logit_bias={forbidden: -100.0}))
    assert forbidden not in other.ids
    forced = encode("q")[0]
    loud = await answer(engine, sampling=replace(GREEDY, logit_bias={forced: 100.0}))
    assert loud.ids.count(forced) > 20


async def test_a_test_may_choose_what_is_said(engine: Simulated) -> None:
    for prompt in ("repeat: Grüße 😀", Chat([{"role": "user", "content": [{"type": "text", "text": "repeat: Grüße 😀"}]}])):
        assert (await answer(engine, prompt)).text == "[simulated] Grüße 😀"


async def test_the_context_bounds_an_answer() -> None:
    engine = simulated(max_context_tokens=64, kv_blocks=4)
    await engine.ready()
    got = await answer(engine, tuple(range(60)), Sampling(temperature=0.0))
    assert (len(got.ids), got.last.finish_reason) == (4, "length")
    with pytest.raises(InvalidGeneration, match="63"):
        await answer(engine, tuple(range(64)), GREEDY)
    await engine.close()


async def test_a_full_queue_is_busy() -> None:
    engine = simulated(max_running=1, max_waiting=1, profile={"base_s": 0.01})
    await engine.ready()
    endless = Sampling(ignore_eos=True)
    async with aclosing(engine.generate(Generation("a", "x", endless))) as running:
        await anext(running)
        waiting = asyncio.create_task(said(engine, Generation("b", "x", endless)))
        while not engine.stats().waiting:
            await asyncio.sleep(0)
        with pytest.raises(EngineBusy):
            await answer(engine)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert engine.stats().waiting == 0
    await engine.close()


async def test_a_share_is_refused() -> None:
    engine = simulated(failures={"refuse_rate": 0.5})
    await engine.ready()
    results = await asyncio.gather(*(answer(engine, p) for p in PROMPTS * 4), return_exceptions=True)
    refused = sum(isinstance(result, EngineBusy) for result in results)
    assert 0.3 < refused / len(results) < 0.7
    await engine.close()


async def test_it_breaks_when_told_to() -> None:
    engine = simulated(failures={"fail_after_tokens": 30})
    await engine.ready()
    with pytest.raises(EngineFailed, match="on purpose"):
        await answer(engine)
    with pytest.raises(EngineFailed):
        await engine.ready()
    await engine.close()


async def test_it_hangs_when_told_to() -> None:
    engine = simulated(failures={"hang_after_tokens": 5})
    await engine.ready()
    async with aclosing(engine.generate(Generation("r", "Hello", GREEDY))) as deltas:
        got = [token for _ in range(5) for token in (await anext(deltas)).token_ids]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(deltas), 0.2)
    assert len(got) == 5
    await engine.close()


async def test_requests_can_not_ask_for_faults(engine: Simulated) -> None:
    for name in ("fail_after_tokens", "crash_after_tokens", "failures"):
        with pytest.raises(InvalidGeneration, match=name):
            await answer(engine, sampling=replace(GREEDY, extra={name: 1}))


async def test_speculation_changes_the_steps_and_not_the_words(engine: Simulated) -> None:
    quick = simulated(speculation={"num_speculative_tokens": 4, "acceptance": 0.8})
    await quick.ready()
    plain, drafted = await answer(engine), await answer(quick)
    assert drafted.ids == plain.ids
    assert len(drafted.deltas) < len(plain.deltas) / 2
    stats = quick.stats()
    assert stats.draft_tokens_total == sum(d.draft_tokens for d in drafted.deltas)
    assert 0.3 < stats.accepted_tokens_total / stats.draft_tokens_total < 1.0
    await quick.close()


async def test_preempted_requests_say_the_same() -> None:
    roomy, tight = simulated(), simulated(kv_blocks=16, kv_block_tokens=16, max_context_tokens=256)
    for engine in (roomy, tight):
        await engine.ready()
    endless = Sampling(max_tokens=100, temperature=0.0, ignore_eos=True)
    alone = [await answer(roomy, p, endless) for p in PROMPTS[:6]]
    crowded = await asyncio.gather(*(answer(tight, p, endless) for p in PROMPTS[:6]))
    assert [c.ids for c in crowded] == [a.ids for a in alone]
    assert tight.stats().preemptions_total > 0
    assert tight.stats().kv_used == 0.0
    for engine in (roomy, tight):
        await engine.close()


@pytest.mark.looptime
async def test_time_follows_the_profile() -> None:
    engine = simulated(profile={"base_s": 0.1, "decode_token_s": 0.01, "prefill_token_s": 0.001})
    await engine.ready()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await answer(engine, tuple([65] * 50), Sampling(max_tokens=5, temperature=0.0))
    # 1 step over the prompt, 4 that decode
    assert loop.time() - began == pytest.approx(0.1 + 0.05 + 4 * 0.11)
    await engine.close()


async def test_embeddings_are_alike_for_texts_that_are() -> None:
    engine = simulated(embedding_dimensions=256)
    await engine.ready()
    (a, b, c), _ = await engine.embed(["the quiet river bank", "a quiet river bank", "completely different"])
    near, far = (sum(x * y for x, y in zip(a, other, strict=True)) for other in (b, c))
    assert near > 0.6
    assert far < 0.3
    assert sum(x * x for x in a) == pytest.approx(1.0)
    await engine.close()
