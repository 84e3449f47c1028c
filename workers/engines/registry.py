"""Engine kinds by name. A kind is imported when it is used, so that a worker needs only what its own engine needs."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, cast

from workers.config import EngineConfig
from workers.engine import Engine, EngineFailed

# kind in the settings → module:class. The class is called with its settings and the names it answers to.
ENGINES = {
    "simulated": "workers.engines.simulated.engine:Simulated",
    "vllm": "workers.engines.vllm.engine:Vllm",
    "openai_http": "workers.engines.openai_http.engine:OpenAIHttp",
}
_HOW_TO_GET = {
    "vllm": "run `make vllm` (CPU) or `pip install 'headgate[vllm]'` (CUDA), or set `kind: simulated`",
}


def find(kind: str) -> Callable[[EngineConfig, Sequence[str]], Engine]:
    """Imports the kind's class; that may take long (vLLM: many seconds). Raises EngineFailed where it can't be imported."""
    module, _, name = ENGINES[kind].partition(":")
    try:
        cls: Any = getattr(import_module(module), name)
    except ImportError as fault:
        missing = fault.name or str(fault)
        how = _HOW_TO_GET.get(kind, "install headgate again")
        raise EngineFailed(f"the engine {kind!r} needs the package {missing!r}: {how}") from fault
    return cast(Callable[[EngineConfig, Sequence[str]], Engine], cls)


def build(config: EngineConfig, models: Sequence[str]) -> Engine:
    """Makes the engine, not yet ready, on the event loop. Raises EngineFailed."""
    return find(config.kind)(config, tuple(models))
