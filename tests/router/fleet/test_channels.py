import asyncio

import grpc
import pytest

from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerStub
from router.fleet.channels import Channels
from tests.router.fleet.fake_worker import FakeWorker, until


async def test_an_address_has_one_channel() -> None:
    channels = Channels()
    assert channels.get("127.0.0.1:1") is channels.get("127.0.0.1:1")
    assert channels.get("127.0.0.1:1") is not channels.get("127.0.0.1:2")
    await channels.close()


async def test_answers_from_a_worker_that_left_have_their_grace() -> None:
    channels = Channels(grace_s=0.2)
    async with FakeWorker() as worker:
        worker.say(running=1)
        left = channels.get(worker.address)
        call = WorkerStub(left).Watch(wire.WatchRequest())
        assert (await call.read()).running == 1
        channels.keep(["127.0.0.1:9"])
        worker.say(running=2)
        assert (await call.read()).running == 2
        await until(call.done)
        assert call.cancelled()
        await until(lambda: not worker.watchers)
        assert channels.get(worker.address) is not left
    await channels.close()


async def test_a_worker_that_comes_back_in_time_keeps_its_channel() -> None:
    channels = Channels(grace_s=0.05)
    kept = channels.get("127.0.0.1:1")
    channels.keep([])
    channels.keep([])
    channels.keep(["127.0.0.1:1"])
    await asyncio.sleep(0.1)
    assert channels.get("127.0.0.1:1") is kept
    await channels.close()


async def test_closing_ends_all_calls_also_those_that_had_a_grace() -> None:
    channels = Channels()
    async with FakeWorker() as one, FakeWorker() as two:
        calls = [WorkerStub(channels.get(worker.address)).Watch(wire.WatchRequest()) for worker in (one, two)]
        kept = channels.get(two.address)
        await until(lambda: one.watchers and two.watchers)
        channels.keep([two.address])
        async with asyncio.timeout(20):
            await channels.close()
        assert all(call.cancelled() for call in calls)
        with pytest.raises(grpc.aio.UsageError):
            WorkerStub(kept).Watch(wire.WatchRequest())
        await until(lambda: not one.watchers and not two.watchers)
