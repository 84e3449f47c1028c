"""The engine contract on an OpenAI-compatible server that speaks vLLM's dialect: real HTTP, a simulated model behind it."""

from collections.abc import AsyncIterator

import pytest

from tests.workers.engine_contract import EngineContract
from tests.workers.fake_servers import MODEL, FakeVllm, serving
from workers.config import OpenAIHttpEngine
from workers.engine import Engine
from workers.engines.openai_http.engine import OpenAIHttp


class TestOpenAIHttp(EngineContract):
    @pytest.fixture
    async def engine(self) -> AsyncIterator[Engine]:
        server = FakeVllm()
        await server.engine.ready()
        async with serving(server.app()) as url:
            settings = OpenAIHttpEngine(base_url=url, model=MODEL, dialect="vllm", metrics_every_s=0.02, embeddings=True)
            engine = OpenAIHttp(settings, ("served",))
            await engine.ready()
            yield engine
            await engine.close()
        await server.engine.close()
