"""The workers of a stack, whoever runs them: here, each as a process of its own. `on_ray.py` has the other way."""

import asyncio
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import yaml

from cli.stack.config import Replica, Stack, StackPool
from cli.stack.documents import CLOSING_S, worker_document, worker_environment
from cli.stack.launching import module, surroundings, write_whole
from cli.supervision.backoff import Backoff
from cli.supervision.child import Program
from cli.supervision.log import Log
from cli.supervision.supervisor import State, Supervised


class Workers(Protocol):
    """Runs a stack's workers until stopped. Changes are told to the callback that the maker was given."""

    def states(self) -> Mapping[str, State]:
        """How each worker stands, by replica id; one that serves says its `address`."""
        ...

    def programs(self) -> tuple[Supervised, ...]:
        """The programs that are kept running for it."""
        ...

    async def run(self) -> None:
        """Returns once all have ended after `stop` or `kill`."""
        ...

    async def stop(self) -> None: ...

    async def kill(self) -> None: ...


class ProcessWorkers:
    """One supervised process for each replica."""

    def __init__(self, stack: Stack, folder: Path, log: Log, on_change: Callable[[], None]) -> None:
        rng = random.Random()
        self._supervised = {
            replica.id: Supervised(_program(stack, folder, pool, index, replica), log, on_change, backoff=Backoff(), rng=rng)
            for pool in stack.pools
            for index, replica in enumerate(pool.replicas)
        }

    def states(self) -> Mapping[str, State]:
        return {replica: supervised.state for replica, supervised in self._supervised.items()}

    def programs(self) -> tuple[Supervised, ...]:
        return tuple(self._supervised.values())

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for supervised in self.programs():
                group.create_task(supervised.run(), name=f"keeps {supervised.program.name}")

    async def stop(self) -> None:
        await asyncio.gather(*(each.stop() for each in self.programs()))

    async def kill(self) -> None:
        await asyncio.gather(*(each.kill() for each in self.programs()))


def _program(stack: Stack, folder: Path, pool: StackPool, index: int, replica: Replica) -> Program:
    config, ready_file = folder / f"{replica.id}.yaml", folder / f"{replica.id}.ready"
    write_whole(config, yaml.safe_dump(worker_document(stack, pool, replica, ready_file)))
    cores = len(os.sched_getaffinity(0))
    return Program(
        name=f"{pool.name}/{index}",
        command=module("workers", config),
        ready_file=ready_file,
        environment=surroundings() | worker_environment(stack, replica, cores, os.environ),
        start_limit_s=stack.worker_start_s,
        stop_limit_s=stack.worker_drain_s + CLOSING_S,
    )
