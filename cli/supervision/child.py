"""One started program: its output as lines, its ready file, its end. Starts it under warden.py; decides nothing."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.printable import LineSplitter
from cli.supervision import warden

_READY_POLL_S = 0.05
_AFTER_KILL_S = 5.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to know that it serves: `ready_file` appears, holding a JSON object.

    start_limit_s   a program that is not ready by then is ended and counts as failed
    stop_limit_s    from SIGTERM until it is killed
    """

    name: str
    command: tuple[str, ...]
    ready_file: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    start_limit_s: float = 900.0
    stop_limit_s: float = 15.0


class Child:
    """A running program. Make one with `Child.start`; `wait` returns its exit code once everything below it has ended too."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
        self.program = program
        self.last_lines: deque[str] = deque(maxlen=20)
        self._process = process
        self._on_line = on_line
        self._reading = asyncio.create_task(self._read(), name=f"output of {program.name}")

    @classmethod
    async def start(cls, program: Program, on_line: Callable[[str], None]) -> "Child":
        program.ready_file.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", warden.__file__, str(program.stop_limit_s), *program.command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **program.environment},
            # Its own session: Ctrl-C in the terminal reaches `headgate up` alone, which then ends the programs in order.
            start_new_session=True,
        )
        return cls(program, process, on_line)

    @property
    def pid(self) -> int:
        """The warden's; the program's own is in its ready file."""
        return self._process.pid

    async def ready(self) -> dict[str, Any]:
        """What the ready file says, once it is there. Waits for ever: the caller bounds it."""
        while True:
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                said = json.loads(self.program.ready_file.read_text())
                if isinstance(said, dict):
                    return said
            await asyncio.sleep(_READY_POLL_S)

    async def wait(self) -> int:
        code = await self._process.wait()
        # Whoever still holds the output open is none of ours: the warden has ended all that were.
        await asyncio.wait({self._reading}, timeout=1.0)
        return code

    async def stop(self) -> int:
        """Asks it to end, kills it when it has not by its limit, and returns its exit code."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self.wait(), self.program.stop_limit_s)
        return await self.kill()

    async def kill(self) -> int:
        self._signal(signal.SIGQUIT)
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self.wait(), _AFTER_KILL_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        return await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def _read(self) -> None:
        stream = self._process.stdout
        if stream is None:
            return
        lines = LineSplitter()
        while data := await stream.read(65536):
            for line in lines.feed(data):
                self._say(line)
        for line in lines.close():
            self._say(line)

    def _say(self, line: str) -> None:
        self.last_lines.append(line)
        self._on_line(line)


def describe_exit(code: int) -> str:
    """An exit code in words; the warden reports a signal as 128 + its number."""
    if code == 0:
        return "ended by itself"
    if code > 128:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(code - 128).name}"
    return f"exited with status {code}"
