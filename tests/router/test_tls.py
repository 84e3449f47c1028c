"""The router's side of mutual TLS: its credentials, the channels to workers, and their state streams, on real sockets."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import grpc
import pytest
import uvloop

from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerStub
from router.fleet.channels import Channels
from router.fleet.specs import ReplicaSpec
from router.fleet.state_stream import Secured, StreamEnded, follow
from router.fleet.stats import WATCH, StatsWatcher
from router.fleet.store import FleetStore
from router.tls import LOOK_S, WORKER, TlsFiles, TlsUnusable
from tests.certificates import Authority
from tests.router.fleet.fake_worker import FakeWorker, until
from tests.router.fleet.given import Clock, pool, store


class SecuredWorker(FakeWorker):
    """Serves with the certificate in a folder, and demands one of the same authority."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        key, chain, ca = ((folder / name).read_bytes() for name in ("tls.key", "tls.crt", "ca.crt"))
        self.credentials = grpc.ssl_server_credentials([(key, chain)], ca, require_client_auth=True)


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def ours(authority: Authority, tmp_path: Path) -> Path:
    return authority.issue(tmp_path / "ours", ["router.headgate.internal"])


@asynccontextmanager
async def watching(fleet: FleetStore, tls: TlsFiles | None) -> AsyncIterator[None]:
    channels = Channels(tls=tls, server_name=WORKER)
    watcher = StatsWatcher(fleet, channels, Random(1), silence_s=2.0, tls=tls)
    running = asyncio.create_task(watcher.run())
    try:
        yield
    finally:
        watcher.close()
        await running
        await channels.close()


def test_files_that_changed_are_taken_after_a_while(authority: Authority, ours: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    files = TlsFiles(ours, clock)
    first = files.current()
    authority.issue(ours)
    assert files.current() is first, "it does not look at every call"
    clock.pass_s(LOOK_S)
    second = files.current()
    assert second is not first
    clock.pass_s(LOOK_S)
    assert files.current() is second
    (ours / "tls.key").write_text("half a renewal")
    clock.pass_s(LOOK_S)
    with caplog.at_level(logging.WARNING):
        assert files.current() is second
    assert "the last certificates stay in use" in caplog.text
    authority.issue(ours)
    clock.pass_s(LOOK_S)
    assert files.current() not in (first, second)


@pytest.mark.parametrize("broken", ["ca.crt", "tls.crt", "tls.key"])
def test_files_that_make_no_certificate_are_refused_and_never_quoted(ours: Path, broken: str) -> None:
    (ours / broken).write_text("-----BEGIN NOTHING-----\nvery secret\n-----END NOTHING-----\n")
    with pytest.raises(TlsUnusable, match="don't make a usable certificate") as refused:
        TlsFiles(ours)
    assert "secret" not in str(refused.value)
    (ours / broken).unlink()
    with pytest.raises(TlsUnusable, match=f"{broken}: No such file"):
        TlsFiles(ours)


async def test_states_and_calls_reach_a_worker_that_proves_who_it_is(authority: Authority, ours: Path, tmp_path: Path) -> None:
    fleet, tls = store(), TlsFiles(ours)
    async with SecuredWorker(authority.issue(tmp_path / "worker", [WORKER])) as worker, watching(fleet, tls):
        worker.say(running=3)
        fleet.apply_topology([pool("small", ReplicaSpec("r", worker.address))], [], 1)
        await until(lambda: fleet.view().running.tolist() == [3])
        channels = Channels(tls=tls, server_name=WORKER)
        call = WorkerStub(channels.get(worker.address)).Watch(wire.WatchRequest())
        assert (await call.read()).running == 3
        await channels.close()


async def test_a_worker_without_the_right_certificate_gets_no_requests(
    authority: Authority, ours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    another_name = authority.issue(tmp_path / "name", ["controlplane.headgate.internal"])
    expired = authority.issue(tmp_path / "expired", [WORKER], expired=True)
    stranger = Authority("stranger").issue(tmp_path / "stranger", [WORKER])
    fleet, tls = store(), TlsFiles(ours)
    async with (
        SecuredWorker(another_name) as one,
        SecuredWorker(expired) as two,
        SecuredWorker(stranger) as three,
        FakeWorker() as plain,
        watching(fleet, tls),
    ):
        workers = (one, two, three, plain)
        for worker in workers:
            worker.say(running=1)
        fleet.apply_topology([pool("small", *(ReplicaSpec(f"r{n}", w.address) for n, w in enumerate(workers)))], [], 1)
        await until(lambda: len(caplog.messages) == len(workers))
        assert not fleet.view().ready.any()
        assert not any(worker.requests for worker in workers)
        channels = Channels(tls=tls, server_name=WORKER)
        for worker in workers:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await WorkerStub(channels.get(worker.address)).Drain(wire.DrainRequest(), timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        await channels.close()
    assert "certificate verify failed" in caplog.text


async def test_a_router_without_a_certificate_hears_nothing(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = store()
    foreign = Authority("foreign").issue(tmp_path / "foreign")
    (foreign / "ca.crt").write_bytes(authority.certificate_pem)  # it trusts the worker; the worker does not trust it
    async with SecuredWorker(authority.issue(tmp_path / "worker", [WORKER])) as worker:
        worker.say(running=1)
        fleet.apply_topology([pool("small", ReplicaSpec("r", worker.address))], [], 1)
        for tls in (None, TlsFiles(foreign)):
            caplog.clear()
            async with watching(fleet, tls):
                await until(lambda: caplog.messages)
        assert not worker.requests
        assert not fleet.view().ready.any()


async def test_renewed_certificates_get_new_channels_and_running_answers_their_grace(
    authority: Authority, ours: Path, tmp_path: Path
) -> None:
    clock = Clock()
    channels = Channels(grace_s=0.2, tls=TlsFiles(ours, clock), server_name=WORKER)
    async with SecuredWorker(authority.issue(tmp_path / "worker", [WORKER])) as worker:
        worker.say(running=1)
        old = channels.get(worker.address)
        call = WorkerStub(old).Watch(wire.WatchRequest())
        assert (await call.read()).running == 1
        authority.issue(ours)
        clock.pass_s(LOOK_S)
        new = channels.get(worker.address)
        assert new is not old
        assert channels.get(worker.address) is new
        worker.say(running=2)
        assert (await call.read()).running == 2
        assert (await WorkerStub(new).Watch(wire.WatchRequest()).read()).running == 2
        await until(call.done)
        assert call.cancelled()
        channels.keep([worker.address])
        assert channels.get(worker.address) is new
        await channels.close()


def test_a_state_stream_is_secured_on_uvloop_as_well(authority: Authority, ours: Path, tmp_path: Path) -> None:
    heard: list[bytes] = []
    secured = Secured(TlsFiles(ours).current().context, WORKER)

    async def watch() -> None:
        async with SecuredWorker(authority.issue(tmp_path / "worker", [WORKER])) as worker:
            worker.say(running=7)

            def take(state: bytes) -> None:
                heard.append(state)
                worker.end()

            with pytest.raises(StreamEnded):
                await follow(worker.address, WATCH, wire.WatchRequest().SerializeToString(), take, secured=secured)

    uvloop.run(watch())
    assert wire.WorkerState.FromString(heard[0]).running == 7
