"""What every engine must do, as a class of tests: subclass it as `TestSomething(EngineContract)` with an `engine` fixture.

The fixture yields an engine whose `ready()` has returned and closes it afterwards. Capabilities that a kind lacks are switched
off by class attributes; everything else is the seam, and no engine is excused from it.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import pytest

from workers.engine import (
    Chat,
    Constraint,
    Delta,
    Embeds,
    Engine,
    EngineError,
    Generation,
    InvalidGeneration,
    Sampling,
)

PROMPT = "List the planets of the solar system, the nearest to the sun first."
GREEDY = Sampling(max_tokens=24, temperature=0.0)
SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "colour": {"enum": ["red", "green"]}},
    "required": ["ok", "colour"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Said:
    """One whole answer."""

    deltas: tuple[Delta, ...]

    @property
    def text(self) -> str:
        return "".join(d.text for d in self.deltas)

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(i for d in self.deltas for i in d.token_ids)

    @property
    def last(self) -> Delta:
        return self.deltas[-1]

    @property
    def prompt_tokens(self) -> int | None:
        return self.deltas[0].prompt_tokens

    @property
    def cached_tokens(self) -> int:
        return self.deltas[0].cached_tokens


async def said(engine: Engine, generation: Generation) -> Said:
    async with aclosing(engine.generate(generation)) as deltas:
        return Said(tuple([d async for d in deltas]))


async def until(condition: Callable[[], bool], what: str, limit_s: float = 60.0) -> None:
    """Waits for a condition; the limit only ends a run that would never end."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)
    assert condition(), what


def before(answer: Said, messages: int) -> tuple[tuple[int, ...], str]:
    """The ids and the text of the first few messages."""
    part = Said(answer.deltas[:messages])
    return part.ids, part.text


async def _read_to_the_end(stream: AsyncGenerator[Delta, None]) -> None:
    async for _ in stream:
        pass
    raise EngineError("the stream just ended")


