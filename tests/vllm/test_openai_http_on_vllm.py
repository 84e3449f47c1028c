"""The engine for OpenAI-compatible servers on vLLM's own server: the whole engine contract, over real HTTP."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.workers.engine_contract import EngineContract, said
from workers.config import OpenAIHttpEngine
from workers.engine import Chat, Engine, Generation, Sampling
from workers.engines.openai_http.engine import OpenAIHttp
from workers.engines.vllm.start import ENVIRONMENT, ONE_ENGINE_PROCESS

pytestmark = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
START_S = 240.0


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(smollm2: Path) -> AsyncIterator[str]:
    """vLLM's server, asked to count cached tokens; yields its base URL."""
    port = free_port()
    options = {
        "--model": str(smollm2),
        "--served-model-name": "smollm2",
        "--host": "127.0.0.1",
        "--port": str(port),
        "--dtype": "float32",
        "--max-model-len": "1024",
        "--max-num-seqs": "8",
        "--block-size": "32",
        "--kv-cache-memory-bytes": str(2**28),
    }
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *(w for pair in options.items() for w in pair)]
    environment = {**os.environ, **ENVIRONMENT, **ONE_ENGINE_PROCESS}
    environment.pop("VLLM_CPU_KVCACHE_SPACE", None)
    process = await asyncio.create_subprocess_exec(
        *command, "--enforce-eager", "--enable-prompt-tokens-details", env=environment, stdout=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        await process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(server: str) -> AsyncIterator[Engine]:
    settings = OpenAIHttpEngine(base_url=server, model="smollm2", dialect="vllm", start_s=START_S, metrics_every_s=0.1)
    engine = OpenAIHttp(settings, ("served",))
    await engine.ready()
    yield engine
    await engine.close()


@pytest_asyncio.fixture(loop_scope="module")
async def another(server: str) -> AsyncIterator[Engine]:
    engine = OpenAIHttp(OpenAIHttpEngine(base_url=server, model="smollm2", dialect="vllm"), ("served",))
    await engine.ready()
    yield engine
    await engine.close()


class TestOnVllm(EngineContract):
    async def test_chat_answers_continue_and_cached_tokens_come_last(self, another: Engine) -> None:
        prompt = Chat([{"role": "user", "content": "Repeat this exactly, many times: 😀👍🏽 日本語 " + "and so on " * 20}])
        generation = Generation("chat", prompt, Sampling(max_tokens=24, temperature=0.0, ignore_eos=True))
        whole = await said(another, generation)
        again = await said(another, generation)
        assert (again.text, again.ids) == (whole.text, whole.ids)
        assert again.last.cached_tokens >= 32
        assert again.last.prompt_tokens == whole.prompt_tokens
        for cut in range(1, len(whole.deltas), 3):
            ids = tuple(i for d in whole.deltas[:cut] for i in d.token_ids)
            rest = await said(another, Generation(f"rest-{cut}", prompt, generation.sampling, ids))
            assert "".join(d.text for d in whole.deltas[:cut]) + rest.text == whole.text
            assert rest.prompt_tokens == whole.prompt_tokens
