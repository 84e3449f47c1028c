"""What vLLM is started with; no vLLM is needed for that."""

import os
from pathlib import Path

import pytest

from workers.config import Speculation, VllmEngine
from workers.engine import EngineFailed, Generation
from workers.engines.vllm.engine import Vllm
from workers.engines.vllm.start import (
    ENVIRONMENT,
    KV_OVERRIDE,
    ONE_ENGINE_PROCESS,
    check_model,
    engine_arguments,
    prepare_environment,
    speculative_config,
)


def test_what_the_settings_leave_out_is_left_to_vllm() -> None:
    assert engine_arguments(VllmEngine(model="/models/m")) == {
        "model": "/models/m",
        "dtype": "auto",
        "enforce_eager": False,
        "enable_prefix_caching": True,
        "tensor_parallel_size": 1,
        "runner": "generate",
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }


def test_everything_that_can_be_set() -> None:
    settings = VllmEngine(
        model="m",
        tokenizer="t",
        dtype="float32",
        max_model_len=512,
        max_num_seqs=4,
        max_num_batched_tokens=256,
        kv_cache_gib=0.5,
        block_size=32,
        prefix_caching=False,
        embeddings=True,
        extra_engine_args={"seed": 3, "dtype": "bfloat16"},
    )
    arguments = engine_arguments(settings)
    assert arguments["kv_cache_memory_bytes"] == 2**29
    assert arguments["runner"] == "pooling"
    assert arguments["enable_prefix_caching"] is False
    assert (arguments["seed"], arguments["dtype"]) == (3, "bfloat16"), "the extra ones have the last word"


@pytest.mark.parametrize(
    ("speculation", "config"),
    [
        (
            Speculation(method="ngram", num_speculative_tokens=4),
            {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_min": 2, "prompt_lookup_max": 4},
        ),
        (
            Speculation(method="ngram", num_speculative_tokens=4, prompt_lookup_max=1),
            {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_min": 1, "prompt_lookup_max": 1},
        ),
        (
            Speculation(method="ngram", num_speculative_tokens=4, prompt_lookup_min=6),
            {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_min": 6, "prompt_lookup_max": 6},
        ),
        (Speculation(method="suffix", num_speculative_tokens=8), {"method": "suffix", "num_speculative_tokens": 8}),
        (
            Speculation(method="eagle", num_speculative_tokens=2, model="/e"),
            {"method": "eagle", "num_speculative_tokens": 2, "model": "/e"},
        ),
    ],
)
def test_speculation(speculation: Speculation, config: dict[str, object]) -> None:
    assert speculative_config(speculation) == config
    arguments = engine_arguments(VllmEngine(model="m", speculation=speculation))
    assert arguments["per_request_spec_decode_metrics"] == "summary"


def test_the_environment_is_ours_only_where_the_user_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ENVIRONMENT, *ONE_ENGINE_PROCESS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv(KV_OVERRIDE, "40")
    prepare_environment(VllmEngine(model="m", tensor_parallel_size=2))
    assert os.environ["VLLM_LOGGING_LEVEL"] == "DEBUG"
    assert os.environ["VLLM_WORKER_MULTIPROC_METHOD"] == "spawn"
    assert os.environ[KV_OVERRIDE] == "40"
    assert not ONE_ENGINE_PROCESS.keys() & os.environ.keys(), "several GPUs need several processes"
    prepare_environment(VllmEngine(model="m", kv_cache_gib=0.5))
    assert KV_OVERRIDE not in os.environ, "it would override what the settings say, and in whole GiB"
    assert ONE_ENGINE_PROCESS.items() <= os.environ.items()


def test_models_are_folders_or_hub_names(tmp_path: Path) -> None:
    check_model("org/name")
    with pytest.raises(EngineFailed, match="there is no folder"):
        check_model(str(tmp_path / "gone"))
    with pytest.raises(EngineFailed, match="headgate models fetch"):
        check_model("./gone")
    with pytest.raises(EngineFailed, match=r"no config\.json"):
        check_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    check_model(str(tmp_path))


async def test_an_engine_that_was_not_started_says_so(tmp_path: Path) -> None:
    engine = Vllm(VllmEngine(model=str(tmp_path / "gone")), ("m",))
    assert engine.stats().running == 0
    with pytest.raises(EngineFailed, match="not running"):
        await anext(engine.generate(Generation("r", "x")))
    for _ in range(2):
        with pytest.raises(EngineFailed, match="there is no folder"):
            await engine.ready()
    await engine.close()
    await engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        await engine.ready()
