"""What a router tells of its pools' load, to whom, and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from headgate.v1 import topology_pb2 as wire
from router.fleet import reporting
from router.fleet.loads import LoadCounts
from router.fleet.reporting import LoadReporter, describe
from router.fleet.specs import ReplicaSpec
from router.fleet.store import FleetStore
from router.waiting import WaitingRoom
from tests.router.fleet.control_plane import Directory, FakeControlPlane, reached
from tests.router.fleet.fake_worker import until
from tests.router.fleet.given import Clock, address_of, pool, report, store


def fleet_of_two() -> tuple[FleetStore, LoadCounts]:
    """Pool small with three replicas, two of them ready, and pool idle, scaled to zero."""
    fleet, loads = store(), LoadCounts()
    replicas = [ReplicaSpec(name, address_of(name), revision=name[0]) for name in ("a1", "b1", "b2")]
    fleet.apply_topology([pool("small", *replicas, ttft_ms=100), pool("idle", cold_start_wait_s=60)], [], 7)
    loads.follow(fleet.pools)
    fleet.apply_report("a1", report(running=3, waiting=1, max_running=8, kv_used=0.5))
    fleet.apply_report("b1", report(running=5, waiting=0, max_running=16, kv_used=0.25))
    fleet.apply_report("b2", report(phase="starting", running=9, waiting=9, max_running=9, kv_used=1.0))
    return fleet, loads


async def test_a_report_tells_all_there_is_to_know() -> None:
    fleet, loads = fleet_of_two()
    room = WaitingRoom(fleet, most=8)
    for name in ("small", "small", "idle"):
        loads.arrived(name)
    loads.answered("small", 0.05, 0.01)
    loads.answered("small", 0.5, 0.01)
    fleet.assume("a1")
    fleet.failed("a1")
    fleet.assume("b1")
    fleet.apply_report(
        "b1", report(running=5, max_running=16, kv_used=0.25, prefix_query_tokens_total=100, prefix_hit_tokens_total=60)
    )
    with room.entered(["idle", "small"], begun=False) as ticket, room.entered(["idle"], begun=True):
        said = describe(fleet, loads, room, ticket.since_s + 2.5)
    oldest_s = said.pools[1].oldest_wait_s
    assert 2.4 < oldest_s <= 2.5
    old = wire.ReportedRevision(revision="a", requests_total=1, errors_total=1)
    new = wire.ReportedRevision(revision="b", requests_total=1, prefix_query_tokens_total=100, prefix_hit_tokens_total=60)
    assert said == wire.RouterReport(
        topology_version=7,
        pools=[
            wire.ReportedPool(
                pool="small",
                arrivals_total=2,
                ready=2,
                waiting_there=1,
                running=8,
                slots=24,
                kv_used=0.375,
                answers_total=2,
                ttft_met_total=1,
                tpot_met_total=2,
                revisions=[old, new],
            ),
            wire.ReportedPool(pool="idle", arrivals_total=1, waiting_here=2, oldest_wait_s=oldest_s),
        ],
    )


@asynccontextmanager
async def reporting_to(*ports: int) -> AsyncIterator[tuple[LoadReporter, WaitingRoom, Directory]]:
    fleet, loads = fleet_of_two()
    room, directory = WaitingRoom(fleet, most=8), Directory(*ports)
    async with reached(directory) as plane:
        reporter = LoadReporter(plane, fleet, loads, room)
        room.on_entry(reporter.hurry)
        task = asyncio.create_task(reporter.run())
        try:
            yield reporter, room, directory
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_every_replica_of_the_control_plane_is_told_as_often_as_it_wants() -> None:
    planes = [FakeControlPlane() for _ in range(3)]
    for plane in planes:
        plane.reply = wire.RouterReportReply(next_after_ms=1)  # too often: it gets what is soonest
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(plane.on()) for plane in planes]
        reporter, _, _ = await stack.enter_async_context(reporting_to(*ports))
        await until(lambda: all(len(plane.reports) >= 2 for plane in planes))
        said = [plane.reports[0] for plane in planes]
        assert said[0] == said[1] == said[2]
        assert (said[0].router_id, len(said[0].incarnation)) == ("r", 32)
        assert {each.incarnation for plane in planes for each in plane.reports} == {said[0].incarnation}
        assert reporter.health.failed == 0


async def test_a_request_that_begins_to_wait_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "EVERY_S", 1000.0)
    plane = FakeControlPlane()
    async with plane.on() as port, reporting_to(port) as (_, room, _):
        await until(lambda: len(plane.reports) == 1)
        with room.entered(["idle"], begun=False):
            await until(lambda: len(plane.reports) == 2)
        assert [each.waiting_here for each in plane.reports[1].pools] == [0, 1]


async def test_replicas_that_are_away_or_deaf_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "EVERY_S", 0.21)
    well, deaf = FakeControlPlane(), FakeControlPlane()
    deaf.deaf.clear()
    async with well.on() as one, deaf.on() as two, reporting_to(one, two, 1) as (reporter, _, directory):
        await until(lambda: len(well.reports) >= 4)
        assert len(deaf.reports) == 1, "it gets no queue of reports"
        assert reporter.health.sent >= 3
        assert reporter.health.failed >= 1
        directory.ports = ()
        before = reporter.health.failed
        await until(lambda: reporter.health.failed >= before + 2)
        directory.ports = (one,)
        told = len(well.reports)
        await until(lambda: len(well.reports) > told)


async def test_an_answer_that_is_no_message_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = FakeControlPlane()

    def not_a_message(*_: Any) -> bytes:
        return b"\xff\xff"

    monkeypatch.setattr(wire.RouterReportReply, "SerializeToString", not_a_message, raising=False)
    async with plane.on() as port, reporting_to(port) as (reporter, _, _):
        await until(lambda: reporter.health.failed)
    assert reporter.health.sent == 0


def test_a_silent_replica_is_not_counted_as_ready() -> None:
    clock = Clock()
    fleet, loads = store(clock), LoadCounts()
    fleet.apply_topology([pool("small", "a")], [], 1)
    loads.follow(fleet.pools)
    fleet.apply_report("a", report(running=3))
    assert describe(fleet, loads, WaitingRoom(fleet, 1), 0.0).pools[0].running == 3
    clock.pass_s(60)
    assert describe(fleet, loads, WaitingRoom(fleet, 1), 0.0).pools[0] == wire.ReportedPool(pool="small", revisions=[{}])


def test_whatever_workers_say_a_report_can_be_made() -> None:
    fleet, loads = store(), LoadCounts()
    names = [f"r{number}" for number in range(5000)]
    fleet.apply_topology([pool("small", *(ReplicaSpec(name, "127.0.0.1:1") for name in names))], [], 2**64 - 1)
    loads.follow(fleet.pools)
    for name in names:
        for process in "ab":
            told = {"prefix_query_tokens_total": 2**64 - 1, "prefix_hit_tokens_total": 2**64 - 1}
            fleet.apply_report(name, report(incarnation=process, running=10**9, waiting=10**9, max_running=10**9, **told))
    (said,) = describe(fleet, loads, WaitingRoom(fleet, 1), 0.0).pools
    assert said.running == said.waiting_there == said.slots == 2**32 - 1
    assert said.revisions[0].prefix_query_tokens_total == 2**64 - 1


def test_the_version_told_is_the_sources_own() -> None:
    fleet, loads = store(), LoadCounts()
    for version in (9, 4):
        fleet.apply_topology([pool("small", f"r{version}")], [], version)
        loads.follow(fleet.pools)
        assert describe(fleet, loads, WaitingRoom(fleet, 1), 0.0).topology_version == version
    fleet.apply_topology([pool("small", "r4")], [], 5)  # nothing but the version is new
    assert describe(fleet, loads, WaitingRoom(fleet, 1), 0.0).topology_version == 5
