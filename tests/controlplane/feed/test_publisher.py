import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from controlplane.feed import publisher as module
from controlplane.feed.model import FleetSeen
from controlplane.feed.publisher import APART_S, GATHER_S, Published, Publisher
from headgate.v1 import topology_pb2 as wire
from tests.controlplane.feed.seen import pool

pytestmark = pytest.mark.looptime


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread takes real time, and the loop's is not."""

    async def here(work: object, *given: object) -> object:
        return work(*given)  # type: ignore[operator]

    monkeypatch.setattr(module.asyncio, "to_thread", here)


@asynccontextmanager
async def publishing() -> AsyncIterator[Publisher]:
    publisher = Publisher()
    task = asyncio.create_task(publisher.run())
    try:
        yield publisher
        assert not task.done(), "it must outlive whatever it is offered"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def fleet(*pools: str) -> FleetSeen:
    return FleetSeen(pools=tuple(pool(name) for name in pools))


def names(published: Published | None) -> list[str]:
    assert published is not None
    snapshot = wire.TopologySnapshot.FromString(published.data)
    assert snapshot.version == published.version
    return [pool.name for pool in snapshot.pools]


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_changes_that_come_together_share_a_snapshot() -> None:
    async with publishing() as publisher:
        for version, some in enumerate((["a"], ["a", "b"], ["b"]), 1):
            publisher.offer(fleet(*some), version)
            await asyncio.sleep(GATHER_S / 4)
        newest = await publisher.newest(after=0)
        assert (names(newest), newest and newest.version, publisher.number) == (["b"], 3, 1)
        assert now_s() == pytest.approx(GATHER_S)


async def test_snapshots_keep_their_distance_and_the_last_change_is_told() -> None:
    async with publishing() as publisher:

        async def churn() -> None:
            for version in range(1, 101):
                publisher.offer(fleet(f"p{version}"), version)
                await asyncio.sleep(0.01)

        task = asyncio.create_task(churn())
        seen, at_s = 0, []
        while seen < 100:
            newest = await publisher.newest(after=len(at_s))
            assert newest is not None
            seen = newest.version
            at_s.append(now_s())
        await task
        gaps = [b - a for a, b in pairwise(at_s)]
        assert min(gaps) >= APART_S - 1e-6
        assert len(at_s) == pytest.approx(1.0 / APART_S, abs=1)


async def test_equal_content_is_not_told_again_but_its_version_counts() -> None:
    async with publishing() as publisher:
        publisher.offer(fleet("a"), 5)
        assert names(await publisher.newest(after=0)) == ["a"]
        publisher.offer(fleet("a"), 9)
        await publisher.reached(9)
        assert (publisher.number, publisher.unchanged, publisher.version) == (1, 1, 9)
        newest = await publisher.newest(after=0)
        assert newest is not None
        assert newest.version == 9, "one who asks now is told how new it is"
        assert newest is await publisher.newest(after=0), "and all of them share it"


async def test_a_version_never_goes_back() -> None:
    async with publishing() as publisher:
        publisher.offer(fleet("a"), 9)
        await publisher.newest(after=0)
        publisher.offer(fleet("b"), 3)
        newest = await publisher.newest(after=1)
        assert (names(newest), publisher.version) == (["b"], 9)


async def test_an_empty_world_is_told_too() -> None:
    async with publishing() as publisher:
        publisher.offer(FleetSeen(), 4)
        newest = await publisher.newest(after=0)
        assert newest is not None
        assert newest.data == wire.TopologySnapshot(version=4).SerializeToString()


async def test_what_cannot_be_made_leaves_the_last_snapshot(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing() as publisher:
        publisher.offer(fleet("a"), 1)
        await publisher.newest(after=0)
        with monkeypatch.context() as patch:
            patch.setattr(module, "build", lambda seen: 1 / 0)
            publisher.offer(fleet("b"), 2)
            await asyncio.sleep(1)
        assert (publisher.failures, publisher.number, publisher.version) == (1, 1, 1)
        assert "the topology of version 2 can't be made" in caplog.text
        publisher.offer(fleet("c"), 3)
        assert names(await publisher.newest(after=1)) == ["c"]


async def test_waiting_ends_when_it_closes() -> None:
    async with publishing() as publisher:
        waiting = asyncio.create_task(publisher.newest(after=0)), asyncio.create_task(publisher.reached(7))
        await asyncio.sleep(1)
        publisher.close()
        assert await asyncio.gather(*waiting) == [None, None]
