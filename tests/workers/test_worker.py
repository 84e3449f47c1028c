"""A worker's phases: what everyone is told while the engine starts, falters, recovers and goes."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerStub
from tests.workers.serving import Served, request, served, simulated
from workers.config import WorkerConfig
from workers.engine import Delta, EngineFailed, EngineInfo, EngineStats, Generation
from workers.worker import Worker


class Faltering:
    """Fails each request; whether it is well again is for the test to say."""

    def __init__(self) -> None:
        self.well = asyncio.Event()
        self.well.set()
        self.dead = False
        self.closed = False

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        yield Delta((1,), "a", prompt_tokens=1)
        raise EngineFailed("the connection was lost")

    def stats(self) -> EngineStats:
        return EngineStats()

    async def ready(self) -> EngineInfo:
        await self.well.wait()
        if self.dead:
            raise EngineFailed("it is dead")
        return EngineInfo("faltering", ("sim",))

    async def close(self) -> None:
        self.closed = True


async def fail_once(it: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in it.stub.Generate(request()):
            pass
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def phase_becomes(it: Served, phase: wire.WorkerPhase) -> None:
    async with asyncio.timeout(20):
        while it.worker.phase != phase:
            await asyncio.sleep(0.005)


async def health_of(it: Served) -> int:
    answer = await health_pb2_grpc.HealthStub(it.channel).Check(health_pb2.HealthCheckRequest())
    return int(answer.status)


async def test_health_follows_the_engine() -> None:
    engine = Faltering()
    engine.well.clear()
    async with served(engine, start=False) as it:
        assert await health_of(it) == health_pb2.HealthCheckResponse.NOT_SERVING
        engine.well.set()
        await phase_becomes(it, wire.WORKER_PHASE_READY)
        assert await health_of(it) == health_pb2.HealthCheckResponse.SERVING
    assert engine.closed


async def test_one_requests_misfortune_is_not_the_end() -> None:
    engine = Faltering()
    async with served(engine) as it:
        broken = asyncio.create_task(it.worker.broken())
        for _ in range(3):
            await fail_once(it)
        assert it.worker.phase == wire.WORKER_PHASE_READY
        assert not broken.done()
        broken.cancel()


async def test_an_engine_that_is_away_for_a_while_is_told_and_waited_for() -> None:
    engine = Faltering()
    async with served(engine) as it:
        broken = asyncio.create_task(it.worker.broken())
        engine.well.clear()
        await fail_once(it)
        await phase_becomes(it, wire.WORKER_PHASE_FAILED)
        assert await health_of(it) == health_pb2.HealthCheckResponse.NOT_SERVING
        engine.well.set()
        await phase_becomes(it, wire.WORKER_PHASE_READY)
        assert not broken.done()
        broken.cancel()


async def test_the_end_of_an_engine_is_told() -> None:
    engine = Faltering()
    async with served(engine) as it:
        engine.dead = True
        await fail_once(it)
        assert await asyncio.wait_for(it.worker.broken(), 20) == "it is dead"
        assert it.worker.phase == wire.WORKER_PHASE_FAILED


async def test_a_drain_that_came_while_the_engine_started_stands() -> None:
    async with served(simulated(failures={"start_s": 0.3}), start=False) as it:
        await it.stub.Drain(wire.DrainRequest(grace_s=0))
        watch = it.stub.Watch(wire.WatchRequest(min_interval_ms=10))
        async with asyncio.timeout(20):
            while not (state := await watch.read()).engine:
                pass
        assert state.phase == wire.WORKER_PHASE_DRAINING


async def test_closing_ends_watches_and_forgets_the_ready_file(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    config = WorkerConfig.model_validate({"models": ["sim"], "engine": {"kind": "simulated"}, "ready_file": ready})
    worker = Worker(config, simulated())
    await worker.start()
    assert ready.exists()
    async with grpc.aio.insecure_channel(worker.address) as channel:
        watch = WorkerStub(channel).Watch(wire.WatchRequest(min_interval_ms=10))
        await watch.read()
        closing = asyncio.create_task(worker.close())
        async with asyncio.timeout(20):
            while await watch.read() is not grpc.aio.EOF:
                pass
        await closing
    assert not ready.exists()


async def test_the_ready_file_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    config = WorkerConfig.model_validate({"models": ["sim"], "engine": {"kind": "simulated"}, "ready_file": ready})
    worker = Worker(config, simulated())
    await worker.start()
    ready.write_text('{"address": "127.0.0.1:1", "pid": 1}')
    await worker.close()
    assert ready.exists()
