"""CPU run time, the figure benches can trust on a busy machine: wall time there tells what the others were doing.

Owns reading the kernel's counters; starts and pins nothing. Linux only.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(slots=True)
class Span:
    """CPU and wall seconds between entering and leaving `cpu_of` or `own_cpu`; both are 0 until it was left."""

    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def cores(self) -> float:
        return self.cpu_s / self.wall_s if self.wall_s else 0.0

    def us_per(self, count: int) -> float:
        """CPU microseconds for each of `count` things done meanwhile."""
        return self.cpu_s / count * 1e6


def tree_cpu_s(root_pid: int) -> float:
    """Run time of every living thread of a process and its descendants, in seconds, with nanosecond counters.

    Threads and processes that ended are not in it, so take the difference of two readings only while they live.
    Raises ProcessLookupError when the root is gone.
    """
    if not (PROC / str(root_pid)).exists():
        raise ProcessLookupError(f"no process {root_pid}")
    return sum(_process_ns(pid) for pid in tree_pids(root_pid)) / 1e9


def tree_pids(root_pid: int) -> tuple[int, ...]:
    """The process and all its descendants, parents first."""
    found = [root_pid]
    for pid in found:
        for children in (PROC / str(pid)).glob("task/*/children"):
            found.extend(int(child) for child in _read(children).split())
    return tuple(found)


@contextmanager
def cpu_of(root_pid: int) -> Iterator[Span]:
    """Measures another process with its descendants: `with cpu_of(pid) as span: …`, then read `span.cores`."""
    span = Span()
    started, cpu_before = time.perf_counter(), tree_cpu_s(root_pid)
    yield span
    span.cpu_s, span.wall_s = tree_cpu_s(root_pid) - cpu_before, time.perf_counter() - started


@contextmanager
def own_cpu() -> Iterator[Span]:
    """Measures this process, all of its threads (also those that ended), without its children."""
    span = Span()
    started, cpu_before = time.perf_counter(), time.process_time()
    yield span
    span.cpu_s, span.wall_s = time.process_time() - cpu_before, time.perf_counter() - started


def _process_ns(pid: int) -> int:
    # First field of schedstat: nanoseconds on a CPU.
    return sum(int((_read(task) or "0").split()[0]) for task in (PROC / str(pid)).glob("task/*/schedstat"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):  # the thread ended while we looked
        return ""
