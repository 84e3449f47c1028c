"""How long work tells where it is: as values, drawn as a bar on a terminal and as plain lines anywhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn

_PLAIN_STEPS = 10


@dataclass(frozen=True, slots=True)
class Step:
    """What is being done now. `total` 0 means that nothing is counted; otherwise `done` of `total` bytes are there."""

    text: str
    done: int = 0
    total: int = 0


Report = Callable[[Step], None]


def silent(_step: Step) -> None:
    """The report of those who do not look."""


@contextmanager
def shown(stream: TextIO | None = None) -> Iterator[Report]:
    """A report for people: a progress bar on a capable terminal, otherwise a line per step and per tenth of a count."""
    stream = stream or sys.stderr
    console = Console(file=stream)
    if not console.is_terminal or console.is_dumb_terminal:
        yield PlainLines(stream)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        yield Bars(bars)


class PlainLines:
    """Lines without control characters, few enough for a log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._tenths = 0

    def __call__(self, step: Step) -> None:
        if step.text != self._text:
            self._text = step.text
            self._tenths = step.done * _PLAIN_STEPS // step.total if step.total else 0
            print(f"{step.text} ...", file=self._stream, flush=True)
        elif step.total and (tenths := step.done * _PLAIN_STEPS // step.total) > self._tenths:
            self._tenths = tenths
            counted = f"{step.done / 1e6:.1f} of {step.total / 1e6:.1f} MB"
            print(f"  {tenths * 100 // _PLAIN_STEPS:3d} %  {counted}", file=self._stream, flush=True)


class Bars:
    """One bar for each counted step, one line for each other."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._text = ""
        self._bar: TaskID | None = None

    def __call__(self, step: Step) -> None:
        if step.text != self._text:
            self._text = step.text
            self._bar = self._bars.add_task(step.text, total=step.total) if step.total else None
            if self._bar is None:
                self._bars.console.print(f"{step.text} ...", markup=False, highlight=False)
        if self._bar is not None:
            self._bars.update(self._bar, completed=step.done, total=step.total)
