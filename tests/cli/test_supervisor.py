"""The supervisor on real child programs: small scripts that get ready, fail, hang or leave children behind."""

import asyncio
import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cli.supervision import warden
from cli.supervision.backoff import Backoff
from cli.supervision.child import Program, describe_exit
from cli.supervision.log import Log
from cli.supervision.supervisor import Supervised

LIMIT_S = 60.0
READY = "import json,os,pathlib,sys,time; pathlib.Path(sys.argv[1]).write_text(json.dumps({'pid': os.getpid()}))\n"
SERVES = READY + "print('serving', flush=True)\ntime.sleep(600)\n"


def stat_of(pid: int) -> list[str]:
    """State, parent, … of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def alive(pid: int) -> bool:
    """A zombie that nobody collects is as dead as can be."""
    try:
        return stat_of(pid)[0] != "Z"
    except OSError:
        return False


def parent_of(pid: int) -> int:
    return int(stat_of(pid)[1])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not true():
            await asyncio.sleep(0.02)


class Bench:
    """One supervised script and everything it said."""

    def __init__(self, folder: Path, script: str, *, start_limit_s: float = LIMIT_S, stop_limit_s: float = LIMIT_S) -> None:
        self.out = io.StringIO()
        self.phases: list[str] = []
        ready_file = folder / "ready"
        program = Program(
            name="small/0",
            command=(sys.executable, "-c", script, str(ready_file)),
            ready_file=ready_file,
            start_limit_s=start_limit_s,
            stop_limit_s=stop_limit_s,
        )
        self.supervised = Supervised(
            program,
            Log(self.out, colour=False),
            self._changed,
            backoff=Backoff(first_s=0.01, most_s=0.02, healthy_s=600),
            rng=random.Random(7),
        )

    def _changed(self) -> None:
        self.phases.append(self.supervised.state.phase)

    @property
    def text(self) -> str:
        return self.out.getvalue()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Supervised]:
        task = asyncio.create_task(self.supervised.run())
        try:
            yield self.supervised
        finally:
            await self.supervised.kill()
            await asyncio.wait_for(task, LIMIT_S)


async def test_a_program_is_ready_once_its_file_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SERVES)
    async with bench.running() as supervised:
        await until(lambda: supervised.state.phase == "ready")
        assert alive(supervised.state.said["pid"])
        await until(lambda: "[small/0]  serving" in bench.text)
        await supervised.stop()
    assert not alive(supervised.state.said.get("pid", 0))
    assert bench.phases == ["starting", "ready", "stopped"]


async def test_a_killed_program_is_started_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SERVES)
    async with bench.running() as supervised:
        await until(lambda: supervised.state.phase == "ready")
        first = supervised.state.said["pid"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: bench.phases.count("ready") == 2)
        assert supervised.state.said["pid"] != first
    assert bench.phases[:5] == ["starting", "ready", "waiting", "starting", "ready"]
    assert "small/0 was ended by SIGKILL; starting it again" in bench.text


async def test_one_that_keeps_failing_is_counted_and_its_words_are_shown(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "import sys; sys.exit('no such model')")
    async with bench.running() as supervised:
        await until(lambda: supervised.state.failures >= 3)
    assert "[small/0]  no such model" in bench.text
    assert supervised.state.why == "exited with status 1 before it was ready"
    assert "ready" not in bench.phases


async def test_one_that_never_gets_ready_is_ended(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "import time; time.sleep(600)", start_limit_s=0.2)
    async with bench.running() as supervised:
        await until(lambda: supervised.state.failures >= 1)
        assert supervised.state.why == "was not ready within 0 s"


async def test_one_that_ignores_sigterm_is_killed_at_its_limit(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVES
    bench = Bench(tmp_path, deaf, stop_limit_s=0.2)
    async with bench.running() as supervised:
        await until(lambda: supervised.state.phase == "ready")
        pid = supervised.state.said["pid"]
        await asyncio.wait_for(supervised.stop(), LIMIT_S)
        assert not alive(pid)


LEAVES_CHILDREN = (
    "import subprocess,sys\n"
    "kids=[subprocess.Popen([sys.executable,'-c','import time;time.sleep(600)'], start_new_session=s) for s in (True, False)]\n"
    + READY.replace("os.getpid()", "[os.getpid(), *(k.pid for k in kids)]")
    + "time.sleep(600)\n"
)


@pytest.mark.parametrize("how", ["stop", "kill", "program dies"])
async def test_nothing_below_a_program_outlives_it(tmp_path: Path, how: str) -> None:
    bench = Bench(tmp_path, LEAVES_CHILDREN)
    async with bench.running() as supervised:
        await until(lambda: supervised.state.phase == "ready")
        pids = supervised.state.said["pid"]
        assert len(pids) == 3
        if how == "program dies":
            os.kill(pids[0], signal.SIGKILL)
            await until(lambda: bench.phases.count("ready") == 2)
        else:
            await (supervised.stop() if how == "stop" else supervised.kill())
        assert not any(alive(pid) for pid in pids)


async def test_kill_9_of_the_warden_is_survived_and_leaves_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SERVES)
    async with bench.running() as supervised:
        await until(lambda: supervised.state.phase == "ready")
        pid = supervised.state.said["pid"]
        os.kill(parent_of(pid), signal.SIGKILL)
        await until(lambda: bench.phases.count("ready") == 2)
        await until(lambda: not alive(pid))


@pytest.mark.parametrize("script", [LEAVES_CHILDREN, "import signal; signal.signal(15, signal.SIG_IGN)\n" + LEAVES_CHILDREN])
async def test_nothing_outlives_whoever_holds_the_wardens_pipe(tmp_path: Path, script: str) -> None:
    """The pipe closes however its holder ends, kill -9 included."""
    ready_file = tmp_path / "ready"
    command = (sys.executable, "-I", "-S", warden.__file__, "0.2", sys.executable, "-c", script, str(ready_file))
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:  # noqa: ASYNC220
        assert process.stdin is not None
        await until(lambda: ready_file.exists() and ready_file.read_text().endswith("}"))
        pids = json.loads(ready_file.read_text())["pid"]
        process.stdin.close()
        await until(lambda: process.poll() is not None)
        assert not any(alive(pid) for pid in pids)


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    command = (sys.executable, "-I", "-S", warden.__file__, "1", str(tmp_path / "absent"))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.wait(LIMIT_S) == 127
        assert process.stderr is not None
        assert "No such file or directory" in process.stderr.read()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended by itself"),
        (1, "exited with status 1"),
        (137, "was ended by SIGKILL"),
        (143, "was ended by SIGTERM"),
        (255, "exited with status 255"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words
