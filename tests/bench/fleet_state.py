"""Cores that one router spends on knowing 64 busy workers, each with a new state every 50 ms.

    make bench NAME=fleet_state [ARGS="--seconds 8 --repeats 3"]

Workers live in a process of their own, with a port each. What is measured is a fresh process on another core that runs nothing
but the part in question, on uvloop: CPU is the run time of all its threads. Variants take turns, figures are medians.

headgate        StatsWatcher and FleetStore, as the router runs them
… with views    likewise, and a view is taken 1,000 times a second, as decisions do
grpc.aio        the same streams and store, read by grpc.aio: what our own client (state_stream.py) saves
scraping        /metrics of the size real vLLM has, over HTTP, parsed whole, every 50 ms: how the Gateway API's picker learns
                the same. This baseline is ours, in Python (aiohttp, prometheus_client); the picker's own figure, in Go, stands
                below it
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import aiohttp
import grpc
import numpy as np
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from headgate.v1 import worker_pb2 as wire
from router.config import RouterConfig, TopologySource
from router.fleet.channels import OPTIONS, Channels
from router.fleet.specs import PoolSpec, ReplicaSpec, Report
from router.fleet.stats import WATCH, StatsWatcher, decode
from router.fleet.store import FleetStore
from router.snapshot import Prices
from tests.bench import report
from tests.bench.busy_workers import MODEL, READ, serve_pushed, serve_scraped
from tests.bench.cpu_time import own_cpu

SEED = 11
WORKERS = 64
INTERVAL_S = 0.05
WARM_UP_S = 2.0
AIM_CORES = 0.05


class Counted(FleetStore):
    """A store that counts reports and notes how old they were on arrival, where the report tells."""

    def __init__(self) -> None:
        super().__init__(RouterConfig(topology=TopologySource(file=Path("none"))))
        self.reports = 0
        self.lags_us: list[int] = []

    def apply_report(self, replica_id: str, report: Report) -> None:
        super().apply_report(replica_id, report)
        self.reports += 1
        if report.output_tokens_total and self.reports % 16 == 0:
            self.lags_us.append(time.monotonic_ns() // 1000 - report.output_tokens_total)


async def headgate(store: FleetStore) -> None:
    await StatsWatcher(store, Channels(), Random(SEED)).run()


async def headgate_views(store: FleetStore) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(headgate(store))
        while True:
            await asyncio.sleep(0.001)
            store.view()


async def grpc_aio(store: FleetStore) -> None:
    async def watch(replica_id: str, address: str) -> None:
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            call = channel.unary_stream(
                WATCH, request_serializer=wire.WatchRequest.SerializeToString, response_deserializer=decode
            )
            async for state in call(wire.WatchRequest(min_interval_ms=50)):
                store.apply_report(replica_id, state)

    await asyncio.gather(*(watch(*endpoint) for endpoint in store.endpoints))


async def scraping(store: FleetStore) -> None:
    async def scrape(session: aiohttp.ClientSession, replica_id: str, address: str) -> None:
        await asyncio.sleep(Random(replica_id).uniform(0, INTERVAL_S))
        while True:
            began_s = time.monotonic()
            async with session.get(f"http://{address}/metrics") as answer:
                text = await answer.text()
            found = {f.name: f.samples[0].value for f in text_string_to_metric_families(text) if f.name in READ}
            running, waiting, kv_used = (found[name] for name in READ)
            report = Report("-", "ready", int(running), int(waiting), 256, kv_used, models=(MODEL,), engine="vllm")
            store.apply_report(replica_id, report)
            await asyncio.sleep(max(0.0, began_s + INTERVAL_S - time.monotonic()))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(scrape(session, *endpoint) for endpoint in store.endpoints))


VARIANTS: dict[str, tuple[str, Callable[[FleetStore], Awaitable[None]]]] = {
    "headgate": ("headgate", headgate),
    "headgate_views": ("headgate, with 1,000 views/s", headgate_views),
    "grpc_aio": ("baseline: same streams over grpc.aio", grpc_aio),
    "scraping": ("baseline: scraping, ours in Python", scraping),
}


async def measure(variant: str, ports: list[int], seconds: float) -> dict[str, float]:
    """Runs one variant in this process and returns its figures."""
    store = Counted()
    replicas = tuple(ReplicaSpec(f"r{number}", f"127.0.0.1:{port}") for number, port in enumerate(ports))
    store.apply_topology([PoolSpec("pool", "large", (MODEL,), Prices(), replicas)], [], 1)
    running = asyncio.ensure_future(VARIANTS[variant][1](store))
    await asyncio.wait((running,), timeout=WARM_UP_S)
    store.reports, store.lags_us, ages_s = 0, [], []
    with own_cpu() as span:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s and not running.done():
            await asyncio.sleep(0.1)
            ages_s.append(store.view().age_s)
    if running.done():
        await running  # raises what ended it
    running.cancel()
    ages_ms = np.concatenate(ages_s) * 1e3
    figures = {"cores": span.cores, "states_per_s": store.reports / span.wall_s, "cpu_us_per_state": span.us_per(store.reports)}
    # On a busy machine the workers fall behind, which must not make the router look cheap.
    figures["cores_at_full_rate"] = span.us_per(store.reports) * WORKERS / INTERVAL_S / 1e6
    figures |= {"age_p50_ms": float(np.median(ages_ms)), "age_p99_ms": float(np.percentile(ages_ms, 99))}
    if store.lags_us:
        figures["on_the_way_p50_ms"] = statistics.median(store.lags_us) / 1e3
    return figures


async def host(kind: str) -> None:
    """The workers' process: prints its ports, then serves until it is ended."""
    ports = await (serve_scraped(WORKERS, SEED) if kind == "scraped" else serve_pushed(WORKERS, SEED, INTERVAL_S))
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


