"""The whole stack as running programs: workers and a router under supervision, and the topology file between them.

Owns the run folder and the topology; a worker that is not ready is not in the topology. Prints nothing itself.
"""

import asyncio
import json
import os
import random
import site
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

import cli
import headgate
from cli.router_page import ready_replicas
from cli.stack.config import Replica, Stack, StackPool
from cli.stack.documents import CLOSING_S, router_document, topology_document, worker_document, worker_environment
from cli.stack.status import PoolStatus, pool_status
from cli.supervision.backoff import Backoff
from cli.supervision.child import Program
from cli.supervision.log import Log
from cli.supervision.supervisor import State, Supervised
from workers.config import VllmEngine

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

    def __init__(self, stack: Stack, folder: Path, log: Log, *, on_change: Callable[[], None] = lambda: None) -> None:
        self.stack = stack
        self.endpoints: Endpoints | None = None
        self.stopping = False
        self._folder = folder
        self._on_change = on_change
        self._version = 0
        self._topology: dict[str, str] | None = None
        rng = random.Random()
        self._workers = {
            replica.id: Supervised(self._worker(pool, index, replica), log, self._changed, backoff=Backoff(), rng=rng)
            for pool in stack.pools
            for index, replica in enumerate(pool.replicas)
        }
        self._router = Supervised(self._router_program(), log, self._changed, backoff=Backoff(), rng=rng)

    async def run(self) -> None:
        self._write_topology()
        self._write_router()
        async with asyncio.TaskGroup() as group:
            for supervised in (self._router, *self._workers.values()):
                group.create_task(supervised.run(), name=f"keeps {supervised.program.name}")

    async def stop(self) -> None:
        """The router first, so that it finishes its answers while the workers still serve; each bounded by its limit."""
        self.stopping = True
        await self._router.stop()
        await asyncio.gather(*(worker.stop() for worker in self._workers.values()))

    async def kill(self) -> None:
        """Everything ends now."""
        self.stopping = True
        await asyncio.gather(*(each.kill() for each in (self._router, *self._workers.values())))

    async def until_ready(self) -> Endpoints:
        """Returns once the router says that every pool has a ready replica. Waits for ever: the caller bounds it."""
        names = {pool.name for pool in self.stack.pools}
        while True:
            if self.endpoints is not None:
                ready = await asyncio.to_thread(ready_replicas, self.endpoints.url)
                if all(ready.get(name, 0) > 0 for name in names):
                    return self.endpoints
            await asyncio.sleep(_POLL_S)

    @property
    def router_state(self) -> State:
        return self._router.state

    def failing(self, failures: int) -> Supervised | None:
        """A program that ended this many times in a row without having served for long; None when there is none."""
        programs = (self._router, *self._workers.values())
        return next((each for each in programs if each.state.failures >= failures and each.state.phase != "ready"), None)

    def runs_vllm(self, pool: str) -> bool:
        return any(isinstance(r.engine, VllmEngine) for each in self.stack.pools if each.name == pool for r in each.replicas)

    def pools(self) -> tuple[PoolStatus, ...]:
        return tuple(
            pool_status(pool.name, [self._workers[replica.id].state for replica in pool.replicas], len(pool.addresses))
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
        serving = {key: str(w.state.said["address"]) for key, w in self._workers.items() if w.state.phase == "ready"}
        if serving != self._topology:
            self._topology = serving
            self._version += 1
            _write(self._folder / "topology.json", json.dumps(topology_document(self.stack, serving, self._version), indent=1))

    def _write_router(self) -> None:
        _write(self._folder / "router.yaml", yaml.safe_dump(router_document(self.stack, self._folder / "topology.json")))

    def _router_program(self) -> Program:
        return Program(
            name="router",
            command=_module("router", self._folder / "router.yaml", "--ready-file", str(self._folder / "router.ready")),
            ready_file=self._folder / "router.ready",
            environment=_surroundings(),
            start_limit_s=_ROUTER_START_S,
            stop_limit_s=self.stack.router_drain_s + CLOSING_S,
        )

    def _worker(self, pool: StackPool, index: int, replica: Replica) -> Program:
        config, ready_file = self._folder / f"{replica.id}.yaml", self._folder / f"{replica.id}.ready"
        _write(config, yaml.safe_dump(worker_document(self.stack, pool, replica, ready_file)))
        cores = len(os.sched_getaffinity(0))
        return Program(
            name=f"{pool.name}/{index}",
            command=_module("workers", config),
            ready_file=ready_file,
            environment=_surroundings() | worker_environment(self.stack, replica, cores, os.environ),
            start_limit_s=self.stack.worker_start_s,
            stop_limit_s=self.stack.worker_drain_s + CLOSING_S,
        )


def _module(name: str, config: Path, *more: str) -> tuple[str, ...]:
    # -P: a folder called "router" where the user stands must not be taken for ours.
    return (sys.executable, "-P", "-m", name, "--config", str(config), *more)


def _surroundings() -> dict[str, str]:
    """What every program needs: to find our packages, and to reach the others past any proxy (gRPC takes `http_proxy` for
    this machine's own addresses too)."""
    installed = {*site.getsitepackages(), site.getusersitepackages()}
    packages = (folder for each in (cli, headgate) if (folder := str(Path(each.__path__[0]).parent)) not in installed)
    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    direct = ",".join(filter(None, [listed, "127.0.0.1", "localhost", "::1"]))
    path = os.pathsep.join(dict.fromkeys(filter(None, [*packages, os.environ.get("PYTHONPATH", "")])))
    return {"no_proxy": direct, "NO_PROXY": direct, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _whole_address(said: str) -> str:
    """host:port as a URL needs it: an IPv6 host in brackets."""
    host, _, port = said.rpartition(":")
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else said


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _write(path: Path, text: str) -> None:
    """All or nothing: a reader never sees half of it."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
