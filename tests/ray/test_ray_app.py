"""A Serve replica's life in this process, without a Ray: what Serve calls, in Serve's order."""

import asyncio
import json
import warnings
from pathlib import Path
from typing import Any

import grpc
import pytest

from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerStub
from tests.workers.serving import MODEL, UNHURRIED, messages, request
from workers.engine import EngineFailed
from workers.ray import drain
from workers.ray.placement import RayArguments

pytestmark = pytest.mark.requires("ray")


class Served:
    """A replica as Serve makes it: the object first, its `__init__` awaited then, its `__del__` awaited at the end."""

    def __init__(self, folder: Path, **engine: Any) -> None:
        self.ready_file = folder / "ready"
        self.config = {
            "models": [MODEL],
            "engine": {"kind": "simulated", **engine},
            "listen": "127.0.0.1:0",
            "ready_file": str(self.ready_file),
            "drain_s": 5.0,
        }

    async def __aenter__(self) -> "Served":
        self.replica = await replica_of(self.config)
        self.address = json.loads(self.ready_file.read_text())["address"]
        self.channel = grpc.aio.insecure_channel(self.address)
        self.stub = WorkerStub(self.channel)
        return self

    async def __aexit__(self, *_: object) -> None:
        if leaving := self.replica.__del__():
            await leaving
        await self.channel.close()


async def replica_of(config: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, at its import
        from workers.ray_app import Replica
    replica: Any = Replica.__new__(Replica)
    await replica.__init__(RayArguments.model_validate({"config": config}))
    return replica


async def test_it_serves_once_it_is_made_and_is_healthy(tmp_path: Path) -> None:
    async with Served(tmp_path) as served:
        await served.replica.check_health()
        parts = await messages(served.stub, request(max_tokens=5, ignore_eos=True))
        assert sum(len(part.token_ids) for part in parts) == 5


async def test_an_engine_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    served = Served(tmp_path, failures={"start_fails": True})
    with pytest.raises(EngineFailed):
        await replica_of(served.config)
    assert not served.ready_file.exists()


async def test_a_broken_engine_is_told_as_ill(tmp_path: Path) -> None:
    async with Served(tmp_path, failures={"fail_after_tokens": 3}) as served:
        with pytest.raises(grpc.aio.AioRpcError):
            await messages(served.stub, request(max_tokens=20, ignore_eos=True))
        async with asyncio.timeout(10):
            while True:
                try:
                    await served.replica.check_health()
                except EngineFailed:
                    break
                await asyncio.sleep(0.01)


async def test_it_drains_at_its_end_and_frees_its_port(tmp_path: Path) -> None:
    async with Served(tmp_path, **UNHURRIED) as served:
        answer = await begun(served)
        await served.replica.__del__()
        assert sum(len(part.token_ids) for part in await answer) == 100
        host, _, port = served.address.rpartition(":")
        with pytest.raises(OSError, match="onnect"):
            await asyncio.open_connection(host, int(port))
        assert not served.ready_file.exists()


async def begun(served: Served) -> "asyncio.Task[list[wire.WorkerGenerateResponse]]":
    """An answer of 100 tokens, under way."""
    answer = asyncio.create_task(messages(served.stub, request(max_tokens=100, ignore_eos=True)))
    watch = served.stub.Watch(wire.WatchRequest())
    while not (await watch.read()).running:
        pass
    watch.cancel()
    return answer


async def test_the_hook_before_the_pods_end_drains_the_replica_that_stays_healthy(tmp_path: Path) -> None:
    async with Served(tmp_path, **UNHURRIED) as served:
        host, _, port = served.address.rpartition(":")
        told = {"HEADGATE_WORKER_CONFIG": json.dumps({**served.config, "listen": f"0.0.0.0:{port}"}), "POD_IP": host}
        answer = await begun(served)
        assert await asyncio.to_thread(drain.main, told) == 0
        assert sum(len(part.token_ids) for part in await answer) == 100
        with pytest.raises(grpc.aio.AioRpcError, match="this worker is draining"):
            await messages(served.stub, request())
        await served.replica.check_health()  # else Serve would start it anew while its pod goes


def test_the_hook_is_content_where_no_replica_is(capsys: pytest.CaptureFixture[str]) -> None:
    config = {"models": [MODEL], "engine": {"kind": "simulated"}, "listen": "0.0.0.0:1"}
    assert drain.main({"HEADGATE_WORKER_CONFIG": json.dumps(config), "POD_IP": "127.0.0.1"}) == 0
    assert capsys.readouterr().err == ""


def test_the_hook_without_settings_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert drain.main({}) == 2
    assert "HEADGATE_WORKER_CONFIG" in capsys.readouterr().err
