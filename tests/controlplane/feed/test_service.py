import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from controlplane.feed import load_book, publisher, service
from controlplane.feed.model import FleetSeen
from controlplane.feed.service import TOPOLOGY, Feed
from headgate.v1 import topology_pb2 as wire
from tests.controlplane.feed.seen import endpoint, pool
from tests.controlplane.feed.serving import client, feed, fleet, next_of, until


def ask(have_version: int = 0, router_id: str = "r") -> wire.TopologyWatchRequest:
    return wire.TopologyWatchRequest(router_id=router_id, have_version=have_version)


def told(router: str = "r", incarnation: str = "1", **figures: object) -> wire.RouterReport:
    pools = [wire.ReportedPool(pool="a", **figures)]  # type: ignore[arg-type]
    return wire.RouterReport(router_id=router, incarnation=incarnation, pools=pools)


async def test_the_newest_at_once_then_each_change() -> None:
    async with feed() as served, client(served) as stub:
        served.publish(fleet("a"), 3)
        first, second = stub.Watch(ask()), stub.Watch(ask(router_id="s"))
        assert await next_of(first) == await next_of(second) == (3, ["a"])
        served.publish(fleet("a", "b"), 4)
        assert await next_of(first) == await next_of(second) == (4, ["a", "b"])
        await until(lambda: {(w.router_id, w.version) for w in served.watchers} == {("r", 4), ("s", 4)})
        first.cancel()
        await until(lambda: [w.router_id for w in served.watchers] == ["s"])
        stats = served.stats()
        assert (stats.watchers, stats.version, stats.contents_total, stats.pushes_total) == (1, 4, 2, 4)
        assert stats.snapshot_bytes > 0


async def test_a_router_that_comes_before_the_first_snapshot_waits_for_it() -> None:
    async with feed() as served, client(served) as stub:
        call = stub.Watch(ask())
        await until(lambda: served.watchers)
        served.publish(fleet("a"), 3)
        assert await next_of(call) == (3, ["a"])


async def test_a_router_waits_no_longer_than_patience_and_is_sent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PATIENCE_S", 0.05)
    async with feed() as served, client(served) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await next_of(stub.Watch(ask()))
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert served.stats().refused_total == 1
        assert served.watchers == ()


async def test_a_router_that_knows_more_waits_until_we_know_it_too() -> None:
    async with feed() as served, client(served) as stub:
        served.publish(fleet("a"), 3)
        other, call = stub.Watch(ask(3)), stub.Watch(ask(10))
        assert await next_of(other) == (3, ["a"])
        await until(lambda: len(served.watchers) == 2)
        served.publish(fleet("a", "b"), 9)
        assert await next_of(other) == (9, ["a", "b"])
        served.publish(fleet("a", "b"), 11)  # no other content, but now we know
        assert await next_of(call) == (11, ["a", "b"]), "what was not new enough was not told"


async def test_a_router_that_knows_more_gets_what_there_is_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PATIENCE_S", 0.05)
    async with feed() as served, client(served) as stub:
        served.publish(fleet("a"), 3)
        await until(lambda: served.stats().version == 3)
        assert await next_of(stub.Watch(ask(1_000_000))) == (3, ["a"])


async def test_a_reader_that_is_slow_finds_the_newest_and_nothing_is_kept_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "GATHER_S", 0.0)
    monkeypatch.setattr(publisher, "APART_S", 0.0)
    times = 40
    async with feed() as served, client(served) as stub:
        slow, quick = stub.Watch(ask()), stub.Watch(ask(router_id="quick"))
        for version in range(1, times + 1):
            pods = [endpoint(f"{version}-{'x' * 1000}-{n}") for n in range(1000)]
            served.publish(FleetSeen(pools=(pool("a", *pods),)), version)
            assert (await next_of(quick))[0] == version
        assert served.stats().snapshot_bytes > 1_000_000
        versions = [(await next_of(slow))[0]]
        while versions[-1] < times:
            versions.append((await next_of(slow))[0])
        assert versions == sorted(versions)
        assert len(versions) < times / 4, "what was on its way when it stopped reading, and the newest"
        assert served.stats().pushes_total <= times + len(versions)


async def test_only_so_many_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_WATCHERS", 1)
    async with feed() as served, client(served) as stub:
        served.publish(fleet("a"), 1)
        first = stub.Watch(ask())
        assert await next_of(first) == (1, ["a"])
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await next_of(stub.Watch(ask()))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        first.cancel()
        await until(lambda: not served.watchers)
        assert await next_of(stub.Watch(ask())) == (1, ["a"])


async def test_reports_become_loads_and_wake_pools() -> None:
    woken: list[str] = []
    async with feed(on_wake=woken.append) as served, client(served) as stub:
        served.publish(fleet("a"), 1)
        reply = await stub.Report(told(waiting_here=2, slots=5))
        assert reply.next_after_ms > 0
        assert woken == ["a"]
        load = served.loads.of("a", 1000.0)
        assert (load.routers, load.waiting, load.slots) == (1, 2, 5)
        stats = served.stats()
        assert (stats.routers_reporting, stats.reports_total, stats.refused_total) == (1, 1, 0)


@pytest.mark.parametrize("report", [told(router=""), told(incarnation="")])
async def test_a_report_without_a_name_is_refused(report: wire.RouterReport) -> None:
    async with feed() as served, client(served) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Report(report)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert served.stats().refused_total == 1


async def test_too_many_routers_and_too_large_reports_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with feed() as served, client(served) as stub:
        monkeypatch.setattr(served.loads, "_book", load_book.LoadBook(most_routers=1))
        await stub.Report(told("a"))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Report(told("b"))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.Report(told("x" * 5_000_000))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_health_follows_the_first_snapshot_and_the_end() -> None:
    async with feed() as served, grpc.aio.insecure_channel(served.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=TOPOLOGY))
        said = [(await watch.read()).status]
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.NOT_SERVING
        served.publish(fleet("a"), 1)
        said.append((await watch.read()).status)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.create_task(served.stop(20))
        said.append((await watch.read()).status)
        watch.cancel()
        await stopping
        serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        assert said == [not_serving, serving, not_serving]


async def test_what_it_serves_can_be_asked() -> None:
    async with feed() as served:

        def ask_in_a_thread() -> list[str]:
            with grpc.insecure_channel(served.address) as channel:
                return sorted(ProtoReflectionDescriptorDatabase(channel).get_services())

        services = await asyncio.to_thread(ask_in_a_thread)
    assert services == ["grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", TOPOLOGY]


async def test_when_it_stops_routers_move_on_at_once() -> None:
    async with feed() as served, client(served) as stub:
        served.publish(fleet("a"), 1)
        watching, early = stub.Watch(ask()), stub.Watch(ask(have_version=99))
        await next_of(watching)
        await until(lambda: len(served.watchers) == 2)
        stopping = asyncio.create_task(served.stop(20))
        async with asyncio.timeout(10):  # much less than the grace: nobody has to be waited for
            assert await watching.read() is grpc.aio.EOF
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await early.read()
            await stopping
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert served.watchers == ()
        await served.stop(0)  # twice does no harm


async def test_a_port_that_is_taken() -> None:
    async with feed() as served:
        other = Feed(served.address, None, asyncio.get_running_loop().time)
        with pytest.raises(OSError, match=f"can't listen on {served.address}"):
            await other.start()
        await other.stop(0)


async def test_one_that_never_started_can_be_stopped() -> None:
    await Feed("127.0.0.1:0", None, asyncio.get_running_loop().time).stop(0)
