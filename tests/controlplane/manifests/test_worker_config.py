"""The pool's fields as the worker's settings."""

from typing import Any

import pytest

from controlplane.manifests.worker_config import worker_config
from tests.controlplane.manifests.pools import HTTP, PLAIN, SIMULATED, VLLM, pool
from workers.config import parse

PAIR = {"method": "ngram", "numSpeculativeTokens": 4}


def engine(document: dict[str, Any], **more: Any) -> dict[str, Any]:
    written = worker_config(pool(document, **more), PLAIN)
    parse(written, "settings")
    return dict(written["engine"])


def test_vllm() -> None:
    assert engine(VLLM) == {
        "kind": "vllm",
        "model": "meta-llama/Llama-3.3-70B-Instruct",
        "max_model_len": 32768,
        "gpu_memory_utilization": 0.92,
        "tensor_parallel_size": 4,
        "speculation": {"method": "eagle", "num_speculative_tokens": 3, "model": "yuhuili/EAGLE3-LLaMA3.3-Instruct-70B"},
        "extra_engine_args": {"kv_cache_dtype": "fp8", "pipeline_parallel_size": 2, "revision": "6f6073b"},
    }


def test_openai_http() -> None:
    assert engine(HTTP) == {
        "kind": "openai_http",
        "base_url": "http://sglang.models.svc:30000/v1",
        "model": "gpt-5",
        "dialect": "sglang",
        "api_key_env": "UPSTREAM_KEY",
    }


@pytest.mark.parametrize(
    ("args", "more", "expected"),
    [
        ({"tensor_parallel_size": 8}, {}, {"tensor_parallel_size": 1}),
        ({"model": "mine", "kind": "simulated"}, {}, {"model": "m", "kind": "vllm"}),
        ({"extra_engine_args": {"pipeline_parallel_size": 4, "seed": 1}}, {}, {"extra_engine_args": {"seed": 1}}),
        (
            {"extra_engine_args": {"revision": "a"}},
            {"model": {"name": "m", "revision": "b"}},
            {"extra_engine_args": {"revision": "b"}},
        ),
        ({}, {"tier": "moe", "parallelism": {"expert": True}}, {"extra_engine_args": {"enable_expert_parallel": True}}),
        (
            {"speculation": {"method": "suffix", "num_speculative_tokens": 9, "prompt_lookup_max": 5}},
            {"speculation": PAIR},
            {"speculation": {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 5}},
        ),
        (
            {"speculation": {"method": "suffix", "num_speculative_tokens": 9}},
            {},
            {"speculation": {"method": "suffix", "num_speculative_tokens": 9}},
        ),
    ],
)
def test_typed_fields_win_over_arguments(args: dict[str, Any], more: dict[str, Any], expected: dict[str, Any]) -> None:
    written = engine({"model": {"name": "m"}, "tier": "large", "engine": {"args": args}}, **more)
    assert {name: written[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("args", "acceptance"), [({}, 0.6), ({"speculation": {"num_speculative_tokens": 1, "acceptance": 0.9}}, 0.9)]
)
def test_simulated_speculation(args: dict[str, Any], acceptance: float) -> None:
    written = engine(SIMULATED, engine={"kind": "simulated", "args": args}, speculation=PAIR)
    assert written["speculation"] == {"num_speculative_tokens": 4, "acceptance": acceptance}


@pytest.mark.parametrize(
    "args", [{"max_model_len": "long"}, {"colour": "red"}, {"extra_engine_args": 1}, {"speculation": "fast"}]
)
def test_arguments_are_the_workers_to_judge(args: dict[str, Any]) -> None:
    """None of them breaks the control plane."""
    worker_config(pool({"model": {"name": "m"}, "tier": "small", "engine": {"args": args}, "speculation": PAIR}), PLAIN)


def test_the_engines_own_name_is_first() -> None:
    written = worker_config(pool(SIMULATED, model={"name": "b", "aliases": ["c", "a"]}), PLAIN)
    assert written["models"] == ["b", "c", "a"]