def spawn(core: int, *arguments: str) -> subprocess.Popen[str]:
    """This file in another process, on a core of its own where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {cores[core % len(cores)]})
    return process


def first_line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError(f"{process.args!r} ended with {process.wait()}")
    return line


def run_once(variant: str, seconds: float) -> dict[str, float]:
    workers = spawn(0, "--host", "scraped" if variant == "scraping" else "pushed")
    try:
        ports = first_line(workers)
        with spawn(1, "--measure", variant, "--ports", ports, "--seconds", str(seconds)) as measured:
            figures: dict[str, float] = json.loads(first_line(measured))
    finally:
        workers.kill()
        workers.communicate()
    return figures


def compare(seconds: float, repeats: int) -> None:
    runs: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(repeats):
        for variant, done in runs.items():
            done.append(run_once(variant, seconds))
    told = report.Report(
        "fleet_state", f"Knowing {WORKERS} busy workers, a new state each every {INTERVAL_S * 1e3:.0f} ms", SEED
    )
    medians = {v: {name: statistics.median(run[name] for run in done) for name in done[0]} for v, done in runs.items()}
    for variant, (label, _) in VARIANTS.items():
        told.row(label, **medians[variant])
    told.published(
        "Gateway API picker v1.5.0 (Go), scraping",
        "1 core, another day, the same kind of machine",
        cores=0.955,
        states_per_s=624.0,
    )
    told.aim("cores at full rate", medians["headgate"]["cores_at_full_rate"], at_most=AIM_CORES)
    told.note(f"wanted: {WORKERS / INTERVAL_S:,.0f} states/s, the full rate; medians of {repeats} runs of {seconds:g} s")
    told.note("scraping is our own straightforward Python, and saturated: its cores at full rate are what it would take")
    told.finish()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--host", choices=("pushed", "scraped"), help=argparse.SUPPRESS)
    parser.add_argument("--measure", choices=tuple(VARIANTS), help=argparse.SUPPRESS)
    parser.add_argument("--ports", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.host:
        uvloop.run(host(arguments.host))
    elif arguments.measure:
        print(json.dumps(uvloop.run(measure(arguments.measure, arguments.ports, arguments.seconds))), flush=True)
        os._exit(0)  # what it measured does not end by itself
    else:
        compare(arguments.seconds, arguments.repeats)


if __name__ == "__main__":
    main()
