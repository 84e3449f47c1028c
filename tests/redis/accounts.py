"""A router's accounts on a test's Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from router.admission.accounts import open_accounts
from router.admission.redis_accounts import RedisMoney
from router.config import BudgetSettings, RedisSettings
from tests.redis.server import RedisServer


@asynccontextmanager
async def accounts(
    server: RedisServer, *, timeout_s: float = 2.0, crash: bool = False, **budgets: Any
) -> AsyncIterator[RedisMoney]:
    """Connected. Closed in order at the end, unless it is to `crash`."""
    settings = RedisSettings(url=server.url, timeout_s=timeout_s)
    money = open_accounts(settings, BudgetSettings(**budgets), {"HEADGATE_REDIS_PASSWORD": server.password})
    assert isinstance(money, RedisMoney)
    running = asyncio.create_task(money.run())
    await until(lambda: money.figures().connected)
    try:
        yield money
    finally:
        if not crash:
            await money.close()
        running.cancel()
        await asyncio.wait({running})


async def until(what: Callable[[], bool]) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(30):
        while not what():
            await asyncio.sleep(0.005)
