"""How real vLLM starts, dies and ends: clear errors, and no process left behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.vllm.engines import running, settings_for
from tests.workers.engine_contract import said
from workers.config import VllmEngine
from workers.engine import EngineFailed, Generation, InvalidGeneration, Sampling
from workers.engines.vllm.engine import Vllm

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]
ROOT = Path(__file__).resolve().parents[2]
SMALL = {"max_model_len": 256, "kv_cache_gib": 0.05}
GREEDY = Sampling(max_tokens=8, temperature=0.0, ignore_eos=True)


async def running_below(parent: int) -> set[int]:
    """Processes that `parent` started, and theirs."""
    listed = await asyncio.create_subprocess_exec("ps", "-eo", "pid=,ppid=,stat=", stdout=asyncio.subprocess.PIPE)
    rows = [line.split() for line in (await listed.communicate())[0].decode().splitlines()]
    found, grown = {parent}, True
    while grown:
        below = {int(pid) for pid, ppid, stat in rows if int(ppid) in found and not stat.startswith("Z")}
        grown = not below <= found
        found |= below
    return found - {parent}


def title_of(process: int) -> str:
    title = Path(f"/proc/{process}/cmdline")
    return title.read_text() if title.exists() else ""  # `ps` itself is gone by now


async def test_mixture_of_experts_and_the_death_of_the_engine(tiny_mixtral: Path) -> None:
    before = await running_below(os.getpid())
    async with running(settings_for(tiny_mixtral, **SMALL)) as engine:
        answer = await said(engine, Generation("moe", "def random():", GREEDY))
        assert len(answer.ids) == 8
        endless = engine.generate(Generation("endless", "x", Sampling(max_tokens=200, ignore_eos=True)))
        await anext(endless)
        for process in (await running_below(os.getpid())) - before:
            if "EngineCore" in title_of(process):
                os.kill(process, signal.SIGKILL)
        with pytest.raises(EngineFailed, match="died"):
            async for _ in endless:
                pass
        with pytest.raises(EngineFailed):
            await said(engine, Generation("after", "x", GREEDY))
        with pytest.raises(EngineFailed):
            await engine.ready()


async def test_embeddings_come_from_a_pooling_engine(tiny_llama: Path) -> None:
    async with running(settings_for(tiny_llama, embeddings=True, **SMALL)) as engine:
        assert (await engine.ready()).embeddings
        vectors, tokens = await engine.embed(["a cat", "a kitten", "a cat"])
        assert vectors[0] == pytest.approx(vectors[2], abs=1e-5)
        assert vectors[0] != vectors[1]
        assert sum(x * x for x in vectors[0]) == pytest.approx(1, abs=1e-3)
        assert tokens > 6
        with pytest.raises(InvalidGeneration):
            await engine.embed(["too long " * 500])
        with pytest.raises(InvalidGeneration):
            await said(engine, Generation("no", "x", GREEDY))


KILLED = """
import asyncio, os, sys
from tests.vllm.engines import settings_for
from workers.engine import Generation, Sampling
from workers.engines.vllm.engine import Vllm

async def main():
    engine = Vllm(settings_for(sys.argv[1], max_model_len=256, kv_cache_gib=0.05), ("tiny",))
    await engine.ready()
    async for _ in engine.generate(Generation("r", "x", Sampling(max_tokens=200, ignore_eos=True))):
        print("generating", flush=True)
        await asyncio.sleep(600)

if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_a_killed_worker_leaves_no_engine_behind(tiny_llama: Path, tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(KILLED)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "proto")))}
    worker = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(tiny_llama), env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"generating\n"
    left = await running_below(worker.pid)
    assert left, "vLLM has a process of its own"
    worker.kill()
    await worker.wait()
    async with asyncio.timeout(30):
        while left & await _alive():
            await asyncio.sleep(0.1)


async def _alive() -> set[int]:
    return await running_below(0)  # everything descends from process 0


async def test_a_model_folder_that_is_not_there(tmp_path: Path) -> None:
    for folder, why in ((tmp_path / "gone", "there is no folder"), (tmp_path, r"holds no config\.json")):
        with pytest.raises(EngineFailed, match=why):
            await Vllm(VllmEngine(model=str(folder)), ("m",)).ready()


async def test_an_argument_that_vllm_does_not_know(tiny_llama: Path) -> None:
    engine = Vllm(settings_for(tiny_llama, extra_engine_args={"no_such_argument": 1}), ("m",))
    with pytest.raises(EngineFailed, match="no_such_argument"):
        await engine.ready()
    await engine.close()
