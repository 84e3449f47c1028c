"""Runs one program so that neither it nor anything it started outlives `headgate up`, however that ends.

    python warden.py GRACE_S PROGRAM ARGUMENT…

Its standard input is a pipe whose other end `headgate up` holds: when that closes, even by kill -9, the program gets SIGTERM
and, GRACE_S later, everything below it SIGKILL. SIGTERM is passed on to the program; SIGQUIT ends everything at once. As a
subreaper it inherits orphaned grandchildren (an engine's own processes), so it can end them too. It exits as the program
did: its code, or 128 + the signal that killed it.

Standard library only, and no import of ours: it is started by path, once per child, and must be small.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def _start(command: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    # Only if the warden itself is killed: the program then hears of it from the kernel.
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


def _watch(pid: int, wakeup: int, grace_s: float) -> int | None:
    """Waits for the program; its wait status, or None when everything is to be killed now."""
    poll = select.poll()
    poll.register(wakeup, select.POLLIN)
    poll.register(0, select.POLLIN)
    kill_at: float | None = None
    while kill_at is None or time.monotonic() < kill_at:
        left_ms = None if kill_at is None else max(0, (kill_at - time.monotonic()) * 1000)
        ready = [fd for fd, _ in poll.poll(left_ms)]
        signals = os.read(wakeup, 64) if wakeup in ready else b""
        if signal.SIGQUIT in signals:
            return None
        if 0 in ready and not os.read(0, 64):
            poll.unregister(0)
            kill_at = time.monotonic() + grace_s
            signals += bytes([signal.SIGTERM])
        if (status := _reaped(pid)) is not None:
            return status
        if signal.SIGTERM in signals:
            os.kill(pid, signal.SIGTERM)
    return None


def _reaped(pid: int) -> int | None:
    """Collects whoever has ended; the program's own status when it is among them."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == pid:
                return ended[1]
    return None


def _kill_rest(pid: int) -> int | None:
    """Kills whatever is left below us, generation by generation; the program's status when it was among them."""
    status = None
    while True:
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        try:
            ended = os.waitpid(-1, 0)
        except ChildProcessError:
            return status
        if ended[0] == pid:
            status = ended[1]


def _children() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            # The name, in brackets, may hold anything: the fields are read after the last bracket.
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(entry.name))
    return found


def main(arguments: list[str]) -> int:
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeup, wakeup_write = os.pipe()
    os.set_blocking(wakeup_write, False)
    signal.set_wakeup_fd(wakeup_write)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    pid = _start(arguments[1:])
    status = _watch(pid, wakeup, float(arguments[0]))
    killed = _kill_rest(pid)
    code = os.waitstatus_to_exitcode(status if status is not None else killed or 0)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
