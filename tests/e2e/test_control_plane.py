"""A router as a real process, fed by a control plane that comes, goes and talks nonsense."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from headgate.v1 import topology_pb2 as wire
from tests.chaos.test_kill_worker import PACED, asks
from tests.router.fleet.control_plane import FakeControlPlane
from tests.stack import Stack

ASK = {"model": "pool", **asks("Tell me about rivers.")}


class FedStack(Stack):
    """A router that is fed over gRPC on this port; workers are started by the test."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder, PACED, replicas=1)
        self.port = port

    async def __aenter__(self) -> "FedStack":
        config = {"topology": {"address": f"localhost:{self.port}"}, "http": {"port": 0}, "grpc": {"port": 0}}
        self.router, ready = await self._spawn("router", "router", config, ["--ready-file", str(self.folder / "router.ready")])
        self.url = f"http://{ready['http']}"
        return self

    async def start_worker(self) -> wire.Replica:
        await self._start_worker("pool/0")
        return wire.Replica(id="pool/0", address=self.addresses["pool/0"], revision="r1")


def topology(version: int, *replicas: wire.Replica) -> wire.TopologySnapshot:
    pool = wire.Pool(name="pool", tier="small", models=["the-model"], replicas=replicas, cold_start_wait_s=120, ttft_ms=600_000)
    return wire.TopologySnapshot(version=version, pools=[pool])


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_a_pool_at_zero_is_woken_and_served_with_and_without_its_control_plane(tmp_path: Path) -> None:
    plane = FakeControlPlane()
    async with plane.on() as port, FedStack(tmp_path, port) as stack, aiohttp.ClientSession() as session:

        async def page(path: str) -> tuple[int, str]:
            async with session.get(f"{stack.url}{path}") as answer:
                return answer.status, await answer.text()

        async def ready() -> bool:
            return (await page("/readyz"))[0] == 200

        async def shows(line: str) -> bool:
            return line in (await page("/metrics"))[1].splitlines()

        assert not await ready()
        plane.queue.put_nowait(topology(5))
        await until(ready)
        async with session.get(f"{stack.url}/v1/models") as answer:
            assert [card["id"] for card in (await answer.json())["data"]] == ["pool", "the-model"]
        asked = asyncio.create_task(session.post(f"{stack.url}/v1/chat/completions", json=ASK))
        async with asyncio.timeout(60):
            while not any(pool.waiting_here for report in plane.reports for pool in report.pools):
                await asyncio.sleep(0.02)
        assert not asked.done()
        plane.queue.put_nowait(topology(6, await stack.start_worker()))
        async with await asked as answer:
            assert answer.status == 200
            first = (await answer.json())["choices"][0]["message"]["content"]
        assert first
        async with asyncio.timeout(60):
            while not any(revision.requests_total for pool in plane.reports[-1].pools for revision in pool.revisions):
                await asyncio.sleep(0.02)
        (said,) = plane.reports[-1].pools
        assert (said.pool, said.arrivals_total, said.waiting_here, said.ready) == ("pool", 1, 0, 1)
        assert [(each.revision, each.requests_total, each.errors_total) for each in said.revisions] == [("r1", 1, 0)]

        plane.queue.put_nowait(wire.TopologySnapshot(version=7, pools=[wire.Pool(name="auto", tier="huge")]))

        async def refused() -> bool:
            return await shows("headgate_router_topology_refused_total 1.0")

        await until(refused)
        plane.queue.put_nowait(None)
        plane.queue.put_nowait(None)

        async def disconnected() -> bool:
            return await shows("headgate_router_topology_connected 0.0")

        await until(disconnected)
        async with session.post(f"{stack.url}/v1/chat/completions", json=ASK) as answer:
            assert (await answer.json())["choices"][0]["message"]["content"] == first
        assert await ready()
        assert await shows("headgate_router_topology_version 6.0")
