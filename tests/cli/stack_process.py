"""`headgate up` as a process of its own, as a user runs it, with everything it started below it."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 180.0
SIMULATED: dict[str, Any] = {"kind": "simulated"}
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def environment(**more: str) -> dict[str, str]:
    """The user's own ports and home must not reach a test."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HEADGATE_")}
    path = os.pathsep.join(filter(None, [str(ROOT), str(ROOT / "proto"), kept.get("PYTHONPATH", "")]))
    return {**kept, "PYTHONPATH": path, **more}


def headgate(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli", *arguments]


def pool(name: str = "small", **changes: Any) -> dict[str, Any]:
    return {"name": name, "tier": "small", "models": [f"simulated-{name}"], "engine": SIMULATED, **changes}


def until(true: Callable[[], Any]) -> None:
    give_up_s = time.monotonic() + LIMIT_S
    while not true():
        if time.monotonic() > give_up_s:
            raise TimeoutError("what was waited for did not happen")
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """A zombie that nobody collects is as dead as can be."""
    return bool(stat := stat_of(pid)) and stat[0] != "Z"


def stat_of(pid: int) -> list[str]:
    """State, parent, … of a process; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def below(pid: int) -> set[int]:
    """Every process that descends from this one."""
    parents = {int(entry.name): stat_of(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found, more = set[int](), {pid}
    while more:
        more = {child for child, stat in parents.items() if stat and int(stat[1]) in more}
        found |= more
    return found


class StackProcess:
    """A running `headgate up`."""

    def __init__(
        self,
        folder: Path,
        *pools: dict[str, Any],
        on: str = "processes",
        variables: dict[str, str] | None = None,
        **settings: Any,
    ) -> None:
        self.folder = folder
        self.file = folder / "headgate.yaml"
        self.file.write_text(yaml.safe_dump({"pools": list(pools), **settings}))
        self.ready_file = folder / "up.ready"
        self.log_file = folder / "up.log"
        arguments = (
            "up",
            "-f",
            str(self.file),
            "--http-port=0",
            "--grpc-port=0",
            f"--ready-file={self.ready_file}",
            f"--on={on}",
        )
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                headgate(*arguments),
                env=environment(TMPDIR=str(folder), **(variables or {})),  # kill -9 leaves the run folder behind
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def ready(self) -> dict[str, Any]:
        until(lambda: self.ready_file.exists() or self.process.poll() is not None)
        assert self.ready_file.exists(), self.log
        said: dict[str, Any] = json.loads(self.ready_file.read_text())
        return said

    def pid_of(self, program: str) -> int:
        """The process whose command line ends in this program's settings: `router`, or a replica's id."""
        for pid in below(self.process.pid):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if any(Path(word).name == f"{program}.yaml" for word in words) and not any("warden" in word for word in words):
                    return pid
        raise LookupError(program)

    def chat(self, model: str = "auto", **more: Any) -> dict[str, Any]:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8, **more}
        headers = {"content-type": "application/json"}
        url = f"{self.ready()['http']}/v1/chat/completions"
        with _direct.open(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=LIMIT_S) as answer:
            said: dict[str, Any] = json.load(answer)
            return said


@contextlib.contextmanager
def running(folder: Path, *pools: dict[str, Any], **settings: Any) -> Iterator[StackProcess]:
    """Ends with everything below it dead, however the test went."""
    stack = StackProcess(folder, *pools, **settings)
    try:
        yield stack
    finally:
        left = below(stack.process.pid)
        if stack.process.poll() is None:
            stack.process.kill()
        stack.process.wait(LIMIT_S)
        until(lambda: not any(map(alive, left)))
