"""`headgate up` with budgets: it starts a Redis of its own, and what was spent outlives Redis and the run."""

import hashlib
import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cli.stack_process import LIMIT_S, StackProcess, below, pool, running, until

pytestmark = [pytest.mark.requires("redis"), pytest.mark.slow]

KEY = "a key of the team"
TENANTS = [
    {"name": "org", "budget": {"usd": 0.05, "window": "month", "hard": True}},
    {"name": "team", "parent": "org", "key_sha256": [hashlib.sha256(KEY.encode()).hexdigest()]},
]
DEAR = {"input_usd_per_mtok": 100.0, "output_usd_per_mtok": 400.0}
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(stack: StackProcess) -> tuple[int, dict[str, Any]]:
    """Up to 0.01 USD, so five fit and a sixth does not, whatever they really cost. Returns the status and the answer."""
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20, "ignore_eos": True}
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    url = f"{stack.ready()['http']}/v1/chat/completions"
    try:
        with _direct.open(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=LIMIT_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def redis_pid(stack: StackProcess) -> int:
    for pid in below(stack.process.pid):
        if Path(f"/proc/{pid}/comm").read_text().strip() in ("valkey-server", "redis-server"):
            return pid
    raise LookupError("no Redis")


def test_a_hard_budget_holds_over_the_death_of_redis_and_over_runs(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"tenants": TENANTS, "variables": {"HEADGATE_HOME": str(tmp_path / "home")}}
    with running(tmp_path, pool(prices=DEAR), **settings) as stack:
        status, said = ask(stack)
        assert status == 200, said
        (budget,) = said["headgate"]["budgets"]
        assert budget["tenant"] == "org"
        assert said["headgate"]["cost_usd"] <= budget["spent_usd"] <= 0.05
        assert "budgets are kept by" in stack.log
        first = redis_pid(stack)
        os.kill(first, signal.SIGKILL)
        until(lambda: stack.log.count("redis ended") + stack.log.count("redis was ended") + stack.log.count("redis exited"))
        until(lambda: ask(stack)[0] == 200)  # it is there again
        statuses = [ask(stack)[0] for _ in range(30)]
        assert 429 in statuses
        stack.process.send_signal(signal.SIGTERM)
        assert stack.process.wait(LIMIT_S) == 0
    stack.ready_file.unlink(missing_ok=True)
    with running(tmp_path, pool(prices=DEAR), **settings) as again:
        statuses = [ask(again)[0] for _ in range(5)]
        assert 429 in statuses  # not a new budget
        _, refused = ask(again)
        assert "org" in refused["error"]["message"]
        assert refused["error"]["code"] in ("budget_exceeded", "insufficient_quota")
