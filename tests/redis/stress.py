"""Router processes that spend hard budgets on one Redis, while both are killed: is ever more spent than the budgets allow?

    python -m tests.redis.stress --routers 8 --requests 2000 --seconds 20 --seed 1

Prints one JSON object. Each "router" is a process with the router's own classes and 2,000/8 requests under way; what a request
really cost goes into a journal of its own, on the disk, before it is settled. The journals alone say what was spent: nothing of
Redis or of the router's memory counts. Routers die by SIGKILL at every step of a request, and at any other moment, and are
replaced; so does Redis, which confirms nothing that is not on its disk.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from router.admission.accounts import open_accounts
from router.admission.amounts import limit_nano
from router.admission.records import record_key
from router.admission.redis_accounts import RedisMoney
from router.config import BudgetSettings, RedisSettings
from router.errors import BudgetExhausted
from router.snapshot import Budget, Tenant
from tests.redis.server import RedisServer

ORG_USD, TEAM_USD = 8.0, (2.0, 3.0, 30.0)
LARGEST_USD, SMALLEST_USD = 0.004, 0.0002
QUIET_S = 2.0  # a router that was granted nothing for so long has seen the end


@dataclass
class Plan:
    """`crash` is the chance of dying at each step; `kills`, `restarts` are those of routers and of Redis by the supervisor;
    `scale` multiplies all budgets."""

    routers: int = 8
    requests: int = 2000
    seconds: float = 20.0
    seed: int = 1
    crash: float = 0.00015
    kills: int = 10
    restarts: int = 4
    scale: int = 1

    @property
    def org(self) -> Budget:
        return Budget("org", ORG_USD * self.scale, "", hard=True)

    @property
    def teams(self) -> tuple[Budget, ...]:
        return tuple(Budget(f"team {n}", usd * self.scale, "", hard=True) for n, usd in enumerate(TEAM_USD))

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        return tuple(Tenant(team.tenant, budgets=(team, self.org)) for team in self.teams)


@dataclass
class Journal:
    """One process's own record of what was spent. Lines of one turn of the loop go to the disk together."""

    path: Path
    lines: list[str] = field(default_factory=list)
    waiting: "asyncio.Future[None] | None" = None

    def __post_init__(self) -> None:
        self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def write(self, tenant: str, nano: int) -> None:
        self.lines.append(f"{tenant}\t{nano}\n")
        if self.waiting is None:
            self.waiting = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(self._flush, self.waiting)
        await asyncio.shield(self.waiting)

    def _flush(self, waiting: "asyncio.Future[None]") -> None:
        os.write(self.file, "".join(self.lines).encode())
        os.fsync(self.file)
        self.lines, self.waiting = [], None
        waiting.set_result(None)


