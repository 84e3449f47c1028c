"""Every kind of engine in the settings has a class, and a missing package is told with its remedy."""

from typing import get_args

import pytest

from workers.config import EngineConfig, SimulatedEngine
from workers.engine import EngineFailed
from workers.engines import registry


def test_every_kind_has_an_entry() -> None:
    kinds = {engine.model_fields["kind"].default for engine in get_args(get_args(EngineConfig)[0])}
    assert kinds == set(registry.ENGINES)


async def test_building() -> None:
    engine = registry.build(SimulatedEngine(), ["m"])
    assert (await engine.ready()).models == ("m",)
    await engine.close()


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.ENGINES, "vllm", "no_such_package_here.engine:Vllm")
    with pytest.raises(EngineFailed, match=r"no_such_package_here.*make vllm"):
        registry.find("vllm")
