"""The request path on a virtual clock: fakes for the wire, the real decisions."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from unittest.mock import patch

import pytest

from router.continuation import Call, Part
from router.errors import AnswerLost, DeadlineExceeded, InvalidRequest, NoReplica, Rejected
from router.request import Constraint, Finished, Piece, Request, Sampling, Started, TextPrompt
from tests.router.dispatching import ANYONE, World, losing, now, text, words

pytestmark = pytest.mark.looptime

WHOLE = "".join(f"{i} " for i in range(10))


async def test_an_answer_from_start_to_bill() -> None:
    world = World(words)
    events = await world.ask()
    assert isinstance(events[0], Started)
    assert text(events) == WHOLE
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.usage.prompt_tokens, finished.usage.cached_tokens, finished.usage.completion_tokens) == (100, 40, 10)
    assert finished.cost_usd == pytest.approx((60 * 1.0 + 40 * 0.1 + 10 * 10.0) / 1e6)
    assert finished.decision.pool == "small"
    assert finished.decision.replica in finished.decision.reason or finished.decision.reason
    assert world.ledger.done == [finished]
    assert world.is_idle()


@pytest.mark.parametrize("after", range(11))
async def test_a_replica_lost_at_any_part_does_not_show(after: int) -> None:
    world = World(losing(1, after))
    events = await world.ask()
    assert text(events) == WHOLE
    assert events[-1].resumed == 1
    first, second = world.calls
    assert first[0] != second[0], "the second try goes elsewhere"
    assert len(second[1].resume_token_ids) == max(after - 1, 0)
    assert world.is_idle()


async def test_a_prompt_that_was_charged_once_stays_charged_once_when_resumed() -> None:
    world = World(losing(2, 3), replicas=3)
    finished = (await world.ask())[-1]
    assert (finished.usage.prompt_tokens, finished.usage.completion_tokens, finished.resumed) == (100, 10, 2)


async def test_after_all_tries_an_answer_that_had_begun_is_lost() -> None:
    world = World(losing(99, 2), failover={"tries": 3})
    with pytest.raises(AnswerLost, match="3 tries failed"):
        await world.ask()
    assert world.ledger.codes == ["answer_lost"]
    assert world.is_idle()


async def test_after_all_tries_an_answer_that_never_began_has_no_replica() -> None:
    world = World(losing(99, 0), failover={"tries": 2})
    with pytest.raises(NoReplica):
        await world.ask()
    assert world.is_idle()


async def test_a_caller_at_fault_is_not_tried_again() -> None:
    world = World(losing(1, 0, InvalidRequest("top_p: too large", param="top_p")))
    with pytest.raises(InvalidRequest) as caught:
        await world.ask()
    assert caught.value.param == "top_p"
    assert len(world.calls) == 1


async def test_an_answer_under_way_waits_for_its_only_replica_to_come_back() -> None:
    world = World(losing(1, 4), replicas=1, failover={"wait_s": 20})
    world.store.lost("r0")
    world.report("r0")
    task = asyncio.create_task(world.ask())
    await asyncio.sleep(0)
    while not world.ledger.moved:
        await asyncio.sleep(0.001)
    world.store.lost("r0")
    await asyncio.sleep(10)
    assert not task.done()
    world.report("r0", incarnation="2")
    assert text(await task) == WHOLE


async def test_a_new_request_does_not_wait_when_nothing_is_ready() -> None:
    world = World(words, replicas=1)
    world.store.lost("r0")
    with pytest.raises(NoReplica) as caught:
        await world.ask()
    assert caught.value.retry_after_s
    assert asyncio.get_running_loop().time() < 0.01


async def test_a_request_for_a_pool_at_zero_waits_for_its_first_replica() -> None:
    world = World(words)
    world.scale(0, cold_start_wait_s=60)
    asked = asyncio.create_task(world.ask())
    await asyncio.sleep(40)
    assert world.ledger.arrivals == ["small"]
    assert world.room.waiting("small", now()) == (1, pytest.approx(40))
    world.scale(1, cold_start_wait_s=60)
    await asyncio.sleep(10)
    assert not asked.done(), "it is there and not ready"
    world.report("r0")
    assert text(await asked) == WHOLE
    assert 50 <= now() < 50.1
    assert world.room.waiting("small", now()) == (0, 0.0)
    assert world.is_idle()


async def test_a_cold_start_that_takes_too_long_is_told_with_a_time_to_come_back() -> None:
    world = World(words)
    world.scale(0, cold_start_wait_s=60)
    with pytest.raises(NoReplica, match="no replica was ready within 60 s") as refused:
        await world.ask()
    assert refused.value.retry_after_s
    assert now() == pytest.approx(60)
    assert world.ledger.codes == ["no_replica"]
    assert world.is_idle()


async def test_a_cold_start_is_not_waited_for_beyond_the_deadline() -> None:
    world = World(words)
    world.scale(0, cold_start_wait_s=60)
    with pytest.raises(DeadlineExceeded):
        await world.ask(deadline=now() + 5)
    assert now() == pytest.approx(5)
    assert world.is_idle()


async def test_only_so_many_wait_for_a_cold_start() -> None:
    world = World(words, limits={"max_waiting_cold": 2})
    world.scale(0, cold_start_wait_s=60)
    waiting = [asyncio.create_task(world.ask()) for _ in range(2)]
    await asyncio.sleep(1)
    with pytest.raises(NoReplica, match="2 requests wait"):
        await world.ask()
    assert now() == pytest.approx(1)
    world.scale(1, cold_start_wait_s=60)
    world.report("r0")
    for answer in await asyncio.gather(*waiting):
        assert text(answer) == WHOLE
    assert world.is_idle()


async def test_a_caller_who_leaves_a_cold_start_frees_everything() -> None:
    world = World(words)
    world.scale(0, cold_start_wait_s=60)
    asked = asyncio.create_task(world.ask(n=3))
    await asyncio.sleep(1)
    assert world.room.waiting("small", now())[0] == 3
    asked.cancel()
    await asyncio.wait([asked])
    assert world.room.waiting("small", now())[0] == 0
    assert world.is_idle()
    assert world.ledger.codes == ["cancelled"]


async def test_a_crowd_that_waited_is_served_by_one_replica_as_it_has_room() -> None:
    async def slow(address: str, call: Call) -> AsyncGenerator[Part, None]:
        async with aclosing(words(address, call)) as parts:
            async for part in parts:
                await asyncio.sleep(0.1)
                yield part

    world = World(slow)
    world.scale(0, cold_start_wait_s=60)
    crowd = [asyncio.create_task(world.ask()) for _ in range(50)]
    await asyncio.sleep(1)
    world.scale(1, cold_start_wait_s=60)
    world.report("r0", max_running=4)  # eight at a time: twice what it runs
    most = 0
    while not all(task.done() for task in crowd):
        most = max(most, world.open_calls)
        await asyncio.sleep(0.05)
    assert {text(task.result()) for task in crowd} == {WHOLE}
    assert most == 8
    assert world.is_idle()


async def test_a_pool_that_is_full_is_not_waited_for() -> None:
    world = World(words, replicas=1)
    world.scale(1, cold_start_wait_s=60)
    world.report("r0", max_running=4, running=8)
    with pytest.raises(Rejected):
        await world.ask()
    assert now() == 0


async def test_a_fault_of_our_own_is_counted_as_such_and_frees_everything() -> None:
    async def broken(address: str, call: Call) -> AsyncGenerator[Part, None]:
        yield Part(prompt_tokens=1)
        raise ZeroDivisionError

    world = World(broken)
    with pytest.raises(ZeroDivisionError):
        await world.ask()
    assert world.ledger.codes == ["internal"]
    assert world.is_idle()


async def test_a_caller_who_leaves_frees_everything() -> None:
    world = World(words)
    request = Request("q", "small", TextPrompt("hello"), Sampling(temperature=0), n=3)
    async with aclosing(world.dispatcher.generate(request, ANYONE)) as events:
        async for event in events:
            if isinstance(event, Piece):
                break
        assert world.open_calls
    assert world.is_idle()
    assert world.ledger.codes == ["cancelled"]


async def test_choices_of_one_request_share_a_pool_and_the_prompt_is_charged_once() -> None:
    world = World(words)
    events = await world.ask(n=3)
    for index in range(3):
        assert "".join(e.text for e in events if isinstance(e, Piece) and e.index == index) == WHOLE
    finished = events[-1]
    assert (finished.usage.prompt_tokens, finished.usage.completion_tokens) == (100, 30)
    assert sum(isinstance(event, Started) for event in events) == 1


async def test_deadline_ends_the_tries() -> None:
    world = World(losing(99, 1), failover={"tries": 16, "backoff_s": 1.0})
    with pytest.raises(DeadlineExceeded):
        await world.ask(deadline=asyncio.get_running_loop().time() + 3.0)
    assert world.is_idle()


async def test_more_than_the_router_takes_is_rejected_with_a_time_to_come_back() -> None:
    async def never(address: str, call: Call) -> AsyncGenerator[Part, None]:
        await asyncio.sleep(1000)
        yield Part()

    world = World(never, limits={"max_in_flight": 1})
    first = asyncio.create_task(world.ask())
    await asyncio.sleep(0.01)
    with pytest.raises(Rejected) as caught:
        await world.ask()
    assert caught.value.retry_after_s
    first.cancel()
    await asyncio.wait([first])
    assert world.is_idle()


async def test_a_draining_router_takes_nothing_new() -> None:
    world = World(words)
    world.dispatcher.draining = True
    with pytest.raises(NoReplica):
        await world.ask()


async def test_an_answer_that_breaks_the_form_asked_for_is_a_sign_against_its_pool() -> None:
    world = World(words)
    form = Sampling(temperature=0, constraint=Constraint("json_object"))
    await world.ask(model="auto", sampling=Sampling(temperature=0))
    assert world.routing.experience.learning.figures().taught == {}
    await world.ask(model="auto", sampling=form)
    assert set(world.routing.experience.learning.figures().taught) == {("small", "broke_form")}


async def slow(address: str, call: Call) -> AsyncGenerator[Part, None]:
    await asyncio.sleep(2.0)
    yield Part(prompt_tokens=1000, cached_tokens=0)
    yield Part((0,), "0 ")
    await asyncio.sleep(0.5)
    yield Part((1,), "1 ", finish_reason="stop")


async def test_how_long_a_pool_takes_is_remembered_of_streams_on_one_replica() -> None:
    clock = asyncio.get_running_loop().time
    with patch("router.dispatch.perf_counter", clock):
        world = World(slow)
        await world.ask(stream=False)
        assert world.routing.latency.timings == {}
        await world.ask()
        timing = world.routing.latency.timings["small"]
        assert (timing.prefill_s, timing.tpot_s) == pytest.approx((2.0 / 1000, 0.5))
        world.script = losing(1, 3)
        await world.ask()
        assert world.routing.latency.timings["small"] == timing
