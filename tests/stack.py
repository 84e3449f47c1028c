"""A router and its workers as real processes on this machine, to be killed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

ROOT = Path(__file__).resolve().parents[1]
ENV = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}", "PYTHONUNBUFFERED": "1"}


@dataclass
class Heard:
    """What a client received of one answer, choice by choice."""

    text: dict[int, str] = field(default_factory=dict)
    finish: dict[int, str] = field(default_factory=dict)
    logprobs: int = 0
    spoken: int = 0
    usage: dict[str, Any] = field(default_factory=dict)
    headgate: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None

    def take(self, event: dict[str, Any]) -> None:
        """Adds one event; `spoken` counts those that carried text."""
        self.error = event.get("error", self.error)
        self.usage = event.get("usage") or self.usage
        self.headgate = event.get("headgate") or self.headgate
        for choice in event.get("choices", []):
            index, text = choice["index"], choice["delta"].get("content") or ""
            self.text[index] = self.text.get(index, "") + text
            self.spoken += bool(text)
            self.logprobs += len((choice.get("logprobs") or {}).get("content") or ())
            if choice.get("finish_reason"):
                self.finish[index] = choice["finish_reason"]


class Stack:
    """One pool named `pool` behind one router. Workers keep their id over a restart, not their port."""

    def __init__(self, folder: Path, engine: dict[str, Any], replicas: int, start_s: float = 30.0, **failover: float) -> None:
        self.folder, self.engine, self.start_s = folder, engine, start_s
        self.failover = {"wait_s": 2 * start_s, **failover}
        self.tenants: list[dict[str, Any]] = []
        self.tls: Path | None = None  # a folder with certificates; set before entering
        self.ids = [f"pool/{number}" for number in range(replicas)]
        self.addresses: dict[str, str] = {}
        self.workers: dict[str, Process] = {}
        self.router: Process | None = None
        self.url = self.grpc = ""
        self._restarts: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Stack":
        await asyncio.gather(*map(self._start_worker, self.ids))
        config = {
            "topology": {"file": str(self.folder / "topology.json")},
            "http": {"port": 0},
            "grpc": {"port": 0},
            "failover": self.failover,
            **self._secured(),
        }
        self.router, ready = await self._spawn("router", "router", config, ["--ready-file", str(self.folder / "router.ready")])
        self.url, self.grpc = f"http://{ready['http']}", ready["grpc"]
        async with asyncio.timeout(self.start_s), aiohttp.ClientSession() as session:
            while (await session.get(f"{self.url}/readyz")).status != 200:
                await asyncio.sleep(0.02)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._restarts:
            task.cancel()
        await asyncio.gather(*self._restarts, return_exceptions=True)
        for process in [*self.workers.values(), self.router]:
            if process is not None and process.returncode is None:
                process.kill()
                await process.wait()

    async def _spawn(self, name: str, module: str, config: dict[str, Any], extra: list[str]) -> tuple[Process, dict[str, Any]]:
        path = self.folder / f"{name.replace('/', '-')}.yaml"
        ready = self.folder / f"{name.replace('/', '-')}.ready"
        ready.unlink(missing_ok=True)
        path.write_text(yaml.safe_dump(config))
        with (self.folder / f"{name.replace('/', '-')}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, "--config", str(path), *extra, stdout=log, stderr=log, env=ENV
            )
        async with asyncio.timeout(self.start_s):
            while not ready.exists():
                if process.returncode is not None:
                    raise RuntimeError(f"{name} ended at start: {Path(log.name).read_text()[-2000:]}")
                await asyncio.sleep(0.01)
        return process, json.loads(ready.read_text())

    async def _start_worker(self, replica: str) -> None:
        ready = self.folder / f"{replica.replace('/', '-')}.ready"
        config = {"models": ["the-model"], "engine": self.engine, "ready_file": str(ready), "exit_with_parent": True}
        config |= self._secured()
        self.workers[replica], told = await self._spawn(replica, "workers", config, [])
        self.addresses[replica] = told["address"]
        self._write_topology()

    def _secured(self) -> dict[str, Any]:
        return {"tls": {"folder": str(self.tls)}} if self.tls is not None else {}

    def _write_topology(self) -> None:
        replicas = [{"id": name, "address": address} for name, address in sorted(self.addresses.items())]
        prices = {"input_usd_per_mtok": 1.0, "cached_input_usd_per_mtok": 0.1, "output_usd_per_mtok": 10.0}
        pool = {"name": "pool", "tier": "small", "models": ["the-model"], "prices": prices, "replicas": replicas}
        fresh = self.folder / "topology.new"
        fresh.write_text(json.dumps({"pools": [pool], "tenants": self.tenants}))
        fresh.replace(self.folder / "topology.json")

    async def kill(self, replica: str) -> None:
        """SIGKILL, as the out-of-memory killer would; a fresh process takes its place in the background."""
        process = self.workers[replica]
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()
        task = asyncio.create_task(self._start_worker(replica))
        self._restarts.add(task)

    async def all_up(self) -> None:
        await asyncio.gather(*self._restarts)
        self._restarts.clear()

    @staticmethod
    async def events(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
        """The JSON of each server-sent event."""
        async for line in answer.content:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])

    async def chat(self, session: aiohttp.ClientSession, body: dict[str, Any], kill_after: int | None = None) -> Heard:
        """Streams one answer. After `kill_after` events with text, the replica that serves it is killed."""
        heard = Heard()
        body = {"model": "pool", "stream": True, "stream_options": {"include_usage": True}, **body}
        async with session.post(f"{self.url}/v1/chat/completions", json=body) as answer:
            if answer.status != 200:
                heard.error = {"status": answer.status, "text": await answer.text()}
                return heard
            async for event in self.events(answer):
                heard.take(event)
                if kill_after is not None and heard.spoken >= kill_after:
                    kill_after = None
                    await self.kill(answer.headers["x-headgate-replica"])
        return heard
