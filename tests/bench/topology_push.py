"""What it costs a control plane to keep 50 routers up to date about 10,000 replicas in 1,000 pools, and how soon they know.

    make bench NAME=topology_push [ARGS="--changes 20 --routers 50"]

The control plane's feed is a process of its own on one core, all routers' streams are in another on the other core. One pod's
readiness changes at a time; every router must get the whole topology. CPU is that of the control plane's process. Variants take
turns, figures are medians.

headgate        the feed as it is: encoded once, the same bytes to everyone, at most one snapshot on the way to each
per router      the baseline, a plain grpc.aio servicer: its message is made once too, but gRPC encodes it for every router
one report      what routers send back: CPU to take in one report of 1,000 pools
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import grpc
import uvloop

from controlplane.feed import publisher, wire
from controlplane.feed.loads import Loads
from controlplane.feed.model import EndpointSeen, FleetSeen, PoolSeen
from controlplane.feed.service import TOPOLOGY, Feed
from controlplane.feed.snapshot import build
from controlplane.resources.model_pool import ModelPoolSpec
from headgate.v1 import topology_pb2
from tests.bench import report
from tests.bench.cpu_time import own_cpu

SEED = 0  # nothing is drawn
POOLS, REPLICAS = 1_000, 10
EVERY_S = 0.6  # beyond what the feed needs between two snapshots
AIM_LAST_MS = 500.0


def fleet(change: int) -> FleetSeen:
    """The world after so many changes: each turns one pod's readiness."""
    pools = list(_BASE)
    turned = pools[change % POOLS]
    first, *rest = turned.endpoints
    off = EndpointSeen(first.pod, first.address, first.port, ready=change % 2 == 0, revision=first.revision)
    pools[change % POOLS] = PoolSeen(turned.namespace, turned.name, turned.created_s, turned.spec, True, (off, *rest))
    return FleetSeen(pools=tuple(pools))


def pool(number: int) -> PoolSeen:
    spec = ModelPoolSpec.model_validate({"model": {"name": f"org/model-{number}"}, "tier": "small"})
    revision = f"{number:010x}"
    pods = (
        EndpointSeen(
            f"pool-{number}-{revision[:8]}-{pod:05x}", f"10.{number >> 8}.{number & 255}.{pod}", 7000, revision=revision
        )
        for pod in range(1, REPLICAS + 1)
    )
    return PoolSeen("serving", f"pool-{number}", float(number), spec, True, tuple(pods))


_BASE = tuple(pool(number) for number in range(POOLS))


