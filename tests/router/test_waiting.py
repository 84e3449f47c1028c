"""Who waits for a replica, and whose turn it is, on a virtual clock."""

import asyncio
from collections.abc import Sequence

import pytest

from router.errors import NoReplica
from router.snapshot import Fleet
from router.waiting import AT_ONCE, STEP_S, WaitingRoom, cold_start_wait_s, is_ready
from tests.fleets import fleet_of, pool_of

pytestmark = pytest.mark.looptime
A, B = pool_of("a", 0, 1, cold_start_wait_s=30), pool_of("b", 1, 2, cold_start_wait_s=60)
EMPTY = pool_of("empty", 2, 2, cold_start_wait_s=90)
REFUSED = pool_of("refused", 2, 2)


class Shown:
    """A fleet whose pools a and b are ready or not."""

    def __init__(self) -> None:
        self.ready: Sequence[bool] = (False, False)
        self.looks = 0

    def view(self) -> Fleet:
        self.looks += 1
        return fleet_of([A, B, EMPTY], ready=self.ready)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_turn_comes_when_any_of_the_pools_has_a_replica() -> None:
    shown = Shown()
    room = WaitingRoom(shown, most=8)

    async def wait(*pools: str) -> tuple[bool, float]:
        with room.entered(pools, begun=False) as ticket:
            return await room.turn(ticket, until_s=now() + 10), now()

    waits = [asyncio.create_task(wait(*pools)) for pools in (("a",), ("a", "b"), ("b",), ("empty",))]
    await asyncio.sleep(1)
    shown.ready = (False, True)
    got_a, got_any, got_b, got_empty = await asyncio.gather(*waits)
    assert not got_a[0]
    assert got_a[1] == pytest.approx(10)
    for got in (got_any, got_b):
        assert got[0]
        assert 1 <= got[1] <= 1 + 2 * STEP_S
    assert not got_empty[0]


async def test_those_who_wait_longest_go_first_and_not_all_at_once() -> None:
    shown, order = Shown(), []
    room = WaitingRoom(shown, most=1000)

    async def wait(number: int) -> float:
        with room.entered(["a"], begun=False) as ticket:
            assert await room.turn(ticket, until_s=now() + 10)
            order.append(number)
            return now()

    waits = [asyncio.create_task(wait(number)) for number in range(3 * AT_ONCE)]
    await asyncio.sleep(0.005)
    shown.ready = (True, False)
    times = await asyncio.gather(*waits)
    assert order == list(range(3 * AT_ONCE))
    assert [times.count(time) for time in sorted(set(times))] == [AT_ONCE] * 3


async def test_one_who_had_no_luck_stays_ahead_of_those_who_came_later() -> None:
    shown, order = Shown(), []
    shown.ready = (True, False)
    room = WaitingRoom(shown, most=1000)

    async def wait(number: int, tries: int) -> None:
        with room.entered(["a"], begun=False) as ticket:
            for _ in range(tries):
                assert await room.turn(ticket, until_s=now() + 10)
            order.append(number)

    await asyncio.gather(wait(1, tries=3), *(wait(number, tries=1) for number in range(2, 2 * AT_ONCE)))
    assert order.index(1) < AT_ONCE * 3
    assert sorted(order) == list(range(1, 2 * AT_ONCE))


async def test_only_so_many_may_wait_but_a_begun_answer_always_may() -> None:
    room = WaitingRoom(Shown(), most=1)
    with room.entered(["a"], begun=False), room.entered(["a"], begun=True):
        with pytest.raises(NoReplica, match="2 requests wait") as refused, room.entered(["b"], begun=False):
            pass
        assert refused.value.retry_after_s
        assert room.waiting("a", now())[0] == 2
    with room.entered(["b"], begun=False):
        assert room.waiting("b", now())[0] == 1


async def test_waits_are_counted_under_the_first_pool_from_when_they_began() -> None:
    room, told = WaitingRoom(Shown(), most=8), []
    room.on_entry(lambda: told.append(now()))
    with room.entered(["a", "b"], begun=False):
        await asyncio.sleep(3)
        with room.entered(["a"], begun=False):
            await asyncio.sleep(1)
            assert room.waiting("a", now()) == (2, pytest.approx(4))
            assert room.waiting("b", now()) == (0, 0.0)
        assert told == [0, pytest.approx(3)]
    assert room.waiting("a", now()) == (0, 0.0)


async def test_an_empty_room_looks_at_nothing() -> None:
    shown = Shown()
    room = WaitingRoom(shown, most=8)
    with room.entered(["a"], begun=False):
        await asyncio.sleep(1)
    looks = shown.looks
    assert looks == pytest.approx(1 / STEP_S, abs=2)
    await asyncio.sleep(10)
    assert shown.looks == looks


async def test_one_who_leaves_while_it_is_his_turn_harms_nobody() -> None:
    shown = Shown()
    room = WaitingRoom(shown, most=8)

    async def wait() -> bool:
        with room.entered(["a"], begun=False) as ticket:
            return await room.turn(ticket, until_s=now() + 10)

    leaving, staying = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(1)
    leaving.cancel()
    shown.ready = (True, False)
    assert await staying
    assert room.waiting("a", now()) == (0, 0.0)


@pytest.mark.parametrize(
    ("pools", "ready", "expected"),
    [
        ([A], (False, False), 30),
        ([B, A], (False, False), 60),
        ([REFUSED, A], (False, False), 30),
        ([EMPTY], (True, True), 90),
        ([A, B], (False, True), 0),  # what is up is asked, and its refusal passed on
        ([REFUSED], (False, False), 0),
        ([], (True, True), 0),
    ],
)
async def test_how_long_a_new_request_waits(pools: list, ready: Sequence[bool], expected: float) -> None:
    fleet = fleet_of([A, B, EMPTY], ready=ready)
    assert cold_start_wait_s(pools, fleet) == expected
    assert is_ready(A, fleet) == ready[0]
