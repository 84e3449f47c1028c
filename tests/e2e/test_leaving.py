"""Workers and routers that leave, politely or not, while answers are under way."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.test_kill_worker import PACED, asks, check
from tests.stack import Heard, Stack

ASK = asks("Tell me about rivers.")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path, PACED, replicas=2, idle_s=1.0, first_token_s=2.0) as stack:
        yield stack


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.02)


async def gauge(stack: Stack, session: aiohttp.ClientSession, name: str) -> float:
    async with session.get(f"{stack.url}/metrics") as page:
        line = next(line for line in (await page.text()).splitlines() if line.startswith(f"headgate_router_{name}{{"))
    return float(line.rsplit(" ", 1)[1])


async def during(stack: Stack, session: aiohttp.ClientSession, act: Callable[[str], None]) -> Heard:
    """Asks, and acts on the serving replica after a few tokens."""
    heard = Heard()
    body = {"model": "pool", "stream": True, "stream_options": {"include_usage": True}, **ASK}
    async with session.post(f"{stack.url}/v1/chat/completions", json=body) as answer:
        acted = False
        async for event in stack.events(answer):
            heard.take(event)
            if heard.spoken >= 5 and not acted:
                acted = True
                act(answer.headers["x-headgate-replica"])
    return heard


async def test_an_answer_that_nobody_reads_along_survives_as_well(stack: Stack, session: aiohttp.ClientSession) -> None:
    whole = (await stack.chat(session, ASK)).text[0]
    moved = 0
    for number in range(6):  # it may be the other replica that serves it
        asked = asyncio.create_task(session.post(f"{stack.url}/v1/chat/completions", json={"model": "pool", **ASK}))
        await asyncio.sleep(0.15)
        await stack.kill(f"pool/{number % 2}")
        answer = await (await asked).json()
        assert answer["choices"][0]["message"]["content"] == whole
        moved += answer["headgate"]["resumed"]
        await stack.all_up()
    assert moved


async def test_a_worker_told_to_leave_ends_its_answers_and_then_itself(stack: Stack, session: aiohttp.ClientSession) -> None:
    whole = await stack.chat(session, ASK)
    gone: list[str] = []

    def leave(replica: str) -> None:
        gone.append(replica)
        stack.workers[replica].send_signal(signal.SIGTERM)

    check("drained worker", whole, await during(stack, session, leave))
    assert await asyncio.wait_for(stack.workers[gone[0]].wait(), 20) == 0
    assert (await stack.chat(session, ASK)).headgate["replica"] != gone[0]


async def test_a_worker_that_hangs_is_left_behind(stack: Stack, session: aiohttp.ClientSession) -> None:
    whole = await stack.chat(session, ASK)
    stopped: list[str] = []

    def hang(replica: str) -> None:
        stopped.append(replica)
        stack.workers[replica].send_signal(signal.SIGSTOP)

    heard = await during(stack, session, hang)
    check("hung worker", whole, heard)
    assert heard.headgate["resumed"] == 1
    stack.workers[stopped[0]].send_signal(signal.SIGCONT)


async def test_a_router_told_to_leave_ends_its_answers_first(stack: Stack, session: aiohttp.ClientSession) -> None:
    whole = await stack.chat(session, ASK)
    router = stack.router
    assert router is not None
    heard = await during(stack, session, lambda _: router.send_signal(signal.SIGTERM))
    check("drained router", whole, heard)
    assert await asyncio.wait_for(router.wait(), 20) == 0
    with pytest.raises(aiohttp.ClientConnectionError):
        await stack.chat(session, ASK)


async def test_a_client_that_hangs_up_frees_the_slot(stack: Stack, session: aiohttp.ClientSession) -> None:
    body = {"model": "pool", "stream": True, **asks("Tell me all.", max_tokens=4000, ignore_eos=True)}
    answer = await session.post(f"{stack.url}/v1/chat/completions", json=body)
    await answer.content.readline()

    async def running() -> bool:
        return await gauge(stack, session, "average_running_requests") > 0

    async def idle() -> bool:
        figures = [await gauge(stack, session, name) for name in ("average_running_requests", "in_flight")]
        return not any(figures)

    await until(running)
    answer.close()
    await until(idle)