class EngineContract:
    reports_token_ids = True
    takes_token_prompts = True
    honours_cache_salt = True
    constrains = True
    reports_alternatives = True
    counts_running = True
    closes_for_good = True

    async def test_says_what_it_is(self, engine: Engine) -> None:
        info = await engine.ready()
        assert info.engine
        assert info.models
        assert info.max_running > 0
        assert info.reports_token_ids is self.reports_token_ids
        assert info.simulated is (info.engine == "simulated")

    async def test_the_first_message_counts_the_prompt_and_the_last_says_why(self, engine: Engine) -> None:
        answer = await said(engine, Generation("shape", PROMPT, GREEDY))
        assert (answer.prompt_tokens or 0) > 0
        assert all(d.prompt_tokens is None for d in answer.deltas[1:])
        assert all(d.finish_reason is None for d in answer.deltas[:-1])
        assert answer.last.finish_reason in ("stop", "length")
        assert answer.text
        if self.reports_token_ids:
            assert 0 < len(answer.ids) <= 24
            if answer.last.finish_reason == "length":
                assert len(answer.ids) == 24

    async def test_greedy_answers_repeat(self, engine: Engine) -> None:
        first = await said(engine, Generation("again-1", PROMPT, GREEDY))
        second = await said(engine, Generation("again-2", PROMPT, GREEDY))
        assert (first.text, first.ids) == (second.text, second.ids)

    async def test_one_token(self, engine: Engine) -> None:
        answer = await said(engine, Generation("one", PROMPT, replace(GREEDY, max_tokens=1)))
        assert answer.last.finish_reason == "length"
        if self.reports_token_ids:
            assert len(answer.ids) == 1

    async def test_a_resumed_answer_reads_as_if_it_never_moved(self, engine: Engine) -> None:
        if not self.reports_token_ids:
            pytest.skip("this engine reports no token ids, so nothing can be resumed")
        whole = await said(engine, Generation("whole", PROMPT, GREEDY))
        for seam in range(1, len(whole.deltas)):
            ids, text = before(whole, seam)
            rest = await said(engine, Generation(f"rest-{seam}", PROMPT, GREEDY, resume_token_ids=ids))
            assert (text + rest.text, ids + rest.ids) == (whole.text, whole.ids), f"seam after {seam} messages"
            assert rest.prompt_tokens == whole.prompt_tokens
            assert rest.last.finish_reason == whole.last.finish_reason

    async def test_an_answer_that_already_has_all_its_tokens_ends_at_once(self, engine: Engine) -> None:
        if not self.reports_token_ids:
            pytest.skip("this engine reports no token ids, so nothing can be resumed")
        whole = await said(engine, Generation("full", PROMPT, GREEDY))
        if whole.last.finish_reason != "length":
            pytest.skip("the model ended this answer by itself")
        rest = await said(engine, Generation("full-rest", PROMPT, GREEDY, resume_token_ids=whole.ids))
        assert rest.ids == ()
        assert rest.last.finish_reason == "length"
        assert rest.prompt_tokens == whole.prompt_tokens

    async def test_stop_strings_end_the_answer(self, engine: Engine) -> None:
        whole = await said(engine, Generation("unstopped", PROMPT, GREEDY))
        middle = len(whole.text) // 2
        stop = whole.text[middle : middle + 3]
        at = whole.text.index(stop)
        cut = await said(engine, Generation("stopped", PROMPT, replace(GREEDY, stop=(stop,))))
        assert cut.text == whole.text[:at]
        assert cut.last.finish_reason == "stop"
        kept = await said(engine, Generation("kept", PROMPT, replace(GREEDY, stop=(stop,), include_stop_in_output=True)))
        assert kept.text == whole.text[: at + len(stop)]

    async def test_a_stop_string_over_the_seam_is_found(self, engine: Engine) -> None:
        if not self.reports_token_ids:
            pytest.skip("this engine reports no token ids, so nothing can be resumed")
        whole = await said(engine, Generation("unseamed", PROMPT, GREEDY))
        middle = len(whole.text) // 2
        stop = whole.text[middle : middle + 12]
        sampling = replace(GREEDY, stop=(stop,))
        cut = await said(engine, Generation("seam-whole", PROMPT, sampling))
        for seam in range(1, len(cut.deltas)):
            ids, text = before(cut, seam)
            rest = await said(engine, Generation(f"seam-{seam}", PROMPT, sampling, resume_token_ids=ids))
            assert text + rest.text == cut.text, f"seam after {seam} messages"
            assert rest.last.stop_reason == cut.last.stop_reason == stop

    async def test_chat_prompts(self, engine: Engine) -> None:
        chat = Chat([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a colour."}])
        answer = await said(engine, Generation("chat", chat, GREEDY))
        assert answer.text
        assert (answer.prompt_tokens or 0) > 0

    async def test_token_prompts(self, engine: Engine) -> None:
        if not self.takes_token_prompts:
            pytest.skip("this engine takes no token ids as a prompt")
        answer = await said(engine, Generation("ids", (5, 6, 7, 8, 9), GREEDY))
        assert answer.prompt_tokens == 5

    async def test_logprobs(self, engine: Engine) -> None:
        if not self.reports_alternatives:
            pytest.skip("this engine reports no log-probabilities")
        answer = await said(engine, Generation("logprobs", PROMPT, replace(GREEDY, max_tokens=6, logprobs=3)))
        logprobs = [p for d in answer.deltas for p in d.logprobs]
        if self.reports_token_ids:
            assert [p.token_id for p in logprobs] == list(answer.ids)
        assert logprobs
        for p in logprobs:
            assert p.logprob <= 0
            assert len(p.top) >= 3
            assert max(a.logprob for a in p.top) == pytest.approx(p.logprob)  # greedy takes the likeliest

    async def test_a_json_schema_binds(self, engine: Engine) -> None:
        if not self.constrains:
            pytest.skip("this engine has no structured output")
        constraint = Constraint("json_schema", json.dumps(SCHEMA))
        sampling = Sampling(max_tokens=64, temperature=0.0, constraint=constraint)
        answer: dict[str, Any] = json.loads((await said(engine, Generation("json", PROMPT, sampling))).text)
        assert set(answer) == {"ok", "colour"}
        assert isinstance(answer["ok"], bool)
        assert answer["colour"] in ("red", "green")

    async def test_a_choice_binds(self, engine: Engine) -> None:
        if not self.constrains:
            pytest.skip("this engine has no structured output")
        sampling = Sampling(max_tokens=16, temperature=0.0, constraint=Constraint("choice", ("yes", "no")))
        assert (await said(engine, Generation("choice", PROMPT, sampling))).text in ("yes", "no")

    @pytest.mark.parametrize("schema", ["{", '{"type": "no-such-type"}'])
    async def test_a_broken_schema_is_the_callers_fault(self, engine: Engine, schema: str) -> None:
        if not self.constrains:
            pytest.skip("this engine has no structured output")
        sampling = Sampling(max_tokens=8, temperature=0.0, constraint=Constraint("json_schema", schema))
        with pytest.raises(InvalidGeneration):
            await said(engine, Generation("bad-schema", PROMPT, sampling))
        assert (await said(engine, Generation("after-bad", PROMPT, GREEDY))).text

    async def test_an_unknown_parameter_is_refused_by_name(self, engine: Engine) -> None:
        sampling = replace(GREEDY, extra={"no_such_parameter": 1})
        with pytest.raises(InvalidGeneration, match="no_such_parameter") as caught:
            await said(engine, Generation("unknown", PROMPT, sampling))
        assert caught.value.param == "no_such_parameter"

    async def test_a_prompt_that_does_not_fit_is_refused(self, engine: Engine) -> None:
        room = (await engine.ready()).max_context_tokens
        if not room:
            pytest.skip("this engine does not say how much fits")
        with pytest.raises(InvalidGeneration):
            await said(engine, Generation("long", "word " * (room * 2), GREEDY))

    async def test_many_at_once_do_not_mix(self, engine: Engine) -> None:
        prompts = [f"{PROMPT} Number {i}." for i in range(6)]
        alone = [await said(engine, Generation(f"alone-{i}", p, GREEDY)) for i, p in enumerate(prompts)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(said(engine, Generation(f"at-once-{i}", p, GREEDY))) for i, p in enumerate(prompts)]
        assert [t.result().text[:8] for t in tasks] == [a.text[:8] for a in alone]
        assert all(t.result().last.finish_reason for t in tasks)

    async def test_closing_the_stream_frees_the_slot(self, engine: Engine) -> None:
        sampling = Sampling(max_tokens=200, temperature=0.0, ignore_eos=True)
        async with aclosing(engine.generate(Generation("left", PROMPT, sampling))) as deltas:
            async for _ in deltas:
                break
            if self.counts_running:
                await until(lambda: engine.stats().running == 1, "counted as running")
        await until(lambda: engine.stats().running + engine.stats().waiting == 0, "the slot is free again")

    async def test_cancelling_the_reader_frees_the_slot(self, engine: Engine) -> None:
        sampling = Sampling(max_tokens=200, temperature=0.0, ignore_eos=True)
        began = asyncio.Event()

        async def read() -> None:
            async with aclosing(engine.generate(Generation("cancelled", PROMPT, sampling))) as deltas:
                async for _ in deltas:
                    began.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(began.wait(), 60)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: engine.stats().running + engine.stats().waiting == 0, "the slot is free again")

    async def test_counters_grow(self, engine: Engine) -> None:
        earlier = engine.stats()
        answer = await said(engine, Generation("counted", PROMPT, GREEDY))
        tokens = len(answer.ids) or 1

        def counted() -> bool:
            now = engine.stats()
            return now.output_tokens_total >= earlier.output_tokens_total + tokens

        await until(counted, "the output tokens are counted")
        assert engine.stats().prompt_tokens_total > earlier.prompt_tokens_total

    async def test_a_repeated_prefix_is_cached_within_its_salt(self, engine: Engine) -> None:
        block = (await engine.ready()).kv_block_tokens
        if not block:
            pytest.skip("this engine does not say what it caches")
        prompt = " ".join(f"item {i} of a long list;" for i in range(block))
        once = await said(engine, Generation("cold", prompt, replace(GREEDY, max_tokens=2), cache_salt="a"))
        again = await said(engine, Generation("warm", prompt, replace(GREEDY, max_tokens=2), cache_salt="a"))
        assert once.cached_tokens == 0
        assert again.cached_tokens >= block
        assert again.cached_tokens < (again.prompt_tokens or 0)
        if self.honours_cache_salt:
            other = await said(engine, Generation("other", prompt, replace(GREEDY, max_tokens=2), cache_salt="b"))
            assert other.cached_tokens == 0

    async def test_embedding(self, engine: Engine) -> None:
        if not (await engine.ready()).embeddings:
            pytest.skip("this engine does not embed")
        assert isinstance(engine, Embeds)
        vectors, tokens = await engine.embed(["a cat", "a kitten", "a cat"])
        assert len(vectors) == 3
        assert len({len(v) for v in vectors}) == 1
        assert vectors[0] == pytest.approx(vectors[2], abs=1e-5)
        assert vectors[0] != vectors[1]
        assert tokens > 0

    async def test_closing_ends_what_runs(self, engine: Engine) -> None:
        if not self.closes_for_good:
            pytest.skip("the server behind this engine lives on")
        sampling = Sampling(max_tokens=200, temperature=0.0, ignore_eos=True)
        stream = engine.generate(Generation("last", PROMPT, sampling))
        async with aclosing(stream):
            await anext(stream)
            await engine.close()
            with pytest.raises(EngineError):
                await asyncio.wait_for(_read_to_the_end(stream), 60)
        with pytest.raises(EngineError):
            await said(engine, Generation("too-late", PROMPT, GREEDY))
        await engine.close()
