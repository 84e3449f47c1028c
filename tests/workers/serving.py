"""A worker's service on a real gRPC server, in this process, for tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerStub
from workers.config import SimulatedEngine, WorkerConfig
from workers.engine import Engine
from workers.engines.simulated.engine import Simulated
from workers.worker import Worker

MODEL = "sim"


@dataclass(frozen=True)
class Served:
    worker: Worker
    engine: Engine
    channel: grpc.aio.Channel
    stub: Any


@asynccontextmanager
async def served(engine: Engine, start: bool = True) -> AsyncIterator[Served]:
    """The engine behind its service on a free port; `start=False` leaves `worker.start()` to the test."""
    config = WorkerConfig.model_validate({"models": [MODEL], "engine": {"kind": "simulated"}})
    worker = Worker(config, engine)
    starting = asyncio.create_task(worker.start())
    if start:
        await starting
    else:
        async with asyncio.timeout(10):
            while worker.address.endswith(":0"):
                await asyncio.sleep(0.001)
    try:
        async with grpc.aio.insecure_channel(worker.address) as channel:
            yield Served(worker, engine, channel, WorkerStub(channel))
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await worker.close()


def simulated(**settings: Any) -> Simulated:
    return Simulated(SimulatedEngine.model_validate(settings), (MODEL,))


# Slow enough that a test can act while an answer runs.
UNHURRIED = {"profile": {"base_s": 0.002}}


def request(text: str = "Tell me of rivers.", request_id: str = "r1", **sampling: Any) -> wire.WorkerGenerateRequest:
    message = wire.WorkerGenerateRequest(request_id=request_id, model=MODEL, text=text)
    message.sampling.temperature = 0.0
    for name, value in sampling.items():
        if isinstance(value, list | tuple):
            getattr(message.sampling, name).extend(value)
        else:
            setattr(message.sampling, name, value)
    return message


async def messages(stub: Any, message: wire.WorkerGenerateRequest) -> list[wire.WorkerGenerateResponse]:
    return [part async for part in stub.Generate(message)]


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (rest_of(call) if hasattr(call, "read") else call)
    return caught.value


async def rest_of(call: Any) -> list[wire.WorkerGenerateResponse]:
    """What is left of a stream of which `read` has taken the beginning."""
    parts = []
    while (part := await call.read()) is not grpc.aio.EOF:
        parts.append(part)
    return parts
