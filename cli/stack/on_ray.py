"""The workers of a stack as Ray Serve applications: one supervised program holds a Ray of its own, Serve keeps the workers.

A worker says where it listens in its ready file, as it does without Ray. Serve starts it again when it dies, so it may come
back at another address without anything here having ended.
"""

import asyncio
import importlib.util
import json
import os
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from cli.errors import CommandError
from cli.stack.config import Stack
from cli.stack.documents import CLOSING_S, ray_document
from cli.stack.launching import module, surroundings, write_whole
from cli.supervision.backoff import Backoff
from cli.supervision.child import Program
from cli.supervision.log import Log
from cli.supervision.supervisor import State, Supervised

_RAY_START_S = 180.0
_RAY_CLOSING_S = 20.0
_LOOK_EVERY_S = 0.1


def check_ray() -> None:
    """Raises CommandError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        todo = "`make ray` in a clone, or: pip install 'headgate[ray]'"
        raise CommandError("--on ray needs Ray, which is not installed here", todo=todo, exit_code=2)


class RayWorkers:
    """The Workers of `workers.py`, on Ray."""

    def __init__(self, stack: Stack, folder: Path, log: Log, on_change: Callable[[], None]) -> None:
        self._ready_files = {replica.id: folder / f"{replica.id}.ready" for pool in stack.pools for replica in pool.replicas}
        self._said: dict[str, dict[str, Any]] = {}
        self._on_change = on_change
        config, ready_file = folder / "ray.yaml", folder / "ray.ready"
        cores = len(os.sched_getaffinity(0))
        write_whole(config, yaml.safe_dump(ray_document(stack, ready_file, self._ready_files, cores, os.environ)))
        program = Program(
            name="ray",
            command=module("workers.ray.local", config),
            ready_file=ready_file,
            environment=surroundings(),
            start_limit_s=_RAY_START_S,
            stop_limit_s=stack.worker_drain_s + CLOSING_S + _RAY_CLOSING_S,
        )
        self._ray = Supervised(program, log, on_change, backoff=Backoff(), rng=random.Random())

    def states(self) -> Mapping[str, State]:
        """A worker without a word is where Ray is, or starting where Ray is ready."""
        ray = self._ray.state
        silent = replace(ray, said={}, phase="starting" if ray.phase == "ready" else ray.phase)
        return {
            replica: State("ready", self._said[replica]) if replica in self._said else silent for replica in self._ready_files
        }

    def programs(self) -> tuple[Supervised, ...]:
        return (self._ray,)

    async def run(self) -> None:
        watching = asyncio.create_task(self._watch(), name="watches the workers on Ray")
        try:
            await self._ray.run()
        finally:
            watching.cancel()

    async def stop(self) -> None:
        await self._ray.stop()

    async def kill(self) -> None:
        await self._ray.kill()

    async def _watch(self) -> None:
        while True:
            said = {replica: told for replica, file in self._ready_files.items() if (told := _living(file))}
            if said != self._said:
                self._said = said
                self._on_change()
            await asyncio.sleep(_LOOK_EVERY_S)


def _living(ready_file: Path) -> dict[str, Any] | None:
    """What the worker said, while its process lives: one that was killed leaves its file behind."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        said: dict[str, Any] = json.loads(ready_file.read_text(encoding="utf-8"))
        os.kill(int(said["pid"]), 0)
        return said
    return None
