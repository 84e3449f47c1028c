"""`python -m workers` as a process: how it starts, what it says when it can't, and how it ends."""

import asyncio
import json
import os
import signal
import sys
import textwrap
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from headgate.v1 import generation_pb2 as gen
from headgate.v1.worker_pb2_grpc import WorkerStub
from tests.workers.serving import UNHURRIED, request

ROOT = Path(__file__).resolve().parents[2]
ENV = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}"}
LIMIT_S = 60


def settings(folder: Path, **engine: Any) -> dict[str, Any]:
    return {"models": ["sim"], "engine": {"kind": "simulated", **engine}, "ready_file": str(folder / "ready")}


async def started(folder: Path, config: dict[str, Any], *more: str) -> Process:
    path = folder / "worker.yaml"
    path.write_text(yaml.safe_dump(config))
    command = (sys.executable, "-m", "workers", "--config", str(path), *more)
    return await asyncio.create_subprocess_exec(*command, stderr=PIPE, env=ENV)


async def address_in(ready: Path) -> str:
    async with asyncio.timeout(LIMIT_S):
        while not ready.exists():
            await asyncio.sleep(0.01)
    return str(json.loads(ready.read_text())["address"])


async def ended(process: Process) -> tuple[int, str]:
    """Exit status and what it wrote."""
    async with asyncio.timeout(LIMIT_S):
        _, err = await process.communicate()
    return process.returncode or 0, err.decode()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_exits_with_0(tmp_path: Path, number: signal.Signals) -> None:
    process = await started(tmp_path, settings(tmp_path, **UNHURRIED))
    address = await address_in(tmp_path / "ready")
    told = json.loads((tmp_path / "ready").read_text())
    assert told == {"address": address, "pid": process.pid, "engine": "simulated", "simulated": True}
    async with grpc.aio.insecure_channel(address) as channel:
        call = WorkerStub(channel).Generate(request(max_tokens=200, ignore_eos=True))
        await call.read()
        process.send_signal(number)
        parts = [part async for part in _rest(call)]
    assert parts[-1].finish.reason == gen.FINISH_REASON_LENGTH
    status, log = await ended(process)
    assert status == 0, log
    assert "Traceback" not in log
    assert not (tmp_path / "ready").exists()


async def _rest(call: Any) -> Any:
    while (part := await call.read()) is not grpc.aio.EOF:
        yield part


async def test_what_is_not_finished_in_time_is_handed_back(tmp_path: Path) -> None:
    process = await started(tmp_path, {**settings(tmp_path, **UNHURRIED), "drain_s": 0.1})
    async with grpc.aio.insecure_channel(await address_in(tmp_path / "ready")) as channel:
        call = WorkerStub(channel).Generate(request(max_tokens=8000, ignore_eos=True))
        await call.read()
        process.terminate()
        parts = [part async for part in _rest(call)]
    assert parts[-1].finish.reason == gen.FINISH_REASON_ABORT
    assert (await ended(process))[0] == 0


async def test_a_second_signal_exits_at_once(tmp_path: Path) -> None:
    process = await started(tmp_path, {**settings(tmp_path, **UNHURRIED), "drain_s": 3600})
    async with grpc.aio.insecure_channel(await address_in(tmp_path / "ready")) as channel:
        call = WorkerStub(channel).Generate(request(max_tokens=8000, ignore_eos=True))
        await call.read()
        process.terminate()
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT_S):
            while b"draining" not in await process.stderr.readline():
                pass
        process.terminate()
        assert (await ended(process))[0] == 1


