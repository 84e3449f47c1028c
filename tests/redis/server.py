"""A real Redis (Valkey) for tests, to be stopped, killed and started again. What it confirmed is on the disk."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cli.stack.redis_program import redis_program, settings

PASSWORD = "for tests only"


class RedisServer:
    """Listens on a Unix socket in a folder of its own, with `PASSWORD`; the socket and the data outlive `stop` and `kill`.

    `more` are further lines of its settings: {"appendonly": "no"}.
    """

    def __init__(self, more: dict[str, str] | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="hg-redis-", dir="/tmp"))  # short: a socket's path has 107 bytes at most
        self._more = more or {}
        self.socket = self._folder / "redis.sock"
        self.password = PASSWORD
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As in the router's settings; without the password."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        program = redis_program()
        assert program is not None, "mark the test requires('redis')"
        config = self._folder / "redis.conf"
        more = "".join(f"{key} {value}\n" for key, value in self._more.items())
        config.write_text(settings(self._folder, self.socket, self.password) + more)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([program, config], stdout=log, stderr=log, cwd=self._folder)
        self._wait()

    def stop(self) -> None:
        """In order, as a restart of a pod does it."""
        self._end("terminate")

    def kill(self) -> None:
        """kill -9: what was not on the disk is lost."""
        self._end("kill")

    def restart(self) -> None:
        self.kill()
        self.start()

    def lose_everything(self) -> None:
        """Comes back empty, as from a disk that was lost."""
        self.kill()
        shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)
        self.start()

    def freeze(self) -> None:
        """Connections stay open and nothing answers, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def client(self, timeout_s: float = 10.0) -> "redis.Redis":
        """A plain synchronous client that tries once; close it."""
        never = Retry(NoBackoff(), 0)
        return redis.Redis(unix_socket_path=str(self.socket), password=self.password, socket_timeout=timeout_s, retry=never)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait(self) -> None:
        until = time.monotonic() + 20
        with self.client() as client:
            while True:
                try:
                    client.ping()
                    return
                except (redis.ConnectionError, redis.BusyLoadingError):  # also while it reads its data
                    process = self._process
                    if time.monotonic() > until or (process is not None and process.poll() is not None):
                        raise AssertionError((self._folder / "log").read_text()) from None
                time.sleep(0.01)

    def _end(self, how: str) -> None:
        if self._process is not None:
            getattr(self._process, how)()
            self._process.wait(20)
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
