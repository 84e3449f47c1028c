import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from router.fleet.topology import SourceHealth, follow_file
from tests.router.fleet.fake_worker import until
from tests.router.fleet.given import store


@asynccontextmanager
async def running(coroutine: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(coroutine)
    try:
        yield
        assert not task.done(), "it must outlive whatever its source does"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def document(*replicas: str, **more: Any) -> str:
    entries = [{"id": replica, "address": "127.0.0.1:1"} for replica in replicas]
    return json.dumps({"pools": [{"name": "small", "tier": "small", "models": ["m"], "replicas": entries}], **more})


def replace(path: Path, text: str) -> None:
    """As a careful writer does."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path, fleet, health = tmp_path / "topology.yaml", store(), SourceHealth()
    path.write_text(document("a"))
    async with running(follow_file(path, fleet, health, poll_s=0.005)):
        await until(lambda: fleet.view().replica_ids == ("a",))
        replace(path, document("b"))  # as long as the last one, and perhaps in the same tick of the clock
        await until(lambda: fleet.view().replica_ids == ("b",))
        path.write_text(document("a", "b"))
        await until(lambda: fleet.view().replica_ids == ("a", "b"))
    assert (health.connected, health.refused, health.last_error) == (True, 0, "")
    assert health.taken >= 3


async def test_a_file_that_makes_no_sense_leaves_the_last_topology(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, fleet, health = tmp_path / "topology.yaml", store(), SourceHealth()
    path.write_text(document("a"))
    async with running(follow_file(path, fleet, health, poll_s=0.005)):
        await until(lambda: health.taken == 1)
        before = fleet.view().replica_ids
        for text, fault in (
            (document("a", "b", tenant=[]), "tenant: Extra inputs are not permitted"),
            (document("b", "b"), "pools[0].replicas[1].id: 'b' is taken by pools[0].replicas[0].id"),
            ("pools: [", "line 1: not YAML"),
        ):
            refused = health.refused
            replace(path, text)
            await until(lambda refused=refused: health.refused > refused)
            assert health.last_error.startswith(f"{path}: {fault}")
            assert not health.connected
            assert fleet.view().replica_ids is before
        assert health.refused == 3, "told once for each content, not at each look"
        replace(path, document("c"))
        await until(lambda: health.connected)
    assert len(caplog.messages) == 3


async def test_a_file_that_vanishes_leaves_the_last_topology_and_may_return(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, fleet, health = tmp_path / "topology.yaml", store(), SourceHealth()
    async with running(follow_file(path, fleet, health, poll_s=0.005)):
        await until(lambda: health.last_error)
        assert health.age_s(0) == float("inf")
        path.write_text(document("a"))
        await until(lambda: fleet.view().replica_ids == ("a",))
        path.unlink()
        await until(lambda: not health.connected)
        assert "No such file" in health.last_error
        assert fleet.view().replica_ids == ("a",)
        path.write_text(document("a"))
        await until(lambda: health.connected)
    assert len(caplog.messages) == 2


async def test_a_file_that_stays_as_it_is_stays_fresh(tmp_path: Path) -> None:
    path, health = tmp_path / "topology.yaml", SourceHealth()
    path.write_text(document("a"))
    async with running(follow_file(path, store(), health, poll_s=0.001)):
        await until(lambda: health.connected)
        assert health.age_s(10**9) == 0.0
        path.unlink()
        await until(lambda: not health.connected)
        assert health.heard_s is not None
        assert health.age_s(health.heard_s + 5.0) == 5.0
    assert health.taken == 1
