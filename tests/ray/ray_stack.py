"""What tests of `headgate up --on ray` share: which process holds a replica, and an answer during which something happens."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.cli.stack_process import StackProcess, alive, until
from tests.stack import Heard, Stack


def pids(stack: StackProcess) -> dict[str, int]:
    """The processes that hold replicas now, by replica id, as their ready files say."""
    files = (file for file in stack.folder.glob("headgate-*/*.ready") if file.stem not in ("router", "ray"))
    said = {file.stem: json.loads(file.read_text())["pid"] for file in files}
    return {replica: pid for replica, pid in said.items() if alive(pid)}


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().strip("\0 ")


async def answered(
    stack: StackProcess, body: dict[str, Any], after: int = 0, act: Callable[[str], object] | None = None
) -> Heard:
    """One streamed answer. After `after` events with text `act` is called with the id of the replica that speaks."""
    heard = Heard()
    body = {"stream": True, "stream_options": {"include_usage": True}, "temperature": 0, **body}
    url = f"{stack.ready()['http']}/v1/chat/completions"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
        assert answer.status == 200, await answer.text()
        async for event in Stack.events(answer):
            heard.take(event)
            if act is not None and heard.spoken >= after:
                act(answer.headers["x-headgate-replica"])
                act = None
    return heard


def kill(stack: StackProcess, replica: str) -> None:
    os.kill(pids(stack)[replica], signal.SIGKILL)


def until_up(stack: StackProcess, replicas: int, other_than: dict[str, int]) -> None:
    """Until so many replicas run, and not all of them are those that ran before."""
    until(lambda: len(now := pids(stack)) == replicas and now != other_than)
