"""The feed against what the router really does with it, in one process over a real connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import isfinite
from pathlib import Path
from random import Random

import pytest

from controlplane.feed.model import FleetSeen
from controlplane.feed.service import Feed
from controlplane.feed.snapshot import build
from controlplane.feed.wire import encode
from controlplane.resources.hardware import Hosting
from controlplane.resources.schema import structural
from headgate.v1.topology_pb2 import TopologySnapshot
from router.fleet.channels import Channels
from router.fleet.control_plane import ControlPlane
from router.fleet.loads import LoadCounts
from router.fleet.reporting import LoadReporter
from router.fleet.specs import CascadeSpec, HostingSpec, PolicySpec
from router.fleet.store import FleetStore
from router.fleet.topology import SourceHealth
from router.fleet.topology_stream import TopologyStream
from router.fleet.topology_wire import decode
from router.tls import CONTROL_PLANE, TlsFiles
from router.waiting import WaitingRoom
from tests.certificates import make_certificates
from tests.controlplane.feed.seen import digest, endpoint, policy, pool, tenant
from tests.controlplane.feed.serving import feed, until
from tests.router.fleet.given import store


class Router:
    """A router's side of the wire."""

    def __init__(self, served: Feed, name: str = "r", tls: Path | None = None) -> None:
        self.channels = Channels(tls=TlsFiles(tls) if tls else None, server_name=CONTROL_PLANE)
        self.store: FleetStore = store()
        self.health = SourceHealth()
        self.counts = LoadCounts()
        self.room = WaitingRoom(self.store, 10)
        plane = ControlPlane(served.address, self.channels, name)
        self.stream = TopologyStream(plane, self.store, self.health, Random(1))
        self.reporter = LoadReporter(plane, self.store, self.counts, self.room)
        self.room.on_entry(self.reporter.hurry)
        self.store.subscribe(lambda _: self.counts.follow(self.store.pools))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Router"]:
        tasks = [asyncio.create_task(self.stream.run()), asyncio.create_task(self.reporter.run())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.channels.close()


MESSY = FleetSeen(
    pools=(
        pool("small", endpoint("a", "127.0.0.1", 1, revision="r1"), endpoint("b", "::1", 2, terminating=True)),
        pool("large", endpoint("a", "127.0.0.1", 3), namespace="other", coldStart={"waitSeconds": 9}),
        pool("thief", endpoint("c"), created_s=2.0, model={"name": "small"}),
        pool("auto", endpoint("d")),
    ),
    tenants=(
        tenant("acme", "key", pools=["small", "gone"], policy="p", budget={"usd": 1.0}),
        tenant("team", "key", "own", created_s=2.0, parent="acme"),
        tenant("orphan", "other", parent="nobody"),
    ),
    policies=(policy("p", cascade={"pools": ["small", "gone"]}, canaries=[{"pool": "gone", "percent": 9}]),),
)


async def test_whatever_the_cluster_holds_the_router_takes_it() -> None:
    async with feed() as served, Router(served).running() as router:
        served.publish(MESSY, 7)
        await until(lambda: router.health.version == 7)
        assert (router.health.connected, router.health.refused, router.health.last_error) == (True, 0, "")
        assert {
            spec.name: [(r.id, r.address, r.draining, r.revision) for r in spec.replicas] for spec in router.store.pools
        } == {
            "large": [("a", "127.0.0.1:3", False, "")],
            "small": [("ns/a", "127.0.0.1:1", False, "r1"), ("b", "[::1]:2", True, "")],
        }
        assert {t.name: (t.key_sha256, t.pools, t.parent, t.policy) for t in router.store.tenants} == {
            "acme": ((digest("key"),), ("gone", "small"), "", "p"),
            "team": ((digest("own"),), (), "acme", ""),
        }
        assert [p.name for p in router.store.policies] == ["p"]
        assert next(spec for spec in router.store.pools if spec.name == "large").cold_start_wait_s == 9


def test_both_sides_mean_the_same_by_what_is_left_out() -> None:
    hosted = pool("a", hosting={"usdPerHour": 4.0})
    body = encode(build(FleetSeen(pools=(hosted,), policies=(policy("p"), policy("q", cascade={"pools": ["a", "b"]})))))
    told = decode(TopologySnapshot.FromString(body))
    assert told.policies == (PolicySpec("p"), PolicySpec("q", cascade=CascadeSpec(("a", "b"))))
    assert told.pools[0].hosting == HostingSpec(usd_per_hour=4.0)


@pytest.mark.parametrize("edge", ["minimum", "maximum"])
def test_a_router_takes_the_edges_of_what_the_schema_allows(edge: str) -> None:
    """One object must never make routers refuse all of them."""
    fields = structural(Hosting)["properties"]
    edges = {name: field[edge] + (5e-324 if f"exclusive{edge.title()}" in field else 0) for name, field in fields.items()}
    edges |= {"powerWatts": 1.0} if edge == "minimum" else {}  # or carbon and water would be refused beside it
    seen = FleetSeen(
        pools=(pool("a", hosting=edges),),
        tenants=(tenant("t", budget={"usd": 0, "window": "day", "hard": True}),),
        policies=(
            policy("p", strategy="custom", custom="x" * 63, cascade={"pools": ["a", "b"], "samples": 16}, exploreShare=1),
        ),
    )
    told = decode(TopologySnapshot.FromString(encode(build(seen))))
    fleet = store()
    fleet.apply_topology(told.pools, told.tenants, told.version, told.policies)
    assert all(map(isfinite, (fleet.view().pools[0].prices.output, fleet.view().pools[0].prices.input)))


async def test_a_request_that_waits_in_the_router_wakes_its_pool() -> None:
    woken: list[str] = []
    async with feed(on_wake=woken.append) as served, Router(served).running() as router:
        served.publish(FleetSeen(pools=(pool("cold"), pool("other"))), 1)
        await until(lambda: router.store.pools)
        router.reporter.hurry()
        await until(lambda: served.loads.of("cold", 0.0).routers)
        with router.room.entered(["cold"], begun=False):
            router.counts.arrived("cold")
            await until(lambda: woken)
            load = served.loads.of("cold", 0.0)
        assert woken[0] == "cold"
        assert (load.routers, load.waiting, load.slots) == (1, 1, 0)
        assert load.arrivals_per_s > 0
        assert served.loads.of("other", 0.0).waiting == 0


async def test_when_the_control_plane_goes_and_comes_the_router_keeps_what_it_has(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    clock = asyncio.get_running_loop().time
    async with feed(tls=tmp_path) as served, Router(served, tls=tmp_path).running() as router:
        served.publish(FleetSeen(pools=(pool("a", "x"),)), 5)
        await until(lambda: router.health.version == 5)
        await served.stop(5)
        await until(lambda: not router.health.connected)
        assert [spec.name for spec in router.store.pools] == ["a"]
        again = Feed(served.address, tmp_path, clock)
        await again.start()
        try:
            again.publish(FleetSeen(pools=(pool("b", "x"),)), 6)
            await until(lambda: router.health.version == 6)
            assert [spec.name for spec in router.store.pools] == ["b"]
        finally:
            await again.stop(0)
