"""Asking a Ray how it stands: against a server that says what Ray says. A real Ray is asked in tests/ray and tests/kube."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from controlplane.cluster.ray_status import ask

TWO_OF_THREE = {
    "proxy_location": "HeadOnly",
    "applications": {
        "worker": {
            "status": "DEPLOYING",
            "message": "",
            "deployments": {"worker": {"replicas": [{"state": "RUNNING"}, {"state": "STARTING"}, {"state": "RUNNING"}]}},
        }
    },
}


@asynccontextmanager
async def head(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/api/serve/applications/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def saying(value: Any, status: int = 200) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(value, status=status)

    return answer


async def test_applications_and_running_replicas() -> None:
    async with head(saying(TWO_OF_THREE)) as address:
        seen = await ask(address, None, 5.0)
    assert (seen.answered, dict(seen.applications), seen.replicas, seen.fault) == (True, {"worker": "DEPLOYING"}, 2, "")


async def test_a_ray_without_applications_is_well() -> None:
    async with head(saying({"applications": {}})) as address:
        seen = await ask(address, None, 5.0)
    assert (seen.answered, dict(seen.applications), seen.replicas) == (True, {}, 0)


async def test_the_token_is_shown_and_never_told() -> None:
    async def demanding(request: web.Request) -> web.StreamResponse:
        right = request.headers.get("Authorization") == "Bearer sesame"
        return web.json_response(TWO_OF_THREE) if right else web.Response(status=403)

    async with head(demanding) as address:
        assert (await ask(address, "sesame", 5.0)).answered
        refused = await ask(address, "open-up", 5.0)
    assert not refused.answered
    assert refused.fault == "HTTP 403: it wants another token"
    assert "open-up" not in repr(refused)


@pytest.mark.parametrize("said", ["", [], {}, {"applications": []}, {"applications": {"worker": {"status": 7}}}])
async def test_what_is_not_rays_answer_is_no_answer(said: Any) -> None:
    async with head(saying(said)) as address:
        seen = await ask(address, None, 5.0)
    assert (seen.answered, seen.fault) == (False, "what answers there is not Ray Serve")


async def test_an_endless_answer_is_cut() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65536)

    async with head(endless) as address:
        assert (await ask(address, None, 30.0)).fault == "what answers there is not Ray Serve"


async def test_a_redirect_is_not_followed() -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/api/serve/applications/")

    async with head(elsewhere) as address:
        assert (await ask(address, None, 5.0)).fault == "HTTP 302"


async def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        seen = await ask(f"http://127.0.0.1:{taken.getsockname()[1]}", None, 5.0)
    assert (seen.answered, seen.fault) == (False, "cannot be reached (ClientConnectorError)")


async def test_one_that_hangs_is_given_up() -> None:
    async def hanging(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with head(hanging) as address:
        seen = await ask(address, None, 0.05)
    assert (seen.answered, seen.fault) == (False, "no answer in 0.05 s")
