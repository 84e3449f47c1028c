"""Malformed requests by the thousand: made by schemathesis from our own OpenAPI document, and by breaking good bytes.

None may end in a 5xx, a traceback or a lost connection; each refusal says why and names the field; memory stays where it was.
"""

import asyncio
import gc
import json
import re
import tracemalloc
from random import Random
from typing import Any

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from router.fronts.http.message import ServerLimits
from router.fronts.openai.openapi import document
from tests.router.fronts.http_fakes import FakeDispatcher, RawClient, chat, post, raw_client, serving

Sent = tuple[str, bytes]

# How many of each: 1,150 in all, since a few turn out to be harmless.
EXAMPLES = {
    "/v1/chat/completions": 500,
    "/v1/completions": 350,
    "/v1/embeddings": 150,
    "/v1/headgate/quote": 50,
    "/v1/headgate/feedback": 100,
}


def bodies(path: str, count: int, mode: GenerationMode) -> list[Sent]:
    """The same bodies in every run."""
    found: list[Sent] = []
    strategy = schemathesis.openapi.from_dict(orjson.loads(document()))[path]["POST"].as_strategy(generation_mode=mode)

    @settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def collect(case: Any) -> None:
        body = case.body
        if not isinstance(body, bytes):
            # A body may be missing altogether; the marker for that is no JSON.
            body = json.dumps(body, default=lambda _: None).encode()
        found.append((path, body))

    collect()
    return found


def check(sent: Sent, status: int, body: bytes) -> None:
    """What must hold of every answer."""
    path, data = sent
    assert status < 500, (path, data, body)
    assert b"Traceback" not in body
    if status >= 400:
        error = orjson.loads(body)["error"]
        assert error["message"], (path, data)
        assert error["type"], (path, data)
        assert error["param"], (path, data, error)


async def play(client: RawClient, requests: list[Sent]) -> list[int]:
    """Sends each and checks its answer; all on one connection, for none of them breaks the protocol."""
    statuses = []
    for path, data in requests:
        client.send(post(path, data))
        status, _, body = await client.answer()
        check((path, data), status, body)
        statuses.append(status)
    return statuses


@pytest.mark.slow
async def test_a_thousand_malformed_requests_are_refused_by_name_and_leave_no_trace() -> None:
    requests = [sent for path, count in EXAMPLES.items() for sent in bodies(path, count, GenerationMode.NEGATIVE)]
    fake = FakeDispatcher()

    def held_bytes() -> int:
        fake.requests.clear()
        fake.embeds.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        async with serving(fake) as (_, port), raw_client(port) as client:
            statuses = await play(client, requests)
            before = held_bytes()
            await play(client, requests)
            grown = held_bytes() - before
    finally:
        tracemalloc.stop()
    assert sum(status >= 400 for status in statuses) >= 1000
    assert grown < 50_000


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
async def test_what_the_document_allows_is_served_unless_parameters_exclude_each_other(path: str) -> None:
    requests = bodies(path, 60, GenerationMode.POSITIVE)
    async with serving(FakeDispatcher()) as (_, port), raw_client(port) as client:
        statuses = await play(client, requests)
    assert set(statuses) <= {200, 400}
    assert 200 in statuses


async def test_broken_bytes_never_take_the_server_down() -> None:
    rng = Random(20261121)
    good = post("/v1/chat/completions", chat(stream=True, n=2, stop=["a"]), "x-request-id: r1", "connection: close")
    impatient = ServerLimits(head_timeout_s=0.2, body_timeout_s=0.2, idle_timeout_s=0.2, linger_s=0.2)
    fake = FakeDispatcher()

    async def throw(port: int) -> bytes:
        async with raw_client(port) as client:
            client.send(_broken(good, rng))
            return await client.rest()

    async with serving(fake, impatient) as (_, port):
        for _ in range(10):
            for said in await asyncio.gather(*[throw(port) for _ in range(100)]):
                # 505 is the answer to a version we do not speak.
                assert re.match(rb"$|HTTP/1.1 (200|4\d\d|505) ", said), said
                assert b"Traceback" not in said
        assert len(fake.requests) > 10  # some stay whole
        assert fake.running == 0
        async with raw_client(port) as client:
            client.send(post("/v1/chat/completions", chat()))
            assert (await client.answer())[0] == 200


def _broken(data: bytes, rng: Random) -> bytes:
    """A few bytes changed, dropped, doubled or swapped."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(out)), rng.randint(1, 12)
        match rng.randrange(5):
            case 0:
                out[at] = rng.randrange(256)
            case 1:
                del out[at : at + size]
            case 2:
                out[at:at] = out[at : at + size] * rng.randint(1, 50)
            case 3:
                out[at:at] = rng.randbytes(size)
            case _:
                out[at:at] = rng.choice([b"\r\n", b"\r\n\r\n", b"\n", b"\0", b"\xff", b"content-length: 3\r\n", b"9" * 30])
        if not out:
            return b""
    return bytes(out)
