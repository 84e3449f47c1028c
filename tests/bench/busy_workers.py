"""Busy workers for benches, many in one process: each on a port of its own, each telling its changing load.

They push it as our workers do, or answer scrapes with an exposition as large as vLLM's. No engine is behind them.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import grpc
from aiohttp import web

from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerServicer, add_WorkerServicer_to_server

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
# Of a real vLLM 0.32.0 after a few chats: 51.7 KB, 92 families, 614 lines.
FAMILIES, LINES, BYTES = 92, 614, 51_700
HISTOGRAMS = 20
READ = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")


class BusyWorker(WorkerServicer):
    """Sends another state every `interval_s`. Its clock at sending is in `output_tokens_total`, in microseconds."""

    def __init__(self, rng: Random, interval_s: float) -> None:
        self._rng = rng
        self._interval_s = interval_s

    async def Watch(self, request: wire.WatchRequest, context: Any) -> AsyncIterator[wire.WorkerState]:
        rng = self._rng
        state = wire.WorkerState(
            incarnation=f"{rng.getrandbits(64):016x}",
            phase=wire.WORKER_PHASE_READY,
            max_running=256,
            kv_capacity_tokens=600_000,
            kv_block_tokens=16,
            models=[MODEL],
            engine="vllm",
            max_context_tokens=131_072,
            reports_token_ids=True,
        )
        await asyncio.sleep(rng.uniform(0, self._interval_s))  # workers are not in step
        while True:
            state.running, state.waiting, state.kv_used = rng.randrange(257), rng.randrange(5), rng.random()
            state.prompt_tokens_total += rng.randrange(5000)
            state.prefix_query_tokens_total += 5000
            state.prefix_hit_tokens_total += rng.randrange(5000)
            state.output_tokens_total = time.monotonic_ns() // 1000
            yield state
            await asyncio.sleep(self._interval_s)


async def serve_pushed(count: int, seed: int, interval_s: float) -> list[int]:
    """Starts `count` workers; returns their ports. They serve until the process ends."""
    ports = []
    for number in range(count):
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        add_WorkerServicer_to_server(BusyWorker(Random(seed + number), interval_s), server)
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        _SERVING.append(server)
    return ports


async def serve_scraped(count: int, seed: int) -> list[int]:
    """As `serve_pushed`, for /metrics over HTTP. Load is drawn anew for each scrape."""
    rng, ports = Random(seed), []

    async def metrics(_: web.Request) -> web.Response:
        text = exposition(rng.randrange(257), rng.randrange(5), rng.random())
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    _SERVING.append(runner)
    for _ in range(count):
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ports.append(site._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]
    return ports


# A gRPC server stops when nobody holds it.
_SERVING: list[Any] = []


def exposition(running: int, waiting: int, kv_used: float) -> str:
    """A vLLM-shaped exposition: FAMILIES families in LINES lines, about BYTES long, with these three figures."""
    return _TEMPLATE.replace("@0", f"{running}.0").replace("@1", f"{waiting}.0").replace("@2", f"{kv_used:.6f}")


def _template() -> str:
    labels = f'engine="0",model_name="{MODEL}"'
    samples: list[list[str]] = [[f"{name}{{{labels}}} @{n}"] for n, name in enumerate(READ)]
    singles = FAMILIES - HISTOGRAMS - len(READ)
    samples += [[f"vllm:figure_{n}_total{{{labels}}} {n * 1234.5}"] for n in range(singles)]
    left = LINES - 2 * FAMILIES - len(samples)  # a HELP and a TYPE line for each family
    for n in range(HISTOGRAMS):
        name, buckets = f"vllm:duration_{n}_seconds", left // (HISTOGRAMS - n) - 2
        lines = [f'{name}_bucket{{{labels},le="{0.001 * 2**b}"}} {b * 17}.0' for b in range(buckets)]
        samples.append([*lines, f"{name}_count{{{labels}}} {buckets * 17}.0", f"{name}_sum{{{labels}}} 12.25"])
        left -= buckets + 2
    heads = [
        (lines[0].partition("{")[0].removesuffix("_bucket"), "histogram" if len(lines) > 1 else "gauge") for lines in samples
    ]
    families = [
        "\n".join((f"# HELP {name} @help", f"# TYPE {name} {kind}", *lines)) + "\n"
        for (name, kind), lines in zip(heads, samples, strict=True)
    ]
    whole = "".join(families).replace("@help", "")
    return "".join(families).replace("@help", ("What it means. " * 20)[: (BYTES - len(whole)) // FAMILIES])


_TEMPLATE = _template()