class Router:
    """One process's requests."""

    def __init__(self, server: RedisServer, journal: Journal, plan: Plan, seed: int) -> None:
        settings, secret = RedisSettings(url=server.url, timeout_s=2.0), {"HEADGATE_REDIS_PASSWORD": server.password}
        money = open_accounts(settings, BudgetSettings(), secret)
        assert isinstance(money, RedisMoney)
        self.money, self.journal, self.plan, self.rng = money, journal, plan, Random(seed)
        self.tenants = plan.tenants
        self.granted_s = time.monotonic()
        self.until_s = self.granted_s + plan.seconds

    def may_die(self) -> None:
        if self.rng.random() < self.plan.crash:
            os.kill(os.getpid(), signal.SIGKILL)

    async def request(self) -> None:
        tenant = self.rng.choice(self.tenants)
        large = self.rng.uniform(SMALLEST_USD, LARGEST_USD)
        self.may_die()
        try:
            hold = await self.money.reserve("same id for all", tenant, (SMALLEST_USD, large))
        except BudgetExhausted as refused:
            if refused.retry_after_s is not None:  # Redis is away: that is not the end
                self.granted_s = time.monotonic()
            await asyncio.sleep(self.rng.uniform(0.05, 0.3))
            return
        self.granted_s = time.monotonic()
        self.may_die()
        await asyncio.sleep(self.rng.uniform(0.0, 0.2))
        nano = int(hold.usd * 1e9 * self.rng.choice((0.0, self.rng.random(), self.rng.random(), 1.0)))
        await self.journal.write(tenant.name, nano)
        self.may_die()
        self.money.settle(tenant, hold, nano / 1e9)
        if self.rng.random() < 0.05:
            self.money.settle(tenant, hold, 0.0)  # a second time: nothing
        self.may_die()

    async def client(self) -> None:
        while time.monotonic() < min(self.until_s, self.granted_s + QUIET_S):
            await self.request()

    async def run(self) -> None:
        running = asyncio.create_task(self.money.run())
        async with asyncio.TaskGroup() as clients:
            for _ in range(self.plan.requests // self.plan.routers):
                clients.create_task(self.client())
        if not await self.money.close(10.0):
            print("not all could be settled", file=sys.stderr)
        running.cancel()


def start_router(server: RedisServer, folder: Path, plan: Plan, number: int) -> int:
    """Forks: it must not take a second to start one anew."""
    if pid := os.fork():
        return pid
    try:
        asyncio.run(Router(server, Journal(folder / f"{number}.journal"), plan, plan.seed * 1000 + number).run())
    except BaseException:  # noqa: BLE001 - whatever it is, this process must not go on as its parent
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def supervise(server: RedisServer, folder: Path, plan: Plan) -> Counter[str]:
    """Until every router has seen the end, or the time is up. Counts what was killed."""
    rng, counts, began_s = Random(plan.seed), Counter[str](), time.monotonic()
    number = plan.routers
    running = [start_router(server, folder, plan, each) for each in range(plan.routers)]
    # Blows fall early, while there is money left to lose.
    until_s = min(plan.seconds / 2, 6.0 * plan.scale)
    blows = [(rng.uniform(0.5, until_s), "router") for _ in range(plan.kills)]
    blows = sorted(blows + [(rng.uniform(0.5, until_s), "redis") for _ in range(plan.restarts)])
    while running:
        if blows and time.monotonic() - began_s > blows[0][0]:
            _, whom = blows.pop(0)
            counts[f"{whom} killed"] += 1
            if whom == "redis":
                server.kill()
                time.sleep(rng.uniform(0.0, 0.3))
                server.start()
            else:
                os.kill(rng.choice(running), signal.SIGKILL)
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in running:
            running.remove(pid)
            if os.WIFSIGNALED(status):
                counts["routers that died"] += 1
                running.append(start_router(server, folder, plan, number))
                number += 1
            elif os.WEXITSTATUS(status):
                counts["routers that failed"] += 1
        time.sleep(0.01)
    return counts


def judge(server: RedisServer, folder: Path, plan: Plan, counts: Counter[str]) -> dict[str, object]:
    """What the journals say was spent, beside what Redis thinks."""
    spent: Counter[str] = Counter()
    lines = 0
    for journal in folder.glob("*.journal"):
        for line in journal.read_text().splitlines():
            tenant, nano = line.split("\t")
            spent[tenant] += int(nano)
            spent["org"] += int(nano)
            lines += 1
    said: dict[str, object] = {**counts, "answers": lines}
    with server.client() as client:
        for budget in (plan.org, *plan.teams):
            limit, record = limit_nano(budget.usd), client.hgetall(record_key(budget.tenant, ""))
            counted = int(record.get(b"spent", b"0"))
            said[budget.tenant] = {
                "limit_nano": limit,
                "spent_nano": spent[budget.tenant],
                "over_nano": max(0, spent[budget.tenant] - limit),
                "unspent_share": (limit - counted) / limit,
                "lost_by_crashes_share": (counted - spent[budget.tenant]) / limit,
                "lost_record": record.get(b"kind") == b"lost",
            }
    return said


def stress(plan: Plan) -> dict[str, object]:
    logging.getLogger("router").setLevel(logging.ERROR)  # Redis goes away all the time
    server = RedisServer()
    try:
        server.start()
        with tempfile.TemporaryDirectory() as folder:
            counts = supervise(server, Path(folder), plan)
            return judge(server, Path(folder), plan, counts)
    finally:
        server.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    for name, value in vars(Plan()).items():
        options.add_argument(f"--{name}", type=type(value), default=value)
    print(json.dumps(stress(Plan(**vars(options.parse_args()))), indent=1))
