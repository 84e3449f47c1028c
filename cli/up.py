"""`headgate up`: runs a whole stack on this machine in the foreground, until a signal ends it."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from cli.errors import CommandError
from cli.fetching.model_store import path_of
from cli.stack.config import Stack, load
from cli.stack.on_ray import check_ray
from cli.stack.ports import GRPC, HTTP, check_free, named_port
from cli.stack.running import Endpoints, RunningStack, Runtime
from cli.stack.status import status_line
from cli.supervision.log import Log

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    file: Path, http_port: int | None, grpc_port: int | None, ready_file: Path | None, *, on: Runtime = "processes", check: bool
) -> None:
    """The command. Raises CommandError for what the user can mend."""
    if on == "ray":
        check_ray()
    stack = load(file, path_of).on_ports(named_port(HTTP, http_port), named_port(GRPC, grpc_port))
    if check:
        print(f"{file}: fine. {describe(stack)}")
        return
    if stack.http == stack.grpc and stack.http[1] != 0:
        todo = f"choose another with {HTTP.flag} or {GRPC.flag}"
        raise CommandError(f"HTTP and gRPC cannot share port {stack.http[1]}", todo=todo, exit_code=2)
    if ready_file is not None:
        _clear(ready_file)
    check_free(HTTP, stack.http)
    check_free(GRPC, stack.grpc)
    try:
        with tempfile.TemporaryDirectory(prefix="headgate-") as folder:
            asyncio.run(_serve(stack, Path(folder), ready_file, on))
    finally:
        if ready_file is not None:
            for left in (ready_file, ready_file.with_name(ready_file.name + ".new")):
                left.unlink(missing_ok=True)


def _clear(ready_file: Path) -> None:
    """Whoever waits for the file must not find the last run's; and better now than in a minute if it can't be written."""
    try:
        ready_file.unlink(missing_ok=True)
        ready_file.with_name(ready_file.name + ".new").touch()
    except OSError as fault:
        raise CommandError(f"--ready-file {ready_file}: cannot be written: {fault.strerror}", exit_code=2) from fault


def describe(stack: Stack) -> str:
    """The pools of a stack in one line."""
    texts = []
    for pool in stack.pools:
        engines: list[str] = sorted({replica.engine.kind for replica in pool.replicas}) or ["workers that run already"]
        count = len(pool.replicas) or len(pool.addresses)
        texts.append(f"{pool.name} ({pool.tier}): {count} × {', '.join(engines)}")
    return f"{len(stack.pools)} pool{'s' * (len(stack.pools) != 1)}: " + "; ".join(texts)


async def _serve(stack: Stack, folder: Path, ready_file: Path | None, on: Runtime) -> None:
    stopper = Stopper()
    width = max((len(pool.name) + 4 for pool in stack.pools), default=0)
    log = Log(sys.stdout, colour=_colour(), width=width, gone=stopper.stop)
    log.ours(f"starting {describe(stack)}{'; workers on Ray' * (on == 'ray')}; Ctrl-C ends it")
    status = StatusLines(log)
    running = RunningStack(stack, folder, log, on=on, on_change=lambda: status.show(running))
    stopper.watch(running, log)
    async with asyncio.TaskGroup() as group:
        announcing = group.create_task(_announce(running, log, ready_file), name="announces readiness")
        await running.run()
        announcing.cancel()
    log.ours("stopped")


async def _announce(running: RunningStack, log: Log, ready_file: Path | None) -> None:
    endpoints = await running.until_ready()
    log.ours(f"ready: OpenAI HTTP {endpoints.url}/v1 · gRPC {endpoints.grpc} · {endpoints.url}/metrics")
    log.ours(f'try: headgate ask "What is the capital of France?" --address {endpoints.grpc}')
    if ready_file is not None:
        write_ready_file(ready_file, endpoints, running)


def write_ready_file(path: Path, endpoints: Endpoints, running: RunningStack) -> None:
    """All or nothing, so that whoever waits for the file may read it at once."""
    said = {
        "http": endpoints.url,
        "grpc": endpoints.grpc,
        "pools": {pool.name: {"ready_replicas": pool.ready, "replicas": pool.total} for pool in running.pools()},
        "pid": os.getpid(),
    }
    unfinished = path.with_name(path.name + ".new")
    unfinished.write_text(json.dumps(said), encoding="utf-8")
    unfinished.replace(path)


class StatusLines:
    """Says how the stack stands whenever that changed."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._said = ""

    def show(self, running: RunningStack) -> None:
        line = status_line(running.router_state, running.pools())
        if line != self._said and not running.stopping:
            self._said = line
            self._log.ours(line)


class Stopper:
    """The first signal stops the stack in order, the second ends it at once. Owns the tasks that do it."""

    def __init__(self) -> None:
        self._running: RunningStack | None = None
        self._log: Log | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self, running: RunningStack, log: Log) -> None:
        self._running, self._log = running, log
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        if self._running is None or self._log is None or len(self._tasks) > 1:
            return
        if self._tasks:
            self._log.ours("ending everything now")
            self._tasks.append(asyncio.create_task(self._running.kill()))
        else:
            self._log.ours("stopping: the router finishes its answers, then the workers end (again: everything ends now)")
            self._tasks.append(asyncio.create_task(self._running.stop()))


def _colour() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not os.environ.get("NO_COLOR")
