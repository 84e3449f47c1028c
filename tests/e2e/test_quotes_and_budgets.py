"""What callers see of money, through a real router to a real worker process: over HTTP, gRPC and the command line."""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from headgate.v1 import inference_pb2
from headgate.v1.inference_pb2_grpc import InferenceStub
from tests.stack import ENV, ROOT, Stack

SOFT, CHILD, HARD = "sk-soft", "sk-child", "sk-hard"


def tenant(name: str, key: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "key_sha256": [hashlib.sha256(key.encode()).hexdigest()], **fields}


@pytest.fixture
async def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    """Without a Redis: soft budgets are counted by the router itself, hard ones can't be kept."""
    for name in ("HEADGATE_REDIS_URL", "HEADGATE_REDIS_PASSWORD"):
        monkeypatch.delitem(ENV, name, raising=False)
    stack = Stack(tmp_path, {"kind": "simulated", "profile": "instant"}, replicas=1)
    stack.tenants = [
        tenant("soft", SOFT, budget={"usd": 0.001, "window": "day"}),
        tenant("child", CHILD, parent="soft", budget={"usd": 5.0}),
        tenant("hard", HARD, budget={"usd": 1.0, "window": "day", "hard": True}),
    ]
    async with stack:
        yield stack


def asking(**fields: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}], "max_tokens": 20, **fields}


async def call(stack: Stack, key: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any, Any]:
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {key}"}) as session:
        method = session.get if body is None else session.post
        async with method(stack.url + path, **({} if body is None else {"json": body})) as answer:
            return answer.status, await answer.json(), answer.headers


async def test_a_quote_holds_and_what_is_spent_is_seen_everywhere(stack: Stack) -> None:
    _, quote, _ = await call(stack, CHILD, "/v1/headgate/quote", asking())
    (option,) = quote["options"]
    assert (option["pool"], quote["refusal"]) == ("pool", "")
    assert [(budget["tenant"], budget["spent_usd"]) for budget in quote["budgets"]] == [("child", 0), ("soft", 0)]
    status, answer, headers = await call(stack, CHILD, "/v1/chat/completions", asking())
    assert status == 200
    cost_usd = answer["headgate"]["cost_usd"]
    assert 0 < cost_usd <= option["max_cost_usd"]
    assert float(headers["x-headgate-budget-limit-usd"]) == 0.001
    _, told, _ = await call(stack, CHILD, "/v1/budget")
    assert [budget["spent_usd"] for budget in told["budgets"]] == pytest.approx([cost_usd, cost_usd])
    assert [budget["hard"] for budget in told["budgets"]] == [False, False]
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        metadata = (("authorization", f"Bearer {SOFT}"),)
        (own,) = (await InferenceStub(channel).Budget(inference_pb2.BudgetRequest(), metadata=metadata)).budgets
    assert (own.tenant, own.spent_usd) == ("soft", pytest.approx(cost_usd))
    async with aiohttp.ClientSession() as session, session.get(f"{stack.url}/metrics") as page:
        metrics = await page.text()
    assert 'headgate_router_budget_limit_usd{tenant="child",window=""} 5.0' in metrics
    assert 'headgate_router_request_cost_usd_total{pool="pool",tenant="child"}' in metrics


async def test_a_soft_budget_that_is_spent_refuses_nobody(stack: Stack) -> None:
    for _ in range(8):
        status, answer, headers = await call(stack, SOFT, "/v1/chat/completions", asking(max_tokens=40))
        assert status == 200
    (own,) = answer["headgate"]["budgets"]
    assert own["spent_usd"] > own["limit_usd"]
    assert (own["remaining_usd"], headers["x-headgate-budget-remaining-usd"]) == (0, "0")


async def test_a_hard_budget_that_can_not_be_kept_refuses_and_says_why(stack: Stack) -> None:
    status, answer, headers = await call(stack, HARD, "/v1/chat/completions", asking())
    error = answer["error"]
    assert (status, error["type"], error["code"]) == (429, "insufficient_quota", "budget_exceeded")
    assert "hard" in error["message"]
    assert headers["x-should-retry"] == "false"
    assert HARD not in str(answer)


async def test_the_better_of_two_answers(stack: Stack) -> None:
    ids = [(await call(stack, SOFT, "/v1/chat/completions", asking()))[1]["headgate"]["request_id"] for _ in range(2)]
    prefers = {"request_id": ids[0], "better_than": ids[1]}
    assert (await call(stack, SOFT, "/v1/headgate/feedback", prefers))[0] == 200
    status, answer, _ = await call(stack, CHILD, "/v1/headgate/feedback", prefers)
    assert (status, answer["error"]["param"]) == (404, "request_id")
    status, answer, _ = await call(stack, SOFT, "/v1/headgate/feedback", {**prefers, "better_than": "never"})
    assert (status, answer["error"]["param"]) == (404, "better_than")


async def headgate(stack: Stack, key: str, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "cli", *arguments, "--address", stack.grpc]
    environment = {**ENV, "HEADGATE_API_KEY": key, "COLUMNS": "120", "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_line(stack: Stack) -> None:
    code, out, _ = await headgate(stack, CHILD, "quote", "Why?", "--max-tokens", "20")
    assert (code, "→  pool" in out, "soft" in out) == (0, True, True)
    code, out, _ = await headgate(stack, CHILD, "quote", "Why?", "--json")
    assert json.loads(out)["options"][0]["pool"] == "pool"
    code, out, err = await headgate(stack, CHILD, "ask", "Why?", "--explain", "--max-tokens", "5")
    assert (code, "budget" in err) == (0, True)
    code, out, _ = await headgate(stack, CHILD, "budget")
    assert (code, "child" in out, "0.00100 a day" in out) == (0, True, True)
    code, out, err = await headgate(stack, HARD, "ask", "Why?")
    assert (code, "see `headgate budget`" in err, "Traceback" in err) == (1, True, False)
