"""Continuous batching: who runs, in which chunks, and who gives way when the blocks run out."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.engine import Sampling
from workers.engines.simulated.batch import Batch, Job, Speculation
from workers.engines.simulated.kv import KvPool
from workers.engines.simulated.voice import Chooser, Lengths, Voice


def job(prompt: int, answer: int, first: int = 65) -> Job:
    """A request with a prompt and an answer of so many tokens."""
    tokens = [first] * prompt
    sampling = Sampling(temperature=0.0, ignore_eos=True)
    chooser = Chooser(Voice(tokens, sampling, Lengths(20, 120)), sampling, tokens, random.Random(0))
    return Job(tokens=tokens, chooser=chooser, salt="", room=answer)


def batch(blocks: int = 100, max_running: int = 10, step_tokens: int = 64, **more: Any) -> Batch:
    return Batch(KvPool(blocks, 4, prefix_caching=False), max_running, step_tokens, **more)


def step(it: Batch) -> list[Job]:
    return it.commit(it.plan())


def test_a_prompt_is_computed_in_chunks_and_then_one_token_a_step() -> None:
    it, one = batch(step_tokens=10), job(prompt=25, answer=3)
    it.add(one)
    steps = []
    while it.waiting or it.running:
        work = it.plan()
        steps.append((work.prefill_tokens, work.decode_tokens, len(it.commit(work))))
    assert steps == [(10, 0, 0), (10, 0, 0), (5, 0, 1), (0, 1, 1), (0, 1, 1)]
    assert (one.done, len(one.fresh)) == (True, 3)


def test_those_that_decode_go_before_prompts() -> None:
    it = batch(step_tokens=8)
    it.add(job(4, 50))
    step(it)
    it.add(job(20, 5))
    work = it.plan()
    assert (work.decode_tokens, work.prefill_tokens) == (1, 7)


def test_first_come_first_served_within_the_slots() -> None:
    it = batch(max_running=2)
    jobs = [job(4, 3, first=number) for number in range(4)]
    for each in jobs:
        it.add(each)
    step(it)
    assert it.running == jobs[:2]
    for _ in range(3):
        step(it)
    assert it.running == jobs[2:]


def test_whoever_came_last_gives_way_and_comes_back_first() -> None:
    it = batch(blocks=5)
    first, second, third = job(8, 12, first=1), job(8, 4, first=2), job(8, 4, first=3)
    for each in (first, second, third):
        it.add(each)
    step(it)
    assert (it.running, list(it.waiting)) == ([first, second], [third])
    step(it)  # each needs a third block, one is left
    assert it.running == [first]
    assert list(it.waiting) == [second, third]
    assert it.counters.preemptions == 1
    while it.waiting or it.running:
        step(it)
    assert all(each.done for each in (first, second, third))
    assert it.kv.free_blocks == 5


def test_leaving_in_the_middle_of_a_step() -> None:
    it = batch()
    stays, leaves = job(4, 3, first=1), job(4, 3, first=2)
    it.add(stays)
    it.add(leaves)
    work = it.plan()
    it.remove(leaves)
    assert it.commit(work) == [stays]
    assert leaves.fresh == []
    it.remove(leaves)  # twice is no fault
    it.remove(stays)
    assert it.kv.used == 0.0


def test_a_prefix_is_computed_once() -> None:
    it = Batch(KvPool(100, 4), 10, 64)
    first = job(17, 1)
    it.add(first)
    step(it)
    second = job(17, 1)
    it.add(second)
    assert it.plan().prefill_tokens == 1
    assert (first.cached, second.cached) == (0, 16)
    assert (it.counters.prefix_query_tokens, it.counters.prefix_hit_tokens) == (34, 16)


def test_drafts_never_exceed_what_is_left() -> None:
    it = batch(speculation=Speculation(8, 1.0))
    one = job(4, 12)
    it.add(one)
    made = []
    while it.running or it.waiting:
        before = len(one.fresh)
        step(it)
        made.append(len(one.fresh) - before)
    assert made == [1, 9, 2]
    assert one.drafted == one.accepted == 9


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30), st.booleans()), min_size=1, max_size=12),
    st.integers(15, 40),
    st.integers(1, 40),
    st.sampled_from([None, Speculation(3, 0.5)]),
)
def test_everyone_is_served_in_full_and_everything_is_given_back(
    sizes: list[tuple[int, int, bool]], blocks: int, step_tokens: int, speculation: Speculation | None
) -> None:
    it = Batch(KvPool(blocks, 4), 4, step_tokens, speculation)
    jobs = [job(prompt, answer, first=number) for number, (prompt, answer, _) in enumerate(sizes)]
    for each in jobs:
        it.add(each)
    for each, (_, _, leaves) in zip(jobs, sizes, strict=True):
        step(it)
        if leaves:
            it.remove(each)
    for _ in range(20_000):
        if not (it.waiting or it.running):
            break
        step(it)
    assert not it.waiting
    assert not it.running
    for each, (prompt, answer, leaves) in zip(jobs, sizes, strict=True):
        assert leaves or (each.done and len(each.tokens) == prompt + answer)
    assert it.kv.free_blocks == blocks
