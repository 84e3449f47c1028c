import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from headgate.v1 import worker_pb2 as wire
from router.fleet.channels import Channels
from router.fleet.specs import ReplicaSpec
from router.fleet.stats import FRESHNESS_MS, StatsWatcher, decode
from router.fleet.store import FleetStore
from tests.router.fleet.fake_worker import FakeWorker, until
from tests.router.fleet.given import pool, store


def serve(fleet: FleetStore, *workers: FakeWorker) -> None:
    """Makes these workers the fleet, r0, r1, …"""
    replicas = [ReplicaSpec(f"r{i}", worker.address) for i, worker in enumerate(workers)]
    fleet.apply_topology([pool("small", *replicas)], [], 1)


@asynccontextmanager
async def watching(fleet: FleetStore) -> AsyncIterator[StatsWatcher]:
    channels = Channels()
    watcher = StatsWatcher(fleet, channels, Random(1), silence_s=1.0)
    running = asyncio.create_task(watcher.run())
    try:
        yield watcher
        assert not running.done()
    finally:
        watcher.close()
        await running
        await channels.close()


async def test_reports_reach_the_store() -> None:
    fleet = store()
    async with FakeWorker() as worker, watching(fleet):
        worker.say(running=3)
        serve(fleet, worker)
        await until(lambda: fleet.view().ready.tolist() == [True])
        assert fleet.view().running.tolist() == [3]
        worker.say(running=4, kv_used=0.5)
        await until(lambda: fleet.view().running.tolist() == [4])
        assert worker.requests[0].min_interval_ms == FRESHNESS_MS


async def test_a_worker_that_comes_late_or_comes_back_is_found() -> None:
    fleet, worker = store(), FakeWorker()
    async with worker:
        pass  # a free port, and nobody there now
    async with watching(fleet):
        serve(fleet, worker)
        await asyncio.sleep(0.05)
        assert not fleet.view().ready.any()
        async with worker:
            worker.say(running=1)
            await until(lambda: all(fleet.view().ready))
        await until(lambda: not fleet.view().ready.any())
        async with worker:
            worker.say(running=2)
            await until(lambda: fleet.view().ready.all() and fleet.view().running.tolist() == [2])


async def test_the_streams_follow_the_topology() -> None:
    fleet = store()
    async with FakeWorker() as one, FakeWorker() as two, watching(fleet):
        serve(fleet, one)
        await until(lambda: len(one.watchers) == 1)
        serve(fleet, one, two)
        await until(lambda: len(two.watchers) == 1)
        assert len(one.requests) == 1, "what stays keeps its stream"
        serve(fleet, two)
        await until(lambda: not one.watchers and len(two.watchers) == 1)
        two.say(running=5)
        await until(lambda: fleet.view().running.tolist() == [5])
        fleet.apply_topology([], [], 9)
        await until(lambda: not two.watchers)


async def test_closing_ends_every_stream() -> None:
    fleet = store()
    async with FakeWorker() as worker:
        async with watching(fleet):
            serve(fleet, worker)
            await until(lambda: worker.watchers)
        await until(lambda: not worker.watchers)
        serve(fleet)
        assert not worker.watchers


async def test_cancelling_ends_every_stream() -> None:
    fleet, channels = store(), Channels()
    async with FakeWorker() as worker:
        serve(fleet, worker)
        running = asyncio.create_task(StatsWatcher(fleet, channels).run())
        await until(lambda: worker.watchers)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: not worker.watchers)
    await channels.close()


async def test_why_there_are_no_reports_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    fleet, worker = store(), FakeWorker()
    async with worker:
        pass
    async with watching(fleet):
        serve(fleet, worker)
        await asyncio.sleep(0.5)  # several tries
        assert len(caplog.messages) == 1
        assert caplog.messages[0].startswith(f"replica r0 at {worker.address}: no reports: ")


async def test_a_worker_that_hangs_is_not_ready() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state = wire.WorkerState(incarnation="a", phase=wire.WORKER_PHASE_READY, models=["small-model"]).SerializeToString()
        body = b"\0" + len(state).to_bytes(4, "big") + state
        writer.write(len(body).to_bytes(3, "big") + b"\0\0\0\0\0\1" + body)
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    fleet = store()
    async with server, watching(fleet):
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        fleet.apply_topology([pool("small", ReplicaSpec("r0", address))], [], 1)
        await until(lambda: all(fleet.view().ready))
        await until(lambda: not fleet.view().ready.any())


def test_every_field_is_read() -> None:
    state = wire.WorkerState(incarnation="x", phase=wire.WORKER_PHASE_DRAINING, models=["a", "b"], engine="e", kv_used=0.5)
    for number, field in enumerate(wire.WorkerState.DESCRIPTOR.fields, start=100):
        if field.name not in ("incarnation", "phase", "models", "engine", "kv_used"):
            setattr(state, field.name, True if field.cpp_type == field.CPPTYPE_BOOL else number)
    report = decode(state.SerializeToString())
    assert (report.phase, report.models) == ("draining", ("a", "b"))
    for field in wire.WorkerState.DESCRIPTOR.fields:
        if field.name not in ("phase", "models"):
            assert getattr(report, field.name) == getattr(state, field.name), field.name


@pytest.mark.parametrize(("state", "phase"), [(b"\xff\xff", "failed"), (b"", "starting")])
def test_what_is_no_state_is_no_ready_worker(state: bytes, phase: str) -> None:
    assert decode(state).phase == phase


def test_a_phase_that_this_router_does_not_know_is_not_ready() -> None:
    assert decode(wire.WorkerState(phase=77).SerializeToString()).phase == "starting"  # type: ignore[arg-type]
