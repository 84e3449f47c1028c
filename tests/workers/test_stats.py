"""Watch: pushed on change, never faster than asked, quiet when nothing happens. On a virtual clock, then once over gRPC."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise

import pytest

from headgate.v1 import worker_pb2 as wire
from tests.workers.serving import UNHURRIED, messages, request, served, simulated
from workers.engine import EngineInfo, EngineStats
from workers.stats import HEARTBEAT_S, StateFeed

INTERVAL_S = 0.05


class Load:
    """What an engine would say, and how often it was asked."""

    def __init__(self) -> None:
        self.now = EngineStats()
        self.asked = 0

    def read(self) -> EngineStats:
        self.asked += 1
        return self.now


@pytest.fixture
def load() -> Load:
    return Load()


def feed_of(load: Load) -> StateFeed:
    """Not a fixture: fixtures are made before the clock is virtual."""
    feed = StateFeed(load.read, asyncio.get_running_loop().time)
    feed.enter(wire.WORKER_PHASE_READY)
    return feed


async def pushed_during(
    states: AsyncGenerator[wire.WorkerState, None], during_s: float
) -> list[tuple[float, wire.WorkerState]]:
    """What came within that time, and when."""
    loop = asyncio.get_running_loop()
    began, got = loop.time(), []
    try:
        async with asyncio.timeout(during_s), aclosing(states):
            async for state in states:
                got.append((loop.time() - began, state))
    except TimeoutError:
        pass
    return got


@pytest.mark.asyncio
@pytest.mark.looptime(start=1000)
class TestOnAVirtualClock:
    async def test_a_quiet_worker_is_pushed_once_per_heartbeat(self, load: Load) -> None:
        feed = feed_of(load)
        await asyncio.sleep(10)
        load.asked = 0
        got = await pushed_during(feed.watch(INTERVAL_S), 10 * HEARTBEAT_S + 0.1)
        assert 10 <= len(got) <= 12
        assert load.asked <= 15

    async def test_a_busy_worker_is_pushed_once_per_interval_at_most(self, load: Load) -> None:
        feed = feed_of(load)

        async def work() -> None:
            while True:
                load.now = replace(load.now, output_tokens_total=load.now.output_tokens_total + 1)
                await asyncio.sleep(0.003)

        feed.begin()
        task = asyncio.create_task(work())
        got = await pushed_during(feed.watch(INTERVAL_S), 5.0)
        task.cancel()
        times = [at for at, _ in got]
        assert min(b - a for a, b in pairwise(times)) >= INTERVAL_S - 1e-6
        assert 95 <= len(got) <= 101

    async def test_a_busy_worker_whose_state_stays_is_not_repeated(self, load: Load) -> None:
        feed = feed_of(load)
        feed.begin()
        got = await pushed_during(feed.watch(INTERVAL_S), HEARTBEAT_S - 0.1)
        assert len(got) == 1

    async def test_a_new_request_ends_the_quiet_at_once(self, load: Load) -> None:
        feed = feed_of(load)
        states = feed.watch(INTERVAL_S)
        await anext(states)
        await asyncio.sleep(60)
        waiting = asyncio.create_task(anext(states))
        await asyncio.sleep(HEARTBEAT_S / 2)
        while waiting.done():  # a heartbeat came first
            waiting = asyncio.create_task(anext(states))
            await asyncio.sleep(HEARTBEAT_S / 2)
        began = asyncio.get_running_loop().time()
        load.now = EngineStats(running=1)
        feed.begin()
        assert (await waiting).running == 1
        assert asyncio.get_running_loop().time() - began < 0.001
        await states.aclose()

    async def test_the_end_of_a_request_is_seen_even_if_the_engine_frees_it_late(self, load: Load) -> None:
        feed = feed_of(load)
        load.now = EngineStats(running=1)
        feed.begin()
        states = feed.watch(INTERVAL_S)
        assert (await anext(states)).running == 1
        feed.end()

        async def free_late() -> None:
            await asyncio.sleep(0.4)
            load.now = EngineStats()

        task = asyncio.create_task(free_late())
        began = asyncio.get_running_loop().time()
        assert (await anext(states)).running == 0
        assert asyncio.get_running_loop().time() - began < 0.4 + 2 * INTERVAL_S
        await task
        await states.aclose()

    async def test_watchers_share_one_sample(self, load: Load) -> None:
        feed = feed_of(load)
        feed.begin()
        load.asked = 0
        await asyncio.gather(*(pushed_during(feed.watch(INTERVAL_S), 1.0) for _ in range(50)))
        assert load.asked <= 1.0 / INTERVAL_S + 5

    async def test_what_the_engine_said_of_itself(self, load: Load) -> None:
        feed = feed_of(load)
        feed.describe(EngineInfo("vllm", ("a",), embeddings=True, max_running=7, kv_block_tokens=16), ("a", "b"))
        state = feed.sample()
        assert list(state.models) == ["a", "b"]
        assert (state.engine, state.embeddings, state.max_running, state.kv_block_tokens) == ("vllm", True, 7, 16)


async def test_over_the_wire() -> None:
    async with served(simulated(**UNHURRIED)) as it:
        loop = asyncio.get_running_loop()
        watch = it.stub.Watch(wire.WatchRequest(min_interval_ms=20))
        first = await watch.read()
        assert (first.phase, first.running, first.simulated, list(first.models)) == (wire.WORKER_PHASE_READY, 0, True, ["sim"])
        states, times = [first], [loop.time()]

        async def follow() -> None:
            while states[-1].output_tokens_total < 100 or states[-1].running:
                states.append(await watch.read())
                times.append(loop.time())

        following = asyncio.create_task(follow())
        await messages(it.stub, request(max_tokens=100, ignore_eos=True))
        await asyncio.wait_for(following, 20)
        watch.cancel()
    totals = [state.output_tokens_total for state in states]
    assert totals == sorted(totals)
    assert any(state.running == 1 for state in states)
    assert len({state.incarnation for state in states}) == 1
    # 100 steps of 2 ms or more: one push per 20 ms at most, whatever the machine's load.
    assert len(states) <= (times[-1] - times[0]) / 0.02 + 3


async def test_each_worker_has_an_incarnation_of_its_own() -> None:
    feeds = [StateFeed(EngineStats, asyncio.get_running_loop().time) for _ in range(3)]
    assert len({feed.sample().incarnation for feed in feeds}) == 3
