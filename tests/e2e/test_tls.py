"""A router and its workers as real processes with mutual TLS between them."""

from pathlib import Path

import aiohttp
import grpc
import pytest

from headgate.v1 import worker_pb2 as wire
from headgate.v1.worker_pb2_grpc import WorkerStub
from tests.certificates import Authority
from tests.chaos.test_kill_worker import PACED, asks
from tests.stack import Stack

ASK = asks("Tell me about rivers.")


async def test_answers_cross_secured_and_survive_a_killed_worker_and_renewed_certificates(tmp_path: Path) -> None:
    authority = Authority()
    stack = Stack(tmp_path, PACED, replicas=2)
    stack.tls = authority.issue(tmp_path / "tls")
    async with stack, aiohttp.ClientSession() as session:
        whole = await stack.chat(session, ASK)
        assert whole.finish == {0: "stop"}
        # One answer loses its worker; its successor starts with certificates that the router had not seen.
        authority.issue(tmp_path / "tls")
        moved = await stack.chat(session, ASK, kill_after=5)
        assert moved.text == whole.text
        assert moved.headgate["resumed"] == 1
        await stack.all_up()
        again = await stack.chat(session, ASK)
        assert again.text == whole.text
        await refuses_plain_text(stack.addresses["pool/0"])
    logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert "PRIVATE KEY" not in logs
    secret = (tmp_path / "tls" / "tls.key").read_text().splitlines()[1]
    assert secret not in logs


async def refuses_plain_text(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await WorkerStub(channel).Drain(wire.DrainRequest(), timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