async def test_a_signal_before_the_engine_is_ready(tmp_path: Path) -> None:
    process = await started(tmp_path, settings(tmp_path, failures={"start_s": 3600}), "--listen", "127.0.0.1:0")
    assert process.stderr is not None
    await asyncio.sleep(1.0)  # anywhere before it is ready, the handler may not even be set yet
    process.terminate()
    status, log = await ended(process)
    assert status in (0, -signal.SIGTERM), log
    assert not (tmp_path / "ready").exists()


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        ({"failures": {"start_fails": True}}, "told not to start"),
        ({"kind": "vllm", "model": "/no/such/folder"}, "/no/such/folder"),
    ],
)
async def test_an_engine_that_can_not_start_says_one_line(tmp_path: Path, engine: dict[str, Any], said: str) -> None:
    process = await started(tmp_path, settings(tmp_path, **engine))
    status, log = await ended(process)
    assert status == 1
    last = log.strip().splitlines()[-1]
    assert last.startswith("headgate worker: ")
    assert said in last or "make vllm" in last  # where vLLM is not installed, it says how to get it
    assert "Traceback" not in log
    assert not (tmp_path / "ready").exists()


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    first = await started(tmp_path, settings(tmp_path))
    address = await address_in(tmp_path / "ready")
    second = await started(tmp_path, {**settings(tmp_path), "ready_file": None}, "--listen", address)
    status, log = await ended(second)
    assert status == 1
    assert f"can't listen on {address}" in log
    assert "Traceback" not in log
    first.kill()
    await ended(first)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": {"kind": "simulated", "profil": "instant"}}, "engine.simulated.profil"),
        ({"engine": {"kind": "simulated", "profile": "warp"}}, "engine.simulated.profile"),
        ({"models": []}, "models"),
        ({"listen": "nowhere"}, "listen"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_bad_settings_name_the_key(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    status, log = await ended(await started(tmp_path, {**settings(tmp_path), **change}))
    assert status == 2
    assert said in log
    assert "Traceback" not in log


async def from_environment(*, listen: str | None = None, **variables: str) -> Process:
    command = (sys.executable, "-m", "workers", *(("--listen", listen) if listen else ()))
    env = {name: value for name, value in ENV.items() if name != "HEADGATE_WORKER_CONFIG"} | variables
    return await asyncio.create_subprocess_exec(*command, stderr=PIPE, env=env)


async def test_settings_from_the_environment(tmp_path: Path) -> None:
    config = json.dumps({**settings(tmp_path), "listen": "192.0.2.1:7000"})
    process = await from_environment(listen="127.0.0.1:0", HEADGATE_WORKER_CONFIG=config)
    assert (await address_in(tmp_path / "ready")).startswith("127.0.0.1:")
    process.terminate()
    assert (await ended(process))[0] == 0


async def test_no_settings_at_all() -> None:
    status, log = await ended(await from_environment())
    assert status == 2
    assert log == "headgate worker: no settings: give --config, or JSON in HEADGATE_WORKER_CONFIG\n"


async def test_an_engine_that_breaks_ends_the_process(tmp_path: Path) -> None:
    process = await started(tmp_path, settings(tmp_path, failures={"fail_after_tokens": 10}))
    async with grpc.aio.insecure_channel(await address_in(tmp_path / "ready")) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            async for _ in WorkerStub(channel).Generate(request(max_tokens=100)):
                pass
    status, log = await ended(process)
    assert status == 1
    assert "broke on purpose" in log


async def test_a_crash_on_purpose(tmp_path: Path) -> None:
    process = await started(tmp_path, settings(tmp_path, failures={"crash_after_tokens": 10}))
    async with grpc.aio.insecure_channel(await address_in(tmp_path / "ready")) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            async for _ in WorkerStub(channel).Generate(request(max_tokens=100)):
                pass
    assert (await ended(process))[0] == 70


async def test_a_killed_parent_leaves_no_worker_behind(tmp_path: Path) -> None:
    config = {**settings(tmp_path, **UNHURRIED), "exit_with_parent": True}
    (tmp_path / "worker.yaml").write_text(yaml.safe_dump(config))
    supervisor = textwrap.dedent(f"""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-m", "workers", "--config", {str(tmp_path / "worker.yaml")!r}]).wait()
    """)
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", supervisor, env=ENV)
    await address_in(tmp_path / "ready")
    worker = json.loads((tmp_path / "ready").read_text())["pid"]
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(LIMIT_S):
        while not gone(worker):
            await asyncio.sleep(0.05)
