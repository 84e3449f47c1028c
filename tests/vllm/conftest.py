"""One real engine for the whole run: starting one takes longer than most tests here."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.vllm import tiny_models
from tests.vllm.engines import running, settings_for
from workers.engines.vllm.engine import Vllm


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(smollm2: Path) -> AsyncIterator[Vllm]:
    async with running(settings_for(smollm2)) as engine:
        yield engine


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_llama(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="session")
def tiny_mixtral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_mixtral(tmp_path_factory.mktemp("models") / "mixtral")
