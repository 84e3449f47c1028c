"""The engine contract on the simulated engine, at full speed, with speculation, and with hardly any room."""

from collections.abc import AsyncIterator

import pytest

from tests.workers.engine_contract import EngineContract
from workers.config import SimulatedEngine, SimulatedSpeculation
from workers.engine import Engine
from workers.engines.simulated.engine import Simulated

SETTINGS = {
    "instant": SimulatedEngine(embedding_dimensions=64),
    "modelled": SimulatedEngine.model_validate({"profile": {"base_s": 0.0005, "decode_token_s": 0.0001}}),
    "speculating": SimulatedEngine(speculation=SimulatedSpeculation(num_speculative_tokens=4, acceptance=0.6)),
    "tight": SimulatedEngine(max_running=3, kv_blocks=40, max_context_tokens=600, step_tokens=40),
}


@pytest.mark.parametrize("settings", SETTINGS)
class TestSimulated(EngineContract):
    @pytest.fixture
    async def engine(self, settings: str) -> AsyncIterator[Engine]:
        engine = Simulated(SETTINGS[settings], ("sim",))
        await engine.ready()
        yield engine
        await engine.close()
