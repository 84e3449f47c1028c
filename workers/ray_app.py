"""The same worker as a Ray Serve application: `import_path: workers.ray_app:app`, `args` as workers/ray/placement.py says.

Serve starts, places, watches and replaces the replicas. Tokens do not pass through it: each replica serves headgate.v1.Worker
on a port of its own, as every worker does, and routers dial that. Serve's own gRPC proxy costs several times the CPU per token
(docs/ray.md).
"""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from pathlib import Path

import ray
from ray import serve

from workers.config import WorkerConfig
from workers.engine import EngineFailed
from workers.engines import registry
from workers.ray.placement import RayArguments, on_node, place
from workers.worker import Worker

CLOSING_S = 10.0  # from the end of draining to the end of the engine
_HEALTH_EVERY_S = 2.0
_HEALTH_LIMIT_S = 10.0


class Replica:
    """One worker in one Serve replica. Serve counts it as running once the engine is ready, and not before."""

    async def __init__(self, arguments: RayArguments) -> None:  # type: ignore[misc] # Serve awaits it
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
        _take_back_threads()
        config = on_node(arguments, ray.util.get_node_ip_address())
        self._worker, self._drain_s = await _started(config), config.drain_s
        self._broken = asyncio.create_task(self._worker.broken())

    async def check_health(self) -> None:
        """Serve's question; a draining worker is well. Raises EngineFailed once the engine is broken, and Serve replaces it."""
        if self._broken.done():
            raise EngineFailed(self._broken.result())

    def __del__(self) -> Coroutine[None, None, None] | None:
        """Serve calls it when the replica must go and awaits what comes back, bounded by `graceful_shutdown_timeout_s`. Python
        calls it too, where there is nothing left to do."""
        worker: Worker | None = self.__dict__.pop("_worker", None)
        return self._leave(worker) if worker is not None else None

    async def _leave(self, worker: Worker) -> None:
        self._broken.cancel()
        await worker.drain(self._drain_s)
        await worker.close()


def _take_back_threads() -> None:
    """Ray sets OMP_NUM_THREADS to 1 for an actor that books no CPUs, where nobody has set it: an engine on CPUs crawls."""
    name = "OMP_NUM_THREADS"
    if f"{name}=".encode() not in Path("/proc/self/environ").read_bytes():  # what this process was started with
        os.environ.pop(name, None)


async def _started(config: WorkerConfig) -> Worker:
    """Raises EngineFailed where the engine can't start; nothing is left running then."""
    build = await asyncio.to_thread(registry.find, config.engine.kind)
    worker = Worker(config, build(config.engine, config.models))
    try:
        info = await worker.start()
    except BaseException:
        await worker.close()
        raise
    logging.getLogger("workers").info("serving %s with engine %s on %s", ", ".join(config.models), info.engine, worker.address)
    return worker


def app(arguments: RayArguments) -> serve.Application:
    """The application. The number of replicas is the deployment's own `num_replicas`: in `args` it would restart them all."""
    placement = place(arguments)
    deployment = serve.deployment(
        Replica,
        name="worker",
        ray_actor_options=dict(placement.actor),
        placement_group_bundles=[dict(bundle) for bundle in placement.bundles] or None,
        placement_group_strategy="PACK" if placement.bundles else None,
        health_check_period_s=_HEALTH_EVERY_S,
        health_check_timeout_s=_HEALTH_LIMIT_S,
        # No request passes through Serve, so there is none for it to wait for: the worker's own drain does the waiting.
        graceful_shutdown_wait_loop_s=0.01,
        graceful_shutdown_timeout_s=arguments.config.drain_s + CLOSING_S,
        # A changed application starts the new replica before the old one goes, where a node is free.
        max_surge_percent=100,
    )
    return deployment.bind(arguments)
