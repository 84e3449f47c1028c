"""What a budget costs a request, and what holds when everything dies.

    make bench NAME=budgets                  CPU of reserve and settle, beside redis-py one by one and beside no budget
    make bench NAME=budgets ARGS="--long"    besides, a minute of killing: see tests/redis/stress.py

A real Redis with every change on the disk before it is confirmed. 64 requests at a time in one process on uvloop, each a
reserve and a settle of a tenant with a budget of its own and one above it. CPU is the process's own with its kernel time,
median of repeats; `redis_us` is that of the server. The baseline sends the same script in redis-py's usual way: one command
after the other per request, from a pool of connections.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import redis.asyncio
import uvloop

from router.admission.accounts import open_accounts
from router.admission.records import Chain, asking, settling
from router.admission.redis_accounts import RedisMoney
from router.admission.redis_link import SCRIPT
from router.config import BudgetSettings, RedisSettings
from router.snapshot import Budget, Tenant
from tests.bench.report import Report
from tests.redis.server import RedisServer
from tests.redis.stress import Plan, stress

SEED = 5
AT_ONCE = 64
REQUESTS = 3000
REPEATS = 7
PAID = Tenant("team", budgets=(Budget("team", 1e6, "month", hard=True), Budget("org", 1e6, "", hard=True)))
FREE = Tenant("free")
BOUNDS = (0.004, 0.001)


async def in_turns(one: Callable[[], Awaitable[None]], count: int) -> None:
    """`count` times, 64 at a time."""

    async def client() -> None:
        for _ in range(count // AT_ONCE):
            await one()

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))


async def measured(one: Callable[[], Awaitable[None]], server: RedisServer) -> dict[str, float]:
    """CPU and wall time for each."""
    await in_turns(one, REQUESTS // 4)
    own, theirs, wall = [], [], []
    for _ in range(REPEATS):
        began, began_redis, began_wall = time.process_time(), redis_cpu_s(server), time.perf_counter()
        await in_turns(one, REQUESTS)
        own.append((time.process_time() - began) / REQUESTS * 1e6)
        theirs.append((redis_cpu_s(server) - began_redis) / REQUESTS * 1e6)
        wall.append((time.perf_counter() - began_wall) / REQUESTS * AT_ONCE * 1e3)
    return {"cpu_us": statistics.median(own), "redis_us": statistics.median(theirs), "wall_ms": statistics.median(wall)}


def redis_cpu_s(server: RedisServer) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@asynccontextmanager
async def ours(server: RedisServer) -> AsyncIterator[RedisMoney]:
    secret = {"HEADGATE_REDIS_PASSWORD": server.password}
    money = open_accounts(RedisSettings(url=server.url, timeout_s=5), BudgetSettings(), secret)
    assert isinstance(money, RedisMoney)
    running = asyncio.create_task(money.run())
    yield money
    if not await money.close(30):
        raise RuntimeError("not everything could be settled")
    running.cancel()
    await asyncio.wait({running})


async def our_way(server: RedisServer, tenant: Tenant) -> dict[str, float]:
    async with ours(server) as money:

        async def one() -> None:
            money.settle(tenant, await money.reserve("id", tenant, BOUNDS), 0.0005)
            await asyncio.sleep(0)  # the request itself

        return await measured(one, server)


async def one_by_one(server: RedisServer) -> dict[str, float]:
    """The same two scripts, each awaited on a connection of its own."""
    client = redis.asyncio.Redis(unix_socket_path=str(server.socket), password=server.password, max_connections=AT_ONCE)
    script, chain, number = client.register_script(SCRIPT), Chain.of(PAID.budgets), 0

    async def call(words: tuple[object, ...]) -> None:
        keys = int(str(words[0]))
        await script(keys=list(words[1 : 1 + keys]), args=list(words[1 + keys :]))

    async def one() -> None:
        nonlocal number
        number += 1
        hold = f"plain-{number}"
        looks = [(time.time(), None)] * 2
        await call(asking("reserve", chain, hold, looks, (4_000_000, 1_000_000), nonce="n", when_lost="closed"))
        await call(settling(hold, chain.keys, 500_000))

    try:
        return await measured(one, server)
    finally:
        await client.aclose()


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--long", action="store_true", help="also a long run of the stress test")
    long = options.parse_args().long
    report = Report("budgets", f"Reserve and settle of one request, {AT_ONCE} at a time", SEED)
    server = RedisServer()
    server.start()
    try:
        batched = uvloop.run(our_way(server, PAID))
        report.row("headgate: batches of one turn", **batched)
        plain = uvloop.run(one_by_one(server))
        report.row("baseline: redis-py, one by one", **plain)
        report.row("no budget", **uvloop.run(our_way(server, FREE)))
    finally:
        server.close()
    report.aim("of the baseline's CPU", batched["cpu_us"] / plain["cpu_us"], at_most=0.6)
    if long:
        show_stress(report)
    report.note("wall_ms: from reserve to the next one of the same client; the disk's fsync is in it")
    report.finish()


def show_stress(report: Report) -> None:
    said = stress(Plan(seconds=75, seed=SEED, crash=0.0003, kills=30, restarts=10, scale=4))
    over_usd = 0.0
    for name in ("org", "team 0", "team 1", "team 2"):
        budget = said[name]
        assert isinstance(budget, dict)
        over_usd = max(over_usd, budget["over_nano"] / 1e9)
        report.row(
            f"stress: {name}",
            limit_usd=budget["limit_nano"] / 1e9,
            over_usd=budget["over_nano"] / 1e9,
            unspent=budget["unspent_share"],
            lost_by_crashes=budget["lost_by_crashes_share"],
        )
    deaths = f"{said['routers that died']} routers and {said['redis killed']} times Redis died"
    report.note(f"stress: 8 routers, 2,000 requests at once, {said['answers']} answers; {deaths}")
    org = said["org"]
    assert isinstance(org, dict)
    report.aim("USD above a hard budget", over_usd, at_most=0.0)
    report.aim("of the organisation's budget unspent", org["unspent_share"], at_most=0.02)


if __name__ == "__main__":
    main()
