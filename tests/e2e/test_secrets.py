"""Prompts, answers and keys stay out of logs, metrics and error texts, also when things go wrong."""

import hashlib
from pathlib import Path

import aiohttp

from tests.chaos.test_kill_worker import PACED, asks
from tests.stack import Stack

KEY, WRONG_KEY, SECRET = "sk-right-3f9a", "sk-wrong-77b1", "the-secret-word"


async def test_nothing_of_a_caller_is_told(tmp_path: Path) -> None:
    stack = Stack(tmp_path, PACED, replicas=2)
    stack.tenants = [{"name": "tests", "key_sha256": [hashlib.sha256(KEY.encode()).hexdigest()]}]
    body = asks(f"repeat: {SECRET} and more words so that it takes a while to say all of it")
    refused: list[str] = []
    async with stack, aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session:
        heard = await stack.chat(session, body, kill_after=2)
        assert SECRET in heard.text[0]
        assert heard.headgate["resumed"] == 1
        for fault in ({"temperature": SECRET}, {SECRET: 1}, {"max_tokens": 1, "min_tokens": 2}, {"model": SECRET}):
            answer = await stack.chat(session, {**body, **fault})
            refused.append(str(answer.error))
        async with session.post(f"{stack.url}/v1/headgate/quote", json={"model": "auto", **body}) as answer:
            assert answer.status == 200
            refused.append(await answer.text())
        judged = {"request_id": heard.headgate["request_id"], "better_than": WRONG_KEY}
        for verdict in (judged, {"request_id": WRONG_KEY, "score": 1.0}, {**judged, "score": body["messages"]}):
            async with session.post(f"{stack.url}/v1/headgate/feedback", json=verdict) as answer:
                assert answer.status in (400, 404)
                refused.append(await answer.text())
        async with session.get(f"{stack.url}/v1/headgate/budget") as answer:
            refused.append(await answer.text())
        stranger = {"authorization": f"Bearer {WRONG_KEY}"}
        async with session.post(f"{stack.url}/v1/chat/completions", json=body, headers=stranger) as answer:
            assert answer.status == 401
            refused.append(await answer.text())
        async with session.get(f"{stack.url}/metrics") as page:
            told = await page.text()
        await stack.all_up()
    told += "".join(file.read_text() for file in tmp_path.glob("*.log"))
    assert "lost replica" in told, "the logs are there"
    for secret in (KEY, WRONG_KEY, "and more words"):
        assert secret not in told
    for secret in (KEY, WRONG_KEY, "and more words"):
        assert not [text for text in refused if secret in text]
