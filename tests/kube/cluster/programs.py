"""One program of the test cluster: started under the warden, so that it ends with the test process even after kill -9."""

import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cli.supervision import warden

_GRACE_S = 1.0
_TAIL_BYTES = 3000
_LOWEST_PORT = 10_000


class ProgramEnded(Exception):
    """A program of the cluster ended by itself; the text ends with what it said last."""


class Program:
    """Starts and stops one command as often as wanted. All its output goes to `log`, run after run."""

    def __init__(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        self.name, self.command, self.log = name, [str(part) for part in command], log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process:
            raise RuntimeError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", warden.__file__, str(_GRACE_S), *self.command],
                stdin=subprocess.PIPE,  # the warden ends everything when the other end, ours, closes
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Ends it and whatever it started, at once. Does nothing when it is not running."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None

    def check(self) -> None:
        """Raises ProgramEnded when it was started and has ended by itself."""
        if self._process and self._process.poll() is not None:
            raise ProgramEnded(f"{self.name} exited with status {self._process.returncode}. {self.last_words()}")

    def state(self) -> str:
        if self._process is None:
            return "stopped"
        code = self._process.poll()
        return "running" if code is None else f"ended by itself with status {code}"

    def last_words(self) -> str:
        with self.log.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - _TAIL_BYTES))
            return f"The end of {self.log}:\n{log.read().decode(errors='replace')}"


def free_ports() -> Iterator[int]:
    """Ports of 127.0.0.1 that nobody listens on, below those that the kernel gives to outgoing connections.

    A server that is stopped for a while would otherwise find its port taken, even by a client that keeps dialling it.
    """
    first_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    given: set[int] = set()
    while True:
        port = random.randrange(_LOWEST_PORT, max(first_outgoing, _LOWEST_PORT + 1000))
        with socket.socket() as probe:
            if port in given or probe.connect_ex(("127.0.0.1", port)) == 0:
                continue
        given.add(port)
        yield port