class Plain:
    """The baseline: what one writes first. Each watcher yields the message, gRPC's handler encodes it."""

    def __init__(self) -> None:
        self._message = topology_pb2.TopologySnapshot()
        self._changed = asyncio.Event()
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_send_message_length", -1)])
        watch = grpc.unary_stream_rpc_method_handler(
            self._watch, topology_pb2.TopologyWatchRequest.FromString, topology_pb2.TopologySnapshot.SerializeToString
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(TOPOLOGY, {"Watch": watch}),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    async def start(self) -> None:
        await self._server.start()

    async def publish(self, seen: FleetSeen, version: int) -> None:
        await asyncio.sleep(publisher.GATHER_S)  # as the feed waits for further changes
        message = await asyncio.to_thread(lambda: wire.message(build(seen)))
        message.version = version
        self._message = message
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _watch(self, request: object, context: object) -> AsyncGenerator[topology_pb2.TopologySnapshot, None]:
        while True:
            changed = self._changed
            if self._message.version:
                yield self._message
            await changed.wait()


async def serve(variant: str, changes: int) -> dict[str, Any]:
    """The control plane's process: publishes, and returns when it did and what it took."""
    publish: Callable[[FleetSeen, int], Awaitable[None]]
    if variant == "headgate":
        feed = Feed("127.0.0.1:0", None, time.monotonic)
        await feed.start()
        address = feed.address

        async def publish(seen: FleetSeen, version: int) -> None:
            feed.publish(seen, version)
    else:
        plain = Plain()
        await plain.start()
        address, publish = plain.address, plain.publish
    print(json.dumps(address), flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # all routers watch
    await publish(fleet(0), 1)
    await asyncio.sleep(3.0)
    published_s = {}
    with own_cpu() as span:
        for change in range(1, changes + 1):
            seen = fleet(change)
            published_s[change + 1] = time.monotonic()
            await publish(seen, change + 1)
            await asyncio.sleep(EVERY_S)
    told = {
        "cpu_ms_per_change": span.cpu_s / changes * 1e3,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return {"published_s": published_s, **told}


async def watch(address: str, routers: int, last_version: int) -> dict[int, list[float]]:
    """The routers' process: when each snapshot reached each router. Bytes are not decoded: routers have their own machines."""
    arrived: dict[int, list[float]] = {}

    async def one(number: int) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            method = channel.unary_stream(
                f"/{TOPOLOGY}/Watch",
                request_serializer=topology_pb2.TopologyWatchRequest.SerializeToString,
                response_deserializer=None,
            )
            call = method(topology_pb2.TopologyWatchRequest(router_id=f"router-{number}"))
            while (data := await call.read()) is not grpc.aio.EOF:
                at_s = time.monotonic()
                version = version_of(data)
                arrived.setdefault(version, []).append(at_s)
                if version == last_version:
                    return

    tasks = [asyncio.create_task(one(number)) for number in range(routers)]
    await asyncio.sleep(2.0)
    print(json.dumps(len(tasks)), flush=True)
    await asyncio.gather(*tasks)
    return arrived


def version_of(data: bytes) -> int:
    """Field 1 is first in both variants' bytes."""
    return topology_pb2.TopologySnapshot.FromString(data[: 1 + _varint_bytes(data)]).version


def _varint_bytes(data: bytes) -> int:
    return next(at for at, byte in enumerate(data[1:11], 1) if byte < 128)


def measure_reports(times: int = 20) -> dict[str, float]:
    """CPU to take one router's report about all pools: decoded, brought into range, counted."""
    loads = Loads(time.monotonic, lambda name: None)
    loads.serve(seen.name for seen in _BASE)
    taken = []
    for turn in range(times):
        pools = [
            topology_pb2.ReportedPool(
                pool=seen.name,
                arrivals_total=turn,
                ready=REPLICAS,
                slots=80,
                running=40,
                answers_total=turn,
                ttft_met_total=turn,
                tpot_met_total=turn,
                revisions=[topology_pb2.ReportedRevision(revision="r", requests_total=turn, prefix_query_tokens_total=turn)],
            )
            for seen in _BASE
        ]
        data = topology_pb2.RouterReport(router_id="r", incarnation="1", pools=pools).SerializeToString()
        with own_cpu() as span:
            loads.take(topology_pb2.RouterReport.FromString(data))
        taken.append(span.cpu_s * 1e3)
    return {"cpu_ms_per_report": statistics.median(taken), "kib": len(data) / 1024}


def spawn(core: int, *arguments: str) -> subprocess.Popen[str]:
    """This file in another process, on a core of its own where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    os.sched_setaffinity(process.pid, {cores[core % len(cores)]})
    return process


def line(process: subprocess.Popen[str]) -> Any:
    told = process.stdout.readline() if process.stdout else ""
    if not told:
        raise RuntimeError(f"{process.args!r} ended with {process.wait()}")
    return json.loads(told)


def run_once(variant: str, changes: int, routers: int) -> dict[str, float]:
    given = ("--changes", str(changes), "--routers", str(routers))
    with spawn(0, "--serve", variant, *given) as server, spawn(1, "--watch", line(server), *given) as watchers:
        line(watchers)
        server.stdin.write("go\n")  # type: ignore[union-attr]
        server.stdin.flush()  # type: ignore[union-attr]
        arrived, served = line(watchers), line(server)
    published_s = served.pop("published_s")
    last_ms = [(max(arrived[version]) - at_s) * 1e3 for version, at_s in published_s.items()]
    assert all(len(arrived[version]) == routers for version in published_s), "every router gets every change at this pace"
    return {**served, "last_router_p50_ms": statistics.median(last_ms), "last_router_max_ms": max(last_ms)}


def measure_build(times: int = 15) -> dict[str, float]:
    spent = []
    for change in range(times):
        seen = fleet(change)
        with own_cpu() as span:
            data = wire.encode(build(seen))
        spent.append(span.cpu_s * 1e3)
    return {"build_ms": statistics.median(spent), "kib": len(data) / 1024}


def compare(changes: int, routers: int, repeats: int) -> None:
    title = f"One change among {POOLS * REPLICAS:,} replicas in {POOLS:,} pools, told to {routers} routers"
    told = report.Report("topology_push", title, SEED)
    built = measure_build()
    runs = [[run_once(variant, changes, routers) for variant in ("headgate", "plain")] for _ in range(repeats)]
    ours, plain = (
        {name: statistics.median(run[name] for run in turns) for name in turns[0]} for turns in zip(*runs, strict=True)
    )
    told.row("headgate", **built, **ours)
    told.row("baseline: encoded per router", **plain)
    told.row("ratio, baseline to headgate", **{name: plain[name] / ours[name] for name in ours})
    told.row("one report of all pools", **measure_reports())
    told.note(
        "per router is the straightforward way to write it, with the same gathering and the same message; ours, in this run"
    )
    told.aim("ms until the last router has it, median", ours["last_router_p50_ms"], at_most=AIM_LAST_MS)
    gathered_ms = publisher.GATHER_S * 1e3
    told.note(
        f"medians of {repeats} runs; {changes} changes, one every {EVERY_S:g} s; the {gathered_ms:.0f} ms to gather are in"
    )
    told.note("routers only count bytes; all of them share one core, which is part of the time until the last has it")
    told.finish()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--routers", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--serve", choices=("headgate", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        print(json.dumps(uvloop.run(serve(arguments.serve, arguments.changes))), flush=True)
        os._exit(0)  # what it measured does not end by itself
    elif arguments.watch:
        print(json.dumps(uvloop.run(watch(arguments.watch, arguments.routers, arguments.changes + 1))), flush=True)
    else:
        compare(arguments.changes, arguments.routers, arguments.repeats)


if __name__ == "__main__":
    main()
