import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from controlplane.feed.credentials import CertificateFiles, server_credentials
from controlplane.feed.service import Feed
from headgate.v1 import topology_pb2 as wire
from headgate.v1.topology_pb2_grpc import TopologyStub
from tests.certificates import Authority
from tests.controlplane.feed.serving import CLIENT, feed, fleet, next_of

SERVER = "controlplane.headgate.internal"


@asynccontextmanager
async def secure(served: Feed, folder: Path, own: bool = True) -> AsyncIterator[TopologyStub]:
    """A client with the certificate in this folder, or one that only knows the authority."""
    authority, key, certificate = ((folder / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt"))
    credentials = grpc.ssl_channel_credentials(authority, key if own else None, certificate if own else None)
    options = (*CLIENT, ("grpc.ssl_target_name_override", SERVER))
    async with grpc.aio.secure_channel(served.address, credentials, options=options) as channel:
        yield TopologyStub(channel)


async def refused(stub: TopologyStub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as fault:
        await stub.Report(wire.RouterReport(router_id="r", incarnation="1"), timeout=10)
    assert fault.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_only_clients_of_our_authority_are_served(tmp_path: Path) -> None:
    ours = Authority()
    server = ours.issue(tmp_path / "server", [SERVER])
    router = ours.issue(tmp_path / "router", ["router.headgate.internal"])
    expired = ours.issue(tmp_path / "expired", ["router.headgate.internal"], expired=True)
    stranger = Authority("a stranger").issue(tmp_path / "stranger", ["router.headgate.internal"])
    (stranger / "ca.crt").write_bytes((server / "ca.crt").read_bytes())  # it knows us; we don't know it
    async with feed(tls=server) as served:
        served.publish(fleet("a"), 1)
        async with secure(served, router) as stub:
            assert await next_of(stub.Watch(wire.TopologyWatchRequest())) == (1, ["a"])
        async with secure(served, router, own=False) as stub:
            await refused(stub)
        for folder in (stranger, expired):
            async with secure(served, folder) as stub:
                await refused(stub)
        async with grpc.aio.insecure_channel(served.address, options=CLIENT) as plain:
            await refused(TopologyStub(plain))


async def test_new_certificates_are_taken_without_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    old, new = Authority("old"), Authority("new")
    server, before = old.issue(tmp_path / "server", [SERVER]), old.issue(tmp_path / "before", ["r"])
    after = new.issue(tmp_path / "after", ["r"])
    async with feed(tls=server) as served:
        served.publish(fleet("a"), 1)
        async with secure(served, before) as stub:
            call = stub.Watch(wire.TopologyWatchRequest())
            assert await next_of(call) == (1, ["a"])
            new.issue(server, [SERVER])
            async with secure(served, after) as newer:
                assert await next_of(newer.Watch(wire.TopologyWatchRequest())) == (1, ["a"])
            async with secure(served, before) as late:
                await refused(late)
            served.publish(fleet("b"), 2)
            assert await next_of(call) == (2, ["b"]), "what is connected stays so"
    assert f"new certificates taken from {server}" in caplog.messages


def test_files_that_do_not_fit_are_left_until_they_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority()
    folder, other = authority.issue(tmp_path / "a"), authority.issue(tmp_path / "b")
    files = CertificateFiles(folder)
    assert files.first() is not None
    assert files.newer() is None, "nothing changed"
    (folder / "tls.key").write_bytes((other / "tls.key").read_bytes())
    assert files.newer() is None
    assert files.newer() is None
    assert len(caplog.messages) == 1, "told once"
    (folder / "tls.crt").write_bytes((other / "tls.crt").read_bytes())
    assert files.newer() is not None
    assert files.newer() is None
    (folder / "ca.crt").unlink()
    assert files.newer() is None
    assert len(caplog.messages) == 2
    assert "PRIVATE" not in caplog.text


def test_files_that_were_never_good_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        server_credentials(tmp_path)
    folder, other = Authority().issue(tmp_path / "a"), Authority().issue(tmp_path / "b")
    (folder / "tls.key").write_bytes((other / "tls.key").read_bytes())
    with pytest.raises(ssl.SSLError):
        server_credentials(folder)


async def test_a_feed_without_its_certificates_does_not_start(tmp_path: Path) -> None:
    made = Feed("127.0.0.1:0", tmp_path, asyncio.get_running_loop().time)
    with pytest.raises(OSError, match="No such file"):
        await made.start()
    await made.stop(0)
