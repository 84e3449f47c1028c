"""`python -m workers`: one worker process, from its settings to its last answer. They come from --config FILE, or else from the
environment variable HEADGATE_WORKER_CONFIG.

SIGTERM or Ctrl-C drains and exits with 0; a second one exits at once. Exit 1: the engine can't start or broke; 2: bad settings.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import uvloop

from workers import orphan
from workers.config import VARIABLE, ConfigError, WorkerConfig, load, load_variable, parse
from workers.engine import EngineFailed
from workers.engines import registry
from workers.tls import TlsUnusable
from workers.worker import Worker

_T = TypeVar("_T")
_log = logging.getLogger("workers")


class _Stop:
    """The wish to end, and how patiently."""

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s
        self.asked = asyncio.Event()

    def by_signal(self) -> None:
        if self.asked.is_set():
            orphan.leave_at_once()
        _log.info("draining, up to %g s; a second signal ends it at once", self.grace_s)
        self.asked.set()

    def orphaned(self) -> None:
        _log.info("the parent process is gone: leaving")
        self.grace_s = 0.0
        self.asked.set()

    async def before(self, work: Coroutine[object, object, _T]) -> _T | None:
        """The work's result, or None where the wish to end came first; the work is cancelled then."""
        task, asked = asyncio.create_task(work), asyncio.create_task(self.asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            asked.cancel()
            task.cancel()
            await asyncio.gather(task, asked, return_exceptions=True)


async def live(config: WorkerConfig, parent: int) -> int:
    """Runs one worker to its end; returns the exit status. Raises EngineFailed where the engine can't start, TlsUnusable where
    there is no usable certificate.
    """
    loop = asyncio.get_running_loop()
    stop = _Stop(config.drain_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.by_signal)
    if config.exit_with_parent:
        orphan.watch_parent(parent, partial(loop.call_soon_threadsafe, stop.orphaned))
    build = await stop.before(asyncio.to_thread(registry.find, config.engine.kind))
    if build is None:
        orphan.leave_at_once(0)  # the import can't be interrupted, and nobody waits for anything yet
    worker = Worker(config, build(config.engine, config.models))
    try:
        info = await stop.before(worker.start())
        if info is not None:
            kind = f"{info.engine} (simulated)" if info.simulated and info.engine != "simulated" else info.engine
            _log.info("serving %s with engine %s on %s", ", ".join(config.models), kind, worker.address)
            if (why := await stop.before(worker.broken())) is not None:
                raise EngineFailed(why)
            await worker.drain(stop.grace_s)
        return 0
    finally:
        await worker.close()


def main(arguments: Sequence[str] | None = None) -> int:
    parent = os.getppid()
    parser = argparse.ArgumentParser(prog="python -m workers", description="One Headgate worker: an engine behind gRPC.")
    parser.add_argument("--config", type=Path, help=f"settings, YAML (docs: workers/config.py); default: JSON in ${VARIABLE}")
    parser.add_argument("--listen", help="host:port, in place of the settings' own")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        config = load_variable(os.environ) if given.config is None else load(given.config)
        if given.listen is not None:
            config = parse({**config.model_dump(), "listen": given.listen}, "--listen")
    except ConfigError as fault:
        return _say(str(fault), 2)
    try:
        return uvloop.run(live(config, parent))
    except TlsUnusable as fault:
        return _say(str(fault), 2)
    except EngineFailed as fault:
        return _say(str(fault), 1)


def _say(what: str, status: int) -> int:
    sys.stderr.write(f"headgate worker: {what}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
