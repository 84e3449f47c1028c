"""`headgate demo`: starts three pools, sends a handful of prompts, shows every answer, decision and cost, and stays up.

Owns the order of things and the progress shown meanwhile; what is run, asked and drawn is in the other demo_*.py.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TextIO

from rich.console import Console

from cli.demo import report
from cli.demo.clients import ask
from cli.demo.prompts import PROMPTS
from cli.demo.stack import demo_stack
from cli.errors import CommandError
from cli.fetching.model_store import home, path_of
from cli.stack.config import Stack
from cli.stack.ports import GRPC, HTTP, Door, busy, check_free, named_port
from cli.stack.running import Endpoints, RunningStack
from cli.stack.status import status_line
from cli.supervision.log import Log

# A program that fails this often at the start will not do better the next time.
_HOPELESS = 2
_LOOK_S = 0.25
_INTERRUPTED = 130
_PLAIN_LINE_EVERY_S = 15.0


def demo(http_port: int | None, grpc_port: int | None, *, once: bool) -> None:
    """The command. Raises CommandError for what the user can mend, SystemExit(1) when an answer failed."""
    screen = report.console()
    chosen = demo_stack(os.environ, path_of)
    stack, moved = _with_ports(chosen.stack, http_port, grpc_port)
    screen.print(report.header(stack, (*chosen.notes, *moved)))
    with tempfile.TemporaryDirectory(prefix="headgate-demo-") as folder:
        log_file = _log_file(Path(folder))
        with log_file.open("w", encoding="utf-8") as stream:
            code = asyncio.run(_Demo(stack, Path(folder), screen, log_file, stream).run(once=once))
    if code:
        sys.exit(code)


def _with_ports(stack: Stack, http_port: int | None, grpc_port: int | None) -> tuple[Stack, list[str]]:
    """Ports that the user names are taken or complained about; the default ones give way when they are busy."""
    notes, chosen = [], []
    for door, flag, (host, default) in ((HTTP, http_port, stack.http), (GRPC, grpc_port, stack.grpc)):
        port = named_port(door, flag)
        if port is not None:
            check_free(door, (host, port))
        elif busy(host, default):
            notes.append(_moved(door, default))
            port = 0
        chosen.append(port)
    return stack.on_ports(chosen[0], chosen[1]), notes


def _moved(door: Door, port: int) -> str:
    return f"port {port} ({door.what}) is in use here, so a free one is taken; choose one with {door.flag} or {door.variable}"


def _log_file(otherwise: Path) -> Path:
    """Where everything that the programs print goes; kept after the end where there is a place to keep it."""
    folder = home() / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "demo.log").touch()
    except OSError:
        return otherwise / "demo.log"
    return folder / "demo.log"


class _Demo:
    """One run of the demo. `run` returns the exit code, with everything ended."""

    def __init__(self, stack: Stack, folder: Path, screen: Console, log_file: Path, stream: TextIO) -> None:
        self._screen = screen
        self._log_file = log_file
        self._running = RunningStack(stack, folder, Log(stream, colour=False))
        self._code: int | None = None
        self._ending: list[asyncio.Task[None]] = []

    async def run(self, *, once: bool) -> int:
        keeping = asyncio.create_task(self._running.run(), name="keeps the stack running")
        showing = asyncio.create_task(self._show(once=once), name="shows the demo")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._interrupt, showing)
        await asyncio.wait({keeping, showing}, return_when=asyncio.FIRST_COMPLETED)
        showing.cancel()
        await self._running.stop()
        await keeping
        await asyncio.wait({showing})
        if showing.cancelled():
            self._screen.print("stopped; nothing is left running")
            return _INTERRUPTED if self._code is None else self._code
        return showing.result()

    def _interrupt(self, showing: "asyncio.Task[int]") -> None:
        if showing.cancelling() or showing.done():
            self._ending.append(asyncio.create_task(self._running.kill()))
        else:
            showing.cancel()
            self._screen.print("\nstopping (Ctrl-C again: everything ends now) …")

    async def _show(self, *, once: bool) -> int:
        endpoints = await self._start()
        asked, failures = [], 0
        for number, prompt in enumerate(PROMPTS, 1):
            try:
                answer = await asyncio.to_thread(ask, prompt, endpoints)
            except CommandError as fault:
                failures += 1
                self._screen.print(report.failed(number, prompt, fault.message))
                continue
            asked.append((prompt, answer))
            self._screen.print(report.block(number, prompt, answer))
        if asked:
            self._screen.print(report.decisions(asked, self._screen.width), "", report.honesty(asked))
        if failures:
            self._screen.print(
                f"{failures} of {len(PROMPTS)} answers failed; the programs' own words: {self._log_file}", style="red"
            )
        self._code = 1 if failures else 0
        if not once:
            await self._stay(endpoints)
        return self._code

    async def _stay(self, endpoints: Endpoints) -> None:
        self._screen.print(report.next_steps(endpoints, self._log_file), soft_wrap=True)
        self._screen.print("Up until Ctrl-C.", style="bold")
        await asyncio.Event().wait()

    async def _start(self) -> Endpoints:
        """Waits until every pool answers, and says meanwhile what takes so long. Raises CommandError when it is hopeless."""
        began_s = said_s = time.monotonic()
        said = ""
        waiting = asyncio.create_task(self._running.until_ready(), name="waits for all pools")
        try:
            with self._screen.status("starting …") as spinner:
                while not waiting.done():
                    line, now_s = self._progress(), time.monotonic()
                    spinner.update(f"{line} · {now_s - began_s:.0f} s")
                    if not _animated(self._screen) and (line != said or now_s - said_s > _PLAIN_LINE_EVERY_S):
                        self._screen.print(f"starting ({now_s - began_s:.0f} s): {line}")
                        said, said_s = line, now_s
                    self._give_up_if_hopeless()
                    await asyncio.wait({waiting}, timeout=_LOOK_S)
        finally:
            waiting.cancel()
        endpoints = waiting.result()
        self._screen.print(
            f"ready after {time.monotonic() - began_s:.0f} s: {endpoints.url}/v1 (OpenAI) and {endpoints.grpc} (gRPC)\n"
        )
        return endpoints

    def _progress(self) -> str:
        pools = self._running.pools()
        line = status_line(self._running.router_state, pools)
        loading = [p.name for p in pools if p.ready < p.total and self._running.runs_vllm(p.name)]
        return f"{line} · {' and '.join(loading)}: vLLM loads its model, 20 to 60 s on a CPU" if loading else line

    def _give_up_if_hopeless(self) -> None:
        failing = self._running.failing(_HOPELESS)
        if failing is not None:
            lines = "\n".join(f"  | {line}" for line in failing.state.last_lines[-12:])
            text = f"{failing.program.name} {failing.state.why}, {failing.state.failures} times. Its last lines:\n{lines}"
            raise CommandError(text, todo=f"everything that was printed is in {self._log_file}")


def _animated(screen: Console) -> bool:
    return screen.is_terminal and not screen.is_dumb_terminal
