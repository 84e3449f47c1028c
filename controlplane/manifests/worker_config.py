"""A pool's worker settings, as workers/config.py reads them. `engine.args` pass through; the pool's own fields win."""

from typing import Any

from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.world import Platform

TLS_FOLDER = "/etc/headgate/tls"
# Arguments of vLLM's own that the pool has typed fields for.
_TYPED_EXTRAS = frozenset({"pipeline_parallel_size", "enable_expert_parallel", "revision"})
# How often a simulated draft token is accepted where the pool does not say: it has no drafter to find out with.
_SIMULATED_ACCEPTANCE = 0.6
_SHORTEST_DRAIN_S = 0.1  # the worker wants more than nothing


def worker_config(spec: ModelPoolSpec, platform: Platform) -> dict[str, Any]:
    """Settings of one worker, as JSON has them; without secrets. Whether `args` are right is for the worker to say."""
    return {
        "models": [spec.model.name, *spec.model.aliases],
        "engine": _ENGINES[spec.engine.kind](spec),
        "listen": f"0.0.0.0:{platform.worker_port}",
        "drain_s": spec.drain_seconds or _SHORTEST_DRAIN_S,
        **({"tls": {"folder": TLS_FOLDER}} if platform.tls_secret else {}),
    }


def _vllm(spec: ModelPoolSpec) -> dict[str, Any]:
    parallelism, given = spec.parallelism, _object(spec.engine.args.get("extra_engine_args"))
    extras = {
        **{name: value for name, value in given.items() if name not in _TYPED_EXTRAS},
        **({"pipeline_parallel_size": parallelism.pipeline} if parallelism.pipeline > 1 else {}),
        **({"enable_expert_parallel": True} if parallelism.expert else {}),
        **({"revision": spec.model.revision} if spec.model.revision else {}),
    }
    return {
        **spec.engine.args,
        "kind": "vllm",
        "model": _weights(spec),
        "tensor_parallel_size": parallelism.tensor,
        **({"speculation": _speculation(spec)} if spec.speculation else {}),
        "extra_engine_args": extras,
    }


def _openai_http(spec: ModelPoolSpec) -> dict[str, Any]:
    """Parallelism and speculation are the running server's own business."""
    return {**spec.engine.args, "kind": "openai_http", "base_url": spec.engine.url, "model": _weights(spec)}


def _simulated(spec: ModelPoolSpec) -> dict[str, Any]:
    if spec.speculation is None:
        return {**spec.engine.args, "kind": "simulated"}
    given = _object(spec.engine.args.get("speculation"))
    drafts = {
        "num_speculative_tokens": spec.speculation.num_speculative_tokens,
        "acceptance": given.get("acceptance", _SIMULATED_ACCEPTANCE),
    }
    return {**spec.engine.args, "kind": "simulated", "speculation": drafts}


def _speculation(spec: ModelPoolSpec) -> dict[str, Any]:
    typed = spec.speculation.model_dump(exclude_none=True) if spec.speculation else {}
    return {**_object(spec.engine.args.get("speculation")), **typed}


def _weights(spec: ModelPoolSpec) -> str:
    return spec.model.source or spec.model.name


def _object(value: Any) -> dict[str, Any]:
    """What is no object is the worker's to refuse where it stands alone; beside typed fields they stand in its place."""
    return dict(value) if isinstance(value, dict) else {}


_ENGINES = {"vllm": _vllm, "openai_http": _openai_http, "simulated": _simulated}
