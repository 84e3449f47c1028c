"""The work queue on a virtual clock: one worker per key, nothing lost, failures spaced out."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from controlplane.cluster.queue import FIRST_RETRY_S, LONGEST_RETRY_S, WorkQueue

pytestmark = pytest.mark.looptime


async def worked(queue: WorkQueue[str], work, seconds: float, workers: int = 3) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await queue.run(workers, work)


async def test_many_additions_of_a_waiting_key_are_one_piece_of_work() -> None:
    queue, done = WorkQueue[str](), Counter[str]()

    async def work(key: str) -> bool:
        done[key] += 1
        return True

    for _ in range(5):
        queue.add("a")
    queue.add("b")
    await worked(queue, work, 1)
    assert done == {"a": 1, "b": 1}


async def test_a_key_is_never_worked_on_twice_at_once_and_comes_again_if_added_meanwhile() -> None:
    queue, at_once, most, times = WorkQueue[str](), 0, 0, 0

    async def work(key: str) -> bool:
        nonlocal at_once, most, times
        at_once += 1
        most, times = max(most, at_once), times + 1
        if times == 1:
            for _ in range(3):
                queue.add(key)
        await asyncio.sleep(1)
        at_once -= 1
        return True

    queue.add("a")
    await worked(queue, work, 10)
    assert (most, times) == (1, 2)


async def test_a_failing_key_comes_back_ever_later_and_does_not_hold_up_others() -> None:
    queue, loop, tries, other = WorkQueue[str](), asyncio.get_running_loop(), [], 0

    async def work(key: str) -> bool:
        nonlocal other
        if key == "bad":
            tries.append(loop.time())
            return False
        other += 1
        return True

    queue.add("bad")
    queue.add("good")
    await worked(queue, work, 300, workers=1)
    gaps = [later - sooner for sooner, later in pairwise(tries)]
    assert gaps[:4] == pytest.approx([FIRST_RETRY_S * 2**n for n in range(4)], abs=0.01)
    assert max(gaps) == pytest.approx(LONGEST_RETRY_S, abs=0.01)
    assert other == 1


async def test_success_forgets_the_failures() -> None:
    queue, loop, tries = WorkQueue[str](), asyncio.get_running_loop(), []

    async def work(key: str) -> bool:
        tries.append(loop.time())
        return len(tries) != 1 and len(tries) != 3

    queue.add("a")
    loop.call_at(loop.time() + 10, queue.add, "a")
    await worked(queue, work, 20)
    assert tries[1] - tries[0] == pytest.approx(FIRST_RETRY_S, abs=0.01)
    assert tries[3] - tries[2] == pytest.approx(FIRST_RETRY_S, abs=0.01)


async def test_of_two_times_the_earlier_holds_and_now_beats_both() -> None:
    queue, loop, times = WorkQueue[str](), asyncio.get_running_loop(), []
    began = loop.time()

    async def work(key: str) -> bool:
        times.append((key, round(loop.time() - began, 2)))
        return True

    queue.add_after("a", 5)
    queue.add_after("a", 9)
    queue.add_after("b", 9)
    queue.add_after("b", 2)
    queue.add_after("c", 8)
    queue.add("c")
    await worked(queue, work, 20)
    assert sorted(times) == [("a", 5.0), ("b", 2.0), ("c", 0.0)]


async def test_an_addition_during_failing_work_is_left_to_the_retry() -> None:
    queue, times = WorkQueue[str](), 0

    async def work(key: str) -> bool:
        nonlocal times
        times += 1
        if times == 1:
            queue.add(key)
        return times > 1

    queue.add("a")
    await worked(queue, work, 30)
    assert times == 2


async def test_clear_forgets_what_waits() -> None:
    queue, done = WorkQueue[str](), []

    async def work(key: str) -> bool:
        done.append(key)
        return True

    queue.add("a")
    queue.add_after("b", 1)
    queue.clear()
    assert queue.depth == 0
    await worked(queue, work, 5)
    assert done == []
