"""How a router should reach a worker that Ray Serve runs: on the replica's own gRPC server, or through Serve's gRPC proxy.

    make bench NAME=ray_paths

The same engine and the same wire in both; a plain `python -m workers` process is there for scale. CPU is the run time of the
processes on the path, divided by streamed tokens; one engine step is one message. What an idle Ray takes is said apart.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import uvloop

from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerStub
from tests.bench.cpu_time import tree_cpu_s, tree_pids
from tests.bench.report import Report
from tests.stack import ENV
from workers import codec
from workers.config import SimulatedEngine, WorkerConfig
from workers.engines.simulated.engine import Simulated
from workers.ray.local import ENVIRONMENT
from workers.ray.placement import NODE_RESOURCE, RayArguments

SEED = 11
TOKENS = 64
MODEL = "the-model"
ENGINE: dict[str, Any] = {"kind": "simulated", "profile": {"base_s": 0.002}}
SERVICER = "headgate.v1.worker_pb2_grpc.add_WorkerServicer_to_server"
IDLE_S = 5.0
START_S = 60.0


class Proxied:
    """The engine behind Serve's proxy: what a replica without a server of its own would be."""

    async def __init__(self) -> None:  # type: ignore[misc] # Serve awaits it
        self._engine = Simulated(SimulatedEngine.model_validate(ENGINE), (MODEL,))
        await self._engine.ready()

    async def Generate(self, request: wire.WorkerGenerateRequest) -> AsyncIterator[wire.WorkerGenerateResponse]:
        async for delta in self._engine.generate(codec.generation(request)):
            yield codec.response(delta)

    async def pid(self) -> int:
        return os.getpid()


@dataclass(frozen=True)
class Way:
    """One way to an engine. `pids` are the processes that tokens pass through, and `metadata` what the way demands."""

    name: str
    address: str
    pids: Sequence[int]
    metadata: tuple[tuple[str, str], ...] = ()


async def drive(way: Way, streams: int, clients: int) -> dict[str, float]:
    """CPU µs per token over the way's processes, and the client's view in ms."""
    ttft: list[float] = []
    todo = iter(range(streams))
    async with grpc.aio.insecure_channel(way.address) as channel:
        stub = WorkerStub(channel)
        await asyncio.gather(*(one(stub, way, -number) for number in range(1, clients + 1)))  # warm
        before = sum(map(tree_cpu_s, way.pids))

        async def client() -> None:
            for number in todo:
                ttft.append(await one(stub, way, number))

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(clients)))
        took_s = time.perf_counter() - began
        cpu_s = sum(map(tree_cpu_s, way.pids)) - before
    return {
        "cpu_us_per_token": cpu_s / (streams * TOKENS) * 1e6,
        "tokens_per_s": streams * TOKENS / took_s,
        "ttft_p50_ms": statistics.median(ttft) * 1000,
    }


async def one(stub: Any, way: Way, number: int) -> float:
    """Seconds to the first token. Raises RuntimeError where the answer is not whole."""
    request = wire.WorkerGenerateRequest(request_id=f"r{number}", model=MODEL, text=f"Tell me of river {number}.")
    request.sampling.max_tokens, request.sampling.temperature, request.sampling.ignore_eos = TOKENS, 0.0, True
    began, first, count = time.perf_counter(), 0.0, 0
    async for message in stub.Generate(request, metadata=way.metadata):
        first = first or time.perf_counter() - began
        count += len(message.token_ids)
    if count != TOKENS:
        raise RuntimeError(f"{way.name}: {count} of {TOKENS} tokens came")
    return first


def start_ray(folder: Path) -> tuple[Way, Way]:
    """Both ways on one Ray of this process's own."""
    import ray
    from ray import serve
    from ray.serve.config import gRPCOptions

    from workers.ray_app import app

    ray.init(
        address="local",
        include_dashboard=False,
        num_cpus=2,
        resources={NODE_RESOURCE: 1},
        object_store_memory=100_000_000,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder),
        log_to_driver=False,
    )
    proxy_port = free_port()
    serve.start(
        http_options={"port": free_port()}, grpc_options=gRPCOptions(port=proxy_port, grpc_servicer_functions=[SERVICER])
    )
    ready = folder / "worker.ready"
    config = WorkerConfig.model_validate({"models": [MODEL], "engine": ENGINE, "ready_file": ready})
    serve.run(app(RayArguments(config=config)), name="own", route_prefix=None)
    handle = serve.run(serve.deployment(Proxied).bind(), name="proxied", route_prefix="/")
    proxies = [pid for pid in tree_pids(os.getpid()) if "ProxyActor" in Path(f"/proc/{pid}/cmdline").read_text()]
    return (
        way_of("Ray Serve replica, its own server", ready),
        Way(
            "Ray Serve replica, Serve's gRPC proxy",
            f"127.0.0.1:{proxy_port}",
            [handle.pid.remote().result(), *proxies],
            (("application", "proxied"),),
        ),
    )


@contextmanager
def plain_worker(folder: Path) -> Iterator[Way]:
    """The same worker as a process of its own, without Ray."""
    ready, file = folder / "plain.ready", folder / "plain.yaml"
    file.write_text(json.dumps({"models": [MODEL], "engine": ENGINE, "ready_file": str(ready), "exit_with_parent": True}))
    with subprocess.Popen(
        [sys.executable, "-m", "workers", "--config", str(file)], env=ENV, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield way_of("plain worker process", ready)
        finally:
            process.terminate()


def way_of(name: str, ready: Path) -> Way:
    """The way straight to a worker; waits for its ready file."""
    give_up = time.monotonic() + START_S
    while not ready.exists():
        if time.monotonic() > give_up:
            raise TimeoutError(f"{name} did not start in {START_S:.0f} s")
        time.sleep(0.05)
    said = json.loads(ready.read_text())
    return Way(name, said["address"], [said["pid"]])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def bench(streams: int, ways: Sequence[Way]) -> None:
    report = Report("ray_paths", "CPU of the ways to a worker that Ray Serve runs", SEED)
    idle_before, idle_began = tree_cpu_s(os.getpid()), time.perf_counter()
    await asyncio.sleep(IDLE_S)
    idle_cores = (tree_cpu_s(os.getpid()) - idle_before) / (time.perf_counter() - idle_began)
    token_us: dict[tuple[str, int], float] = {}
    for way in ways:
        for clients in (1, 16):
            seen = await drive(way, max(16, streams // (1 if clients > 1 else 4)), clients)
            token_us[way.name, clients] = seen["cpu_us_per_token"]
            report.row(way.name, clients=clients, **seen)
    plain, own, proxied = (token_us[way.name, 16] for way in ways)
    report.aim("CPU of the replica's own server to a plain worker's", own / plain, at_most=1.3)
    report.aim("CPU of Serve's proxy path to the replica's own server", proxied / own, at_least=2.0)
    report.note(f"all of Ray's processes together took {idle_cores:.3f} cores while nothing was asked")
    report.finish()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=400, help=f"streams of {TOKENS} tokens at 16 clients")
    arguments = parser.parse_args()
    os.environ |= ENVIRONMENT | {"RAY_AUTH_TOKEN": os.urandom(16).hex()}
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="hg-ray-") as folder:
        import ray
        from ray import serve

        with plain_worker(Path(folder)) as plain:
            try:
                uvloop.run(bench(arguments.streams, (plain, *start_ray(Path(folder)))))
            finally:
                serve.shutdown()
                ray.shutdown()


if __name__ == "__main__":
    main()
