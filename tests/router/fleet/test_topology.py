import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from headgate.v1 import topology_pb2 as wire
from headgate.v1.topology_pb2_grpc import TopologyServicer, add_TopologyServicer_to_server
from router.fleet.specs import TopologyRefused
from router.fleet.topology import SourceHealth, decode, follow_file, follow_stream
from router.snapshot import Prices
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
        await until(lambda: health.heard_s is not None)
        first_s = health.heard_s
        await until(lambda: health.heard_s != first_s)
    assert health.taken == 1


class ControlPlane(TopologyServicer):
    """Sends the snapshots of a queue; an exception in it ends the stream."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[wire.TopologySnapshot | Exception] = asyncio.Queue()
        self.requests: list[wire.TopologyWatchRequest] = []

    async def Watch(self, request: wire.TopologyWatchRequest, context: Any) -> AsyncIterator[wire.TopologySnapshot]:
        self.requests.append(request)
        while True:
            said = await self.queue.get()
            if isinstance(said, Exception):
                await context.abort(grpc.StatusCode.INTERNAL, str(said))
            yield said

    @asynccontextmanager
    async def on(self, port: int = 0) -> AsyncIterator[int]:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_TopologyServicer_to_server(self, server)
        port = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        try:
            yield port
        finally:
            await server.stop(None)


def snapshot(version: int, *replicas: str, **more: Any) -> wire.TopologySnapshot:
    prices = {"input_usd_per_mtok": 1.0, "cached_input_usd_per_mtok": 0.5, "output_usd_per_mtok": 2.0}
    entries = [wire.Replica(id=replica, address="127.0.0.1:1") for replica in replicas]
    pool = wire.Pool(**{"name": "small", "tier": "small", "models": ["m"], "prices": prices, "replicas": entries, **more})
    tenant = wire.Tenant(name="acme", key_sha256=[bytes(32)], pools=["small"])
    return wire.TopologySnapshot(version=version, pools=[pool], tenants=[tenant])


def follow(port: int, fleet: Any, health: SourceHealth) -> Coroutine[Any, Any, None]:
    return follow_stream(f"127.0.0.1:{port}", fleet, health, Random(1), router_id="r")


async def test_a_stream_of_whole_topologies() -> None:
    plane, fleet, health = ControlPlane(), store(), SourceHealth()
    async with plane.on() as port, running(follow(port, fleet, health)):
        plane.queue.put_nowait(snapshot(5, "a"))
        await until(lambda: fleet.view().replica_ids == ("a",))
        plane.queue.put_nowait(snapshot(6, "a", "b"))
        await until(lambda: fleet.view().replica_ids == ("a", "b"))
        assert fleet.view().version == health.version == 6
        assert health.connected
        assert fleet.view().pools[0].prices == Prices(1.0, 0.5, 2.0)
        assert fleet.tenants[0].key_sha256 == (bytes(32),)


async def test_a_broken_stream_is_opened_again_from_where_it_was() -> None:
    plane, fleet, health = ControlPlane(), store(), SourceHealth()
    async with plane.on() as port, running(follow(port, fleet, health)):
        plane.queue.put_nowait(snapshot(5, "a"))
        await until(lambda: fleet.view().replica_ids == ("a",))
        plane.queue.put_nowait(ValueError("it broke"))
        await until(lambda: "INTERNAL: it broke" in health.last_error)
        assert fleet.view().replica_ids == ("a",)
        await until(lambda: len(plane.requests) == 2)
        assert [request.have_version for request in plane.requests] == [0, 5]
        assert {request.router_id for request in plane.requests} == {"r"}
        plane.queue.put_nowait(snapshot(6, "b"))
        await until(lambda: fleet.view().replica_ids == ("b",) and health.last_error == "")


async def test_a_control_plane_that_is_away_is_waited_for() -> None:
    plane, fleet, health = ControlPlane(), store(), SourceHealth()
    async with plane.on() as port:
        pass
    async with running(follow(port, fleet, health)):
        await until(lambda: "UNAVAILABLE" in health.last_error)
        async with plane.on(port):
            plane.queue.put_nowait(snapshot(1, "a"))
            await until(lambda: health.connected)


async def test_a_snapshot_that_makes_no_sense_is_refused_and_the_stream_goes_on() -> None:
    plane, fleet, health = ControlPlane(), store(), SourceHealth()
    async with plane.on() as port, running(follow(port, fleet, health)):
        plane.queue.put_nowait(snapshot(1, "a"))
        plane.queue.put_nowait(snapshot(2, "a", "a"))
        await until(lambda: health.refused == 1)
        assert health.last_error == "topology 2: pools[0].replicas[1].id: 'a' is taken by pools[0].replicas[0].id"
        assert fleet.view().replica_ids == ("a",)
        plane.queue.put_nowait(snapshot(3, "b"))
        await until(lambda: fleet.view().replica_ids == ("b",))
        assert len(plane.requests) == 1


def test_a_tier_that_this_router_does_not_know_is_refused() -> None:
    with pytest.raises(TopologyRefused, match=r"pools\[0\].tier: 'huge' is none of small, large, moe"):
        decode(snapshot(1, "a", tier="huge"))
