"""The Redis of `headgate up`: when there is one, that it keeps what it was told, and that it goes with the stack."""

import asyncio
import io
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from cli.budget_set import budget_set
from cli.stack import own_redis as module
from cli.stack.config import Stack, load
from cli.stack.own_redis import OwnRedis, own_redis
from cli.supervision.backoff import Backoff
from cli.supervision.child import Program
from cli.supervision.log import Log
from cli.supervision.supervisor import Supervised
from router.admission.operating import records
from tests.redis.accounts import until

POOL = {"name": "small", "tier": "small", "models": ["m"], "engine": {"kind": "simulated"}}
PAYER: dict[str, Any] = {"name": "team", "key_sha256": ["0" * 64], "budget": {"usd": 5, "window": "day", "hard": True}}


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "home"))


def stack(folder: Path, **more: Any) -> Stack:
    file = folder / "headgate.yaml"
    file.write_text(yaml.safe_dump({"pools": [POOL], "tenants": [PAYER], **more}))
    return load(file)


def test_there_is_none_where_nobody_has_a_budget_or_another_is_named(tmp_path: Path) -> None:
    assert own_redis(stack(tmp_path, tenants=[{**PAYER, "budget": None}]), tmp_path, {}) is None
    assert own_redis(stack(tmp_path, tenants=[]), tmp_path, {}) is None
    assert own_redis(stack(tmp_path), tmp_path, {"HEADGATE_REDIS_URL": "redis://elsewhere"}) is None
    assert own_redis(stack(tmp_path, router={"redis": {"url": "redis://elsewhere"}}), tmp_path, {}) is None


def test_it_is_said_where_there_is_nothing_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "redis_program", lambda: None)
    own = own_redis(stack(tmp_path), tmp_path, {})
    assert own is not None
    assert own.program is None
    assert "hard ones are refused" in own.said
    assert "HEADGATE_REDIS_URL" in own.said


@pytest.fixture
def own(tmp_path: Path) -> OwnRedis:
    run = tmp_path / "run"
    run.mkdir()
    found = own_redis(stack(tmp_path), run, {})
    assert found is not None
    return found


def kept_running(program: Program, log: io.StringIO) -> Supervised:
    return Supervised(program, Log(log, colour=False), lambda: None, backoff=Backoff(first_s=0.05), rng=random.Random(1))


def client_of(own: OwnRedis) -> "redis.Redis":
    return redis.Redis.from_url(own.for_router["HEADGATE_REDIS_URL"], password=own.for_router["HEADGATE_REDIS_PASSWORD"])


@pytest.mark.requires("redis")
async def test_what_it_was_told_outlives_its_death_and_the_run(own: OwnRedis, tmp_path: Path) -> None:
    assert own.program is not None
    log = io.StringIO()
    for told in range(2):  # two runs of the same file
        kept = kept_running(own.program, log)
        running = asyncio.create_task(kept.run())
        await until(lambda kept=kept: kept.state.phase == "ready")
        with client_of(own) as client:
            assert client.incr("count") == 2 * told + 1
            pid = kept.state.said["pid"]
            os.kill(pid, signal.SIGKILL)
            await until(lambda kept=kept, pid=pid: kept.state.phase == "ready" and kept.state.said["pid"] != pid)
        with client_of(own) as client:
            assert client.incr("count") == 2 * told + 2
        budget_set("team", 1.5, "day", None, tmp_path / "headgate.yaml")  # finds it by its file
        url, password = own.for_router["HEADGATE_REDIS_URL"], own.for_router["HEADGATE_REDIS_PASSWORD"]
        assert records(url, password, "team")[0].spent_usd == 1.5
        await kept.stop()
        await running
    assert own.for_router["HEADGATE_REDIS_PASSWORD"] not in log.getvalue()
    left = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert all(own.for_router["HEADGATE_REDIS_PASSWORD"].encode() not in path.read_bytes() for path in left)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "home" / "state").glob("*/redis")} == {0}


@pytest.mark.requires("redis")
async def test_two_of_one_file_do_not_share_the_data(own: OwnRedis, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    second = own_redis(stack(tmp_path), tmp_path / "second", {})
    assert second is not None
    assert second.program is not None
    assert own.program is not None
    log = io.StringIO()
    one, two = kept_running(own.program, log), kept_running(second.program, log)
    first = asyncio.create_task(one.run())
    await until(lambda: one.state.phase == "ready")
    other = asyncio.create_task(two.run())
    await until(lambda: two.state.failures > 0)
    assert "in use by another `headgate up`" in log.getvalue()
    await asyncio.gather(one.stop(), two.stop())
    await asyncio.gather(first, other)
