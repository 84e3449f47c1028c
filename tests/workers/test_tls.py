"""A worker that serves with mutual TLS, on real sockets: who gets in, and what happens when certificates change."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.certificates import Authority
from tests.workers.serving import MODEL, simulated
from workers import probe
from workers.config import WorkerConfig
from workers.tls import TlsUnusable, read
from workers.worker import Worker

WORKER = "worker.headgate.internal"


def secured(folder: Path) -> WorkerConfig:
    return WorkerConfig.model_validate({"models": [MODEL], "engine": {"kind": "simulated"}, "tls": {"folder": str(folder)}})


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """The address of a worker with the certificates in this folder."""
    worker = Worker(secured(folder), simulated())
    await worker.start()
    try:
        yield worker.address
    finally:
        await worker.close()


async def asked(address: str, folder: Path | None, name: str = WORKER, ca: bytes | None = None) -> str:
    """The status that a client with the certificate in `folder` is told, or the code that it fails with."""
    options = [("grpc.ssl_target_name_override", name)]
    if folder is None:
        channel = grpc.aio.insecure_channel(address)
    elif ca is not None:  # no certificate of one's own
        channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(ca), options)
    else:
        channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*read(folder)), options)
    async with channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        except grpc.aio.AioRpcError as fault:
            return fault.code().name
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def test_only_a_certificate_of_the_same_authority_gets_in(tmp_path: Path) -> None:
    authority = Authority()
    ours, peer = authority.issue(tmp_path / "ours"), authority.issue(tmp_path / "peer", ["router.headgate.internal"])
    stranger = Authority("another").issue(tmp_path / "stranger")
    (stranger / "ca.crt").write_bytes(authority.certificate_pem)  # it trusts us; we don't trust it
    expired = authority.issue(tmp_path / "expired", expired=True)
    async with serving(ours) as address:
        assert await asked(address, peer) == "SERVING"
        assert await asked(address, None) == "UNAVAILABLE"
        assert await asked(address, peer, ca=authority.certificate_pem) == "UNAVAILABLE"
        assert await asked(address, stranger) == "UNAVAILABLE"
        assert await asked(address, expired) == "UNAVAILABLE"
        assert await asked(address, peer, name="controlplane.headgate.internal") == "SERVING", (
            "the test's certificate has all names"
        )
        assert await asked(address, peer, name="else.headgate.internal") == "UNAVAILABLE"


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old, new = Authority("old"), Authority("new")
    served, knows_old, knows_new = old.issue(tmp_path / "served"), old.issue(tmp_path / "o"), new.issue(tmp_path / "n")
    async with serving(served) as address:
        assert await asked(address, knows_old) == "SERVING"
        assert await asked(address, knows_new) == "UNAVAILABLE"
        (served / "tls.crt").write_bytes((knows_new / "tls.crt").read_bytes())  # half of a renewal
        with caplog.at_level(logging.WARNING):
            assert await asked(address, knows_old) == "SERVING"
        assert "the last certificate stays in use" in caplog.text
        new.issue(served)
        assert await asked(address, knows_new) == "SERVING"
        assert await asked(address, knows_old) == "UNAVAILABLE"


async def test_a_worker_without_usable_certificates_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(TlsUnusable, match=r"ca\.crt: No such file"):
        async with serving(tmp_path):
            pass


def test_files_that_do_not_belong_together_are_refused_and_never_quoted(tmp_path: Path) -> None:
    one, other = Authority().issue(tmp_path / "one"), Authority().issue(tmp_path / "other")
    key = (other / "tls.key").read_text()
    for name, content in (("tls.key", key), ("tls.crt", "no PEM"), ("ca.crt", "no PEM"), ("ca.crt", "ü")):
        folder = Authority().issue(tmp_path / "mixed")
        (folder / name).write_text(content)
        with pytest.raises(TlsUnusable, match="don't make a usable certificate") as refused:
            read(folder)
        assert refused.value.__cause__ is None
        assert not set(key.splitlines()[1:-1]) & set(str(refused.value).split())
    assert len(read(one)) == 3


class TestProbe:
    async def run(self, address: str, *arguments: str) -> int:
        """The probe as Kubernetes runs it, in a thread: it blocks."""
        return await asyncio.to_thread(probe.main, ["--address", address, *arguments])

    async def test_it_uses_the_pods_own_certificate(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        folder = Authority().issue(tmp_path / "ours")
        async with serving(folder) as address:
            assert await self.run(address, "--tls", str(folder)) == 0
            assert await self.run(address, "--tls", str(folder), "--live") == 0
            assert await self.run(address, "--plain", "--timeout-s", "2") == 1
            stranger = Authority().issue(tmp_path / "stranger")
            assert await self.run(address, "--tls", str(stranger), "--timeout-s", "2") == 1
            assert await self.run(address, "--tls", str(tmp_path / "none")) == 2
        assert "PRIVATE KEY" not in capfd.readouterr().err

    async def test_a_worker_that_takes_no_requests_is_alive_and_not_ready(self, tmp_path: Path) -> None:
        folder = Authority().issue(tmp_path)
        config = WorkerConfig.model_validate(
            {"models": [MODEL], "engine": {"kind": "simulated"}, "tls": {"folder": str(folder)}}
        )
        worker = Worker(config, simulated())
        await worker.start()
        await worker.drain(0.1)
        try:
            assert await self.run(worker.address, "--tls", str(folder)) == 1
            assert await self.run(worker.address, "--tls", str(folder), "--live") == 0
        finally:
            await worker.close()
        assert await self.run(worker.address, "--tls", str(folder), "--live", "--timeout-s", "1") == 1
