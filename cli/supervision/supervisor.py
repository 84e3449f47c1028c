"""Keeps programs running: starts each, waits until it serves, starts it again after a growing pause when it ends.

Owns the children and their states; does not know what they do. Every state change is told to one callback.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cli.supervision.backoff import Backoff
from cli.supervision.child import Child, Program, describe_exit
from cli.supervision.log import Log

Phase = Literal["starting", "ready", "waiting", "stopped"]


@dataclass(frozen=True, slots=True)
class State:
    """Where a program stands. `said` is its ready file; `failures` counts in a row; `why` is its last end in words, and
    `last_lines` what it printed before it."""

    phase: Phase = "starting"
    said: dict[str, Any] = field(default_factory=dict)
    failures: int = 0
    why: str = ""
    pause_s: float = 0.0
    last_lines: tuple[str, ...] = ()


class Supervised:
    """One program and the task that keeps it running. `run` returns once it is stopped for good."""

    def __init__(
        self, program: Program, log: Log, on_change: Callable[[], None], *, backoff: Backoff, rng: random.Random
    ) -> None:
        self.program = program
        self.state = State()
        self._log = log
        self._on_change = on_change
        self._backoff = backoff
        self._rng = rng
        self._child: Child | None = None
        self._last_lines: tuple[str, ...] = ()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._to(replace(self.state, phase="starting", said={}, pause_s=0.0))
                served_s, why = await self._once()
                if self._stopping.is_set():
                    break
                await self._pause(served_s, why)
        finally:
            if self._child is not None:
                await self._child.kill()
            self._to(replace(self.state, phase="stopped", said={}))

    async def stop(self) -> None:
        """Ends the program in its own time, bounded by its limit; it is not started again. One that does not serve yet has
        nothing to finish, and would hear of it only after loading its model: it is ended at once."""
        self._stopping.set()
        if self._child is not None:
            await (self._child.stop() if self.state.phase == "ready" else self._child.kill())

    async def kill(self) -> None:
        """Ends the program and everything below it now."""
        self._stopping.set()
        if self._child is not None:
            await self._child.kill()

    async def _once(self) -> tuple[float, str]:
        """One life of the program: how long it served, and why it ended."""
        self._child = child = await Child.start(self.program, lambda line: self._log.line(self.program.name, line))
        if self._stopping.is_set():
            await child.kill()
        ended = asyncio.create_task(child.wait(), name=f"end of {self.program.name}")
        try:
            said = await self._until_ready(child, ended)
            if said is None:
                return 0.0, await self._never_ready(child, ended)
            since = time.monotonic()
            self._to(State("ready", said, failures=self.state.failures))
            code = await ended
            return time.monotonic() - since, describe_exit(code)
        finally:
            if not ended.done():
                await child.kill()
                await ended
            self._child, self._last_lines = None, tuple(child.last_lines)

    async def _until_ready(self, child: Child, ended: "asyncio.Task[int]") -> dict[str, Any] | None:
        ready = asyncio.create_task(child.ready(), name=f"ready file of {self.program.name}")
        try:
            await asyncio.wait({ready, ended}, timeout=self.program.start_limit_s, return_when=asyncio.FIRST_COMPLETED)
            return ready.result() if ready.done() and not ended.done() else None
        finally:
            ready.cancel()

    async def _never_ready(self, child: Child, ended: "asyncio.Task[int]") -> str:
        if not ended.done():
            await child.kill()
            return f"was not ready within {self.program.start_limit_s:.0f} s"
        return f"{describe_exit(ended.result())} before it was ready"

    async def _pause(self, served_s: float, why: str) -> None:
        failures = self._backoff.failures(self.state.failures, served_s)
        pause_s = self._backoff.pause_s(failures, self._rng)
        self._log.ours(f"{self.program.name} {why}; starting it again in {pause_s:.1f} s (failure {failures} in a row)")
        self._to(State("waiting", failures=failures, why=why, pause_s=pause_s, last_lines=self._last_lines))
        try:
            await asyncio.wait_for(self._stopping.wait(), pause_s)
        except TimeoutError:
            return

    def _to(self, state: State) -> None:
        self.state = state
        self._on_change()
