"""The engine contract on real vLLM with a real model. One engine serves the module; the last test of the contract closes it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.vllm.engines import running, settings_for
from tests.workers.engine_contract import EngineContract
from workers.engine import Engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(smollm2: Path) -> AsyncIterator[Engine]:
    async with running(settings_for(smollm2)) as engine:
        yield engine


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
class TestVllm(EngineContract):
    pass
