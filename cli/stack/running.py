"""The whole stack as running programs: workers and a router under supervision, and the topology file between them.

Owns the run folder and the topology; a worker that is not ready is not in the topology. Prints nothing itself.
"""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from cli.router_page import ready_replicas
from cli.stack.config import Stack
from cli.stack.documents import CLOSING_S, router_document, topology_document
from cli.stack.launching import module, surroundings, write_whole
from cli.stack.on_ray import RayWorkers
from cli.stack.own_redis import own_redis
from cli.stack.status import PoolStatus, pool_status
from cli.stack.workers import ProcessWorkers, Workers
from cli.supervision.backoff import Backoff
from cli.supervision.child import Program
from cli.supervision.log import Log
from cli.supervision.supervisor import State, Supervised
from workers.config import VllmEngine

Runtime = Literal["processes", "ray"]
RUNTIMES: dict[Runtime, Callable[[Stack, Path, Log, Callable[[], None]], Workers]] = {
    "processes": ProcessWorkers,
    "ray": RayWorkers,
}
_ROUTER_START_S = 60.0
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the router listens, as host:port."""

    http: str
    grpc: str

    @property
    def url(self) -> str:
        return f"http://{self.http}"


class RunningStack:
    """Made on the event loop; `run` starts everything and returns once all has ended after `stop` or `kill`."""

    def __init__(
        self, stack: Stack, folder: Path, log: Log, *, on: Runtime = "processes", on_change: Callable[[], None] = lambda: None
    ) -> None:
        self.stack = stack
        self.endpoints: Endpoints | None = None
        self.stopping = False
        self._folder = folder
        self._on_change = on_change
        self._version = 0
        self._topology: dict[str, str] | None = None
        self._for_router: Mapping[str, str] = {}
        self._workers: Workers = RUNTIMES[on](stack, folder, log, self._changed)
        self._redis = self._own_redis(folder, log)
        self._router = Supervised(self._router_program(), log, self._changed, backoff=Backoff(), rng=random.Random())

    async def run(self) -> None:
        self._write_topology()
        self._write_router()
        async with asyncio.TaskGroup() as group:
            if self._redis is not None:
                group.create_task(self._redis.run(), name="keeps Redis")
            group.create_task(self._router.run(), name="keeps router")
            group.create_task(self._workers.run(), name="keeps the workers")

    async def stop(self) -> None:
        """The router first, so that it finishes its answers while the others still serve; each bounded by its limit."""
        self.stopping = True
        await self._router.stop()
        await self._workers.stop()
        if self._redis is not None:
            await self._redis.stop()

    async def kill(self) -> None:
        """Everything ends now."""
        self.stopping = True
        await asyncio.gather(self._router.kill(), self._workers.kill(), *([self._redis.kill()] if self._redis else []))

    async def until_ready(self) -> Endpoints:
        """Returns once the router says that every pool has a ready replica. Waits for ever: the caller bounds it."""
        names = {pool.name for pool in self.stack.pools}
        while True:
            if self.endpoints is not None and (self._redis is None or self._redis.state.phase == "ready"):
                ready = await asyncio.to_thread(ready_replicas, self.endpoints.url)
                if all(ready.get(name, 0) > 0 for name in names):
                    return self.endpoints
            await asyncio.sleep(_POLL_S)

    @property
    def router_state(self) -> State:
        return self._router.state

    def failing(self, failures: int) -> Supervised | None:
        """A program that ended this many times in a row without having served for long; None when there is none."""
        programs = (*([self._redis] if self._redis is not None else []), self._router, *self._workers.programs())
        return next((each for each in programs if each.state.failures >= failures and each.state.phase != "ready"), None)

    def runs_vllm(self, pool: str) -> bool:
        return any(isinstance(r.engine, VllmEngine) for each in self.stack.pools if each.name == pool for r in each.replicas)

    def pools(self) -> tuple[PoolStatus, ...]:
        states = self._workers.states()
        return tuple(
            pool_status(pool.name, [states[replica.id] for replica in pool.replicas], len(pool.addresses))
            for pool in self.stack.pools
        )

    def _changed(self) -> None:
        if self.endpoints is None and self._router.state.phase == "ready":
            said = self._router.state.said
            self.endpoints = Endpoints(_whole_address(said["http"]), _whole_address(said["grpc"]))
            # A port taken as "any free one" is kept for the router's next life: clients know it now.
            self.stack = self.stack.on_ports(_port(self.endpoints.http), _port(self.endpoints.grpc))
            self._write_router()
        self._write_topology()
        self._on_change()

    def _write_topology(self) -> None:
        serving = {key: str(s.said["address"]) for key, s in self._workers.states().items() if s.phase == "ready"}
        if serving != self._topology:
            self._topology = serving
            self._version += 1
            write_whole(
                self._folder / "topology.json", json.dumps(topology_document(self.stack, serving, self._version), indent=1)
            )

    def _write_router(self) -> None:
        write_whole(self._folder / "router.yaml", yaml.safe_dump(router_document(self.stack, self._folder / "topology.json")))

    def _own_redis(self, folder: Path, log: Log) -> Supervised | None:
        own = own_redis(self.stack, folder)
        if own is None:
            return None
        log.ours(own.said)
        self._for_router = own.for_router
        if own.program is None:
            return None
        return Supervised(own.program, log, self._changed, backoff=Backoff(), rng=random.Random())

    def _router_program(self) -> Program:
        return Program(
            name="router",
            command=module("router", self._folder / "router.yaml", "--ready-file", str(self._folder / "router.ready")),
            ready_file=self._folder / "router.ready",
            environment={**surroundings(), **self._for_router},
            start_limit_s=_ROUTER_START_S,
            stop_limit_s=self.stack.router_drain_s + CLOSING_S,
        )


def _whole_address(said: str) -> str:
    """host:port as a URL needs it: an IPv6 host in brackets."""
    host, _, port = said.rpartition(":")
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else said


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
