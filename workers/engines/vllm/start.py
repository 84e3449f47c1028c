"""Starts vLLM's engine from our settings: environment, arguments, and errors that say what to do.

The environment is set before vllm is imported, because vLLM reads parts of it at import. What the user has set is kept.
"""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.config import Speculation, VllmEngine
from workers.engine import EngineFailed

if TYPE_CHECKING:
    from workers.engines.vllm.counters import Counters

ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    # Two engines on one host would otherwise be bound to the same core.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    # OpenMP's threads spin while they wait for each other. Where anything else wants the same cores, and here a router does,
    # that starves the very thread they wait for: under 1 token/s was measured on two cores, against 14 when they sleep. The
    # price is speed on cores of one's own (25 tokens/s against 50): set it to ACTIVE there.
    "OMP_WAIT_POLICY": "PASSIVE",
    # A forked engine process would inherit our listening socket and every open connection, and hold them open after our death:
    # the router would never learn of it.
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
}
# On CPU this lets vLLM's engine process run the model itself, in place of a third process: measured on two cores with a small
# model, ready in 28 s against 40 s and 319 tokens/s against 216 (eight streams). Elsewhere AsyncLLM does so anyway.
ONE_ENGINE_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
# Overrides the engine argument with a whole number of GiB where it is set.
KV_OVERRIDE = "VLLM_CPU_KVCACHE_SPACE"


def prepare_environment(settings: VllmEngine) -> None:
    """Must run before vllm is imported."""
    wanted = ENVIRONMENT | (ONE_ENGINE_PROCESS if settings.tensor_parallel_size == 1 else {})
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    if settings.kv_cache_gib is not None:
        os.environ.pop(KV_OVERRIDE, None)


def check_model(model: str) -> None:
    """Raises EngineFailed where `model` is meant as a folder and isn't one with a model in it."""
    folder = Path(model).expanduser()
    if not (folder.exists() or model.startswith(("/", ".", "~"))):
        return  # a hub name
    if not folder.is_dir():
        raise EngineFailed(f"model: there is no folder {model}; `headgate models fetch` brings one")
    if not any((folder / name).is_file() for name in ("config.json", "params.json")):
        raise EngineFailed(f"model: the folder {model} holds no config.json, so it is not a Hugging Face model folder")


def engine_arguments(settings: VllmEngine) -> dict[str, Any]:
    """AsyncEngineArgs by name. A field left out of the settings is left to vLLM."""
    arguments: dict[str, Any] = {
        "model": str(Path(settings.model).expanduser()),
        "tokenizer": settings.tokenizer,
        "dtype": settings.dtype,
        "max_model_len": settings.max_model_len,
        "max_num_seqs": settings.max_num_seqs,
        "max_num_batched_tokens": settings.max_num_batched_tokens,
        "kv_cache_memory_bytes": int(settings.kv_cache_gib * 2**30) if settings.kv_cache_gib is not None else None,
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "block_size": settings.block_size,
        "enforce_eager": settings.enforce_eager,
        "enable_prefix_caching": settings.prefix_caching,
        "tensor_parallel_size": settings.tensor_parallel_size,
        "runner": "pooling" if settings.embeddings else "generate",
        "speculative_config": speculative_config(settings.speculation) if settings.speculation else None,
        "per_request_spec_decode_metrics": "summary" if settings.speculation else None,
        "disable_log_stats": True,  # its periodic log lines; our own counters are kept
        "use_tqdm_on_load": False,
    }
    return {name: value for name, value in arguments.items() if value is not None} | settings.extra_engine_args


def speculative_config(speculation: Speculation) -> dict[str, Any]:
    """vLLM's own dictionary. ngram needs its lookup sizes said; 2 to 4 tokens is what worked well on repetitive text."""
    fields = speculation.model_dump(exclude_none=True)
    if speculation.method == "ngram":
        fields.setdefault("prompt_lookup_min", min(2, fields.get("prompt_lookup_max", 4)))
        fields.setdefault("prompt_lookup_max", max(4, fields["prompt_lookup_min"]))
    return fields


def start(settings: VllmEngine) -> tuple[Any, "Counters"]:
    """Loads the model; returns an AsyncLLM and the counters it feeds. Raises EngineFailed.

    Takes seconds to minutes and blocks: not for an event loop's thread.
    """
    check_model(settings.model)
    prepare_environment(settings)
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM
        from vllm.v1.executor import Executor

        from workers.engines.vllm.counters import Counters
        from workers.engines.vllm.executor import ending
    except ImportError as fault:
        raise EngineFailed(f"vLLM can't be imported ({fault}): run `make vllm`, or use another engine kind") from fault
    # It warns of every chat that the template refuses, in the template's words, which may quote the chat.
    logging.getLogger("vllm.renderers.hf").setLevel(logging.ERROR)
    arguments = engine_arguments(settings)
    if current_platform.is_cpu() and "enforce_eager" not in settings.model_fields_set | settings.extra_engine_args.keys():
        arguments["enforce_eager"] = True  # compiled bfloat16 gave wrong text there, and was no faster
    try:
        engine_args = AsyncEngineArgs(**arguments)
    except TypeError as fault:
        raise EngineFailed(f"extra_engine_args: {fault}") from fault
    counters = Counters()
    try:
        config = engine_args.create_engine_config()
        executor = ending(Executor.get_class(config))
        llm = AsyncLLM(config, executor, log_stats=False, log_requests=False, stat_loggers=[lambda *_: counters])
    except Exception as fault:  # whatever it is, this engine will not serve, and the operator has to read why
        raise EngineFailed(f"vLLM did not start ({type(fault).__name__}): {fault}") from fault
    return llm, counters
