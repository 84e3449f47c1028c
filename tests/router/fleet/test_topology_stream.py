"""The control plane's stream, from one that is well, away, behind, or out of its mind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from headgate.v1 import topology_pb2 as wire
from router.fleet.store import FleetStore
from router.fleet.topology import SourceHealth
from router.fleet.topology_stream import TopologyStream
from router.snapshot import Prices
from router.tls import TlsFiles
from tests.certificates import Authority
from tests.router.fleet.control_plane import Directory, FakeControlPlane, reached, snapshot
from tests.router.fleet.fake_worker import until
from tests.router.fleet.given import store


@asynccontextmanager
async def following(
    *ports: int, fleet: FleetStore | None = None, tls: TlsFiles | None = None, answer_s: float = 15.0
) -> AsyncIterator[tuple[FleetStore, SourceHealth, Directory]]:
    """A router that follows the control plane on these ports."""
    fleet, health, directory = fleet or store(), SourceHealth(), Directory(*ports)
    async with reached(directory, tls) as plane:
        task = asyncio.create_task(TopologyStream(plane, fleet, health, Random(1), answer_s).run())
        try:
            yield fleet, health, directory
            assert not task.done(), "it must outlive whatever its source does"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_stream_of_whole_topologies() -> None:
    plane = FakeControlPlane()
    async with plane.on() as port, following(port) as (fleet, health, _):
        plane.queue.put_nowait(snapshot(5, "a"))
        await until(lambda: fleet.view().replica_ids == ("a",))
        plane.queue.put_nowait(snapshot(6, "a", "b"))
        await until(lambda: fleet.view().replica_ids == ("a", "b"))
        assert fleet.view().version == health.version == 6
        assert health.connected
        assert health.age_s(10**9) == 0.0, "a stream that has nothing to say is fresh"
        assert fleet.view().pools[0].prices == Prices(1.0, 0.5, 2.0)
        assert fleet.tenants[0].key_sha256 == (bytes(32),)


async def test_a_broken_stream_is_opened_again_from_where_it_was() -> None:
    plane = FakeControlPlane()
    async with plane.on() as port, following(port) as (fleet, health, _):
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
    plane = FakeControlPlane()
    async with plane.on() as port:
        pass
    async with following(port) as (_, health, _):
        await until(lambda: "UNAVAILABLE" in health.last_error)
        assert health.age_s(0) == float("inf")
        async with plane.on(port):
            plane.queue.put_nowait(snapshot(1, "a"))
            await until(lambda: health.connected)
        await until(lambda: not health.connected)
        assert health.heard_s is not None
        assert health.age_s(health.heard_s + 3.0) == 3.0


async def test_when_one_replica_goes_the_next_is_watched() -> None:
    planes = [FakeControlPlane() for _ in range(3)]
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(plane.on()) for plane in planes]
        fleet, health, _ = await stack.enter_async_context(following(*ports))
        seen: list[int] = []
        for version in (5, 6, 7):
            await until(lambda: sum(plane.watchers for plane in planes) == 1)
            at = next(number for number, plane in enumerate(planes) if plane.watchers)
            seen.append(at)
            planes[at].queue.put_nowait(snapshot(version, f"r{version}"))
            await until(lambda version=version: health.version == version)
            planes[at].queue.put_nowait(None)
            await until(lambda: not health.connected)
            assert fleet.view().replica_ids == (f"r{version}",)
        assert sorted(seen) == [0, 1, 2]


async def test_a_replica_that_says_nothing_is_left_for_the_next() -> None:
    silent, well = FakeControlPlane(), FakeControlPlane()
    well.queue.put_nowait(snapshot(1, "a"))
    async with silent.on() as one, well.on() as two, following(one, two, one, two, answer_s=0.1) as (fleet, health, _):
        await until(lambda: fleet.view().replica_ids == ("a",))
        await asyncio.sleep(0.3)
        assert health.connected, "one that has spoken may be silent"
        assert well.watchers == 1


async def test_a_name_that_leads_nowhere_is_looked_up_again() -> None:
    plane = FakeControlPlane()
    plane.queue.put_nowait(snapshot(1, "a"))
    async with plane.on() as port, following() as (fleet, health, directory):
        await until(lambda: health.last_error == "plane:1: plane:1: name not known; the last topology stays")
        directory.ports = (port,)
        await until(lambda: fleet.view().replica_ids == ("a",))


async def test_an_older_topology_is_taken_from_a_replica_that_has_nothing_newer() -> None:
    plane = FakeControlPlane()
    async with plane.on() as port, following(port) as (fleet, health, _):
        plane.queue.put_nowait(snapshot(9, "a"))
        plane.queue.put_nowait(snapshot(4, "b"))
        await until(lambda: fleet.view().replica_ids == ("b",))
        assert health.version == 4


async def test_a_snapshot_that_makes_no_sense_is_refused_and_the_stream_goes_on() -> None:
    plane = FakeControlPlane()
    async with plane.on() as port, following(port) as (fleet, health, _):
        plane.queue.put_nowait(snapshot(1, "a"))
        plane.queue.put_nowait(snapshot(2, "a", "a"))
        await until(lambda: health.refused == 1)
        assert health.last_error == "topology 2: pools[0].replicas[1].id: 'a' is taken by pools[0].replicas[0].id"
        assert not health.connected
        assert fleet.view().replica_ids == ("a",)
        plane.queue.put_nowait(snapshot(3, "b"))
        await until(lambda: fleet.view().replica_ids == ("b",))
        assert health.connected
        assert len(plane.requests) == 1


async def test_nothing_at_all_is_not_taken_from_one_that_has_not_seen_the_cluster() -> None:
    plane = FakeControlPlane()
    async with plane.on() as port, following(port) as (fleet, health, _):
        plane.queue.put_nowait(snapshot(5, "a"))
        plane.queue.put_nowait(wire.TopologySnapshot())
        await until(lambda: health.refused == 1)
        assert "has not seen the cluster yet" in health.last_error
        assert fleet.view().replica_ids == ("a",)
        plane.queue.put_nowait(wire.TopologySnapshot(version=6))  # this one has, and all pools are gone
        await until(lambda: fleet.view().replica_ids == ())


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"\xff\xff\xff not a message", "topology 0: its bytes are no TopologySnapshot"),
        (b"\x08\x07\x12\x03\x0a\x01\xff", "topology 0: its bytes are no TopologySnapshot"),  # a name that is no UTF-8
        (b"\x7a\x80\x80\xc0\x20" + bytes(65 * 2**20), "plane:1: RESOURCE_EXHAUSTED: "),
    ],
    ids=["no message", "no text", "65 MiB"],
)
async def test_bytes_that_are_no_snapshot_change_nothing(payload: bytes, fault: str) -> None:
    said: asyncio.Queue[bytes] = asyncio.Queue()
    async with raw_control_plane(said) as port, following(port) as (fleet, health, _):
        said.put_nowait(snapshot(5, "a").SerializeToString())
        await until(lambda: fleet.view().replica_ids == ("a",))
        said.put_nowait(payload)
        await until(lambda: health.last_error.startswith(fault))
        assert fleet.view().replica_ids == ("a",)
        said.put_nowait(snapshot(8, "b").SerializeToString())
        await until(lambda: fleet.view().replica_ids == ("b",))


@asynccontextmanager
async def raw_control_plane(said: asyncio.Queue[bytes]) -> AsyncIterator[int]:
    """Sends bytes as they are, to each watcher what no other has taken."""

    async def watch(request: bytes, context: Any) -> AsyncIterator[bytes]:
        while True:
            yield await said.get()

    handlers = {"Watch": grpc.unary_stream_rpc_method_handler(watch)}
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("headgate.v1.Topology", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


async def test_with_tls_each_side_proves_who_it_is(tmp_path: Path) -> None:
    authority = Authority()
    theirs = authority.issue(tmp_path / "theirs", ["controlplane.headgate.internal"])
    ours = authority.issue(tmp_path / "ours", ["router.headgate.internal"])
    worker = authority.issue(tmp_path / "worker", ["worker.headgate.internal"])
    plane = FakeControlPlane()
    plane.queue.put_nowait(snapshot(5, "a"))
    async with plane.on(credentials=server_credentials(theirs)) as port:
        async with following(port, tls=TlsFiles(ours)) as (fleet, _, _):
            await until(lambda: fleet.view().replica_ids == ("a",))
        async with following(port) as (_, health, _):  # plain text
            await until(lambda: health.last_error)
            assert "UNAVAILABLE" in health.last_error
        async with following(port, tls=TlsFiles(Authority().issue(tmp_path / "stranger"))) as (_, health, _):
            await until(lambda: health.last_error)
            assert "UNAVAILABLE" in health.last_error
    async with plane.on(credentials=server_credentials(worker)) as port, following(port, tls=TlsFiles(ours)) as (_, health, _):
        await until(lambda: health.last_error)
        assert "UNAVAILABLE" in health.last_error, "a worker's certificate is no control plane's"
    assert len(plane.requests) == 1


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    key, chain, ca = ((folder / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt"))
    return grpc.ssl_server_credentials([(key, chain)], ca, require_client_auth=True)
