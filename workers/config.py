"""Settings of a worker: one YAML file, or JSON in an environment variable where pods are made from a template. Parsed once,
strictly, before anything is built. Unknown keys fail with their path."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from workers.engines.step_time import PROFILES

VARIABLE = "HEADGATE_WORKER_CONFIG"

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class ConfigError(Exception):
    """The settings can't be used; the text names the file, or the variable, and the key."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Failures(Strict):
    """Faults on purpose, of the simulated engine only, for the whole process. Requests can't ask for any of them.

    refuse_rate        share of requests refused as busy (drawn by a hash of the request id)
    fail_after_tokens  the engine breaks once it has produced this many tokens in all
    hang_after_tokens  likewise, but it stops stepping and says nothing
    crash_after_tokens likewise, but the process exits at once, with status 70
    start_s            how long the engine takes to be ready
    start_fails        the engine never gets ready
    """

    refuse_rate: Fraction = 0.0
    fail_after_tokens: int | None = Field(default=None, ge=1)
    hang_after_tokens: int | None = Field(default=None, ge=1)
    crash_after_tokens: int | None = Field(default=None, ge=1)
    start_s: float = Field(default=0.0, ge=0, le=3600)
    start_fails: bool = False


class SimulatedSpeculation(Strict):
    """Each step drafts this many tokens; each is accepted with this probability, up to the first that is not."""

    num_speculative_tokens: int = Field(ge=1, le=32)
    acceptance: Fraction


class StepSeconds(Strict):
    """How long a step takes, as `engines.step_time.fit` finds it from one's own measurements."""

    base_s: NotNegative = 0.0
    decode_token_s: NotNegative = 0.0
    prefill_token_s: NotNegative = 0.0
    kv_token_s: NotNegative = 0.0


class SimulatedEngine(Strict):
    """No weights, no model: words by a hash. `profile` is a name in engines/step_time.py, or the coefficients themselves."""

    kind: Literal["simulated"] = "simulated"
    profile: Name | StepSeconds = "instant"
    max_running: int = Field(default=64, ge=1, le=65536)
    max_waiting: int = Field(default=4096, ge=0)
    max_context_tokens: int = Field(default=8192, ge=64)
    step_tokens: int = Field(default=2048, ge=1)  # what one step computes at most, prefill and decode together
    kv_blocks: int = Field(default=8192, ge=4)
    kv_block_tokens: int = Field(default=16, ge=1)
    prefix_caching: bool = True
    shortest_answer_tokens: int = Field(default=20, ge=1)
    longest_answer_tokens: int = Field(default=120, ge=1)
    speculation: SimulatedSpeculation | None = None
    embedding_dimensions: int | None = Field(default=None, ge=8, le=8192)  # None: it does not embed
    failures: Failures = Failures()

    @model_validator(mode="after")
    def _consistent(self) -> "SimulatedEngine":
        if self.shortest_answer_tokens > self.longest_answer_tokens:
            raise ValueError("'shortest_answer_tokens' must not exceed 'longest_answer_tokens'")
        if self.kv_blocks * self.kv_block_tokens < self.max_context_tokens:
            raise ValueError("'kv_blocks' times 'kv_block_tokens' must hold at least 'max_context_tokens'")
        return self

    @field_validator("profile")
    @classmethod
    def _known(cls, profile: str | StepSeconds) -> str | StepSeconds:
        if isinstance(profile, str) and profile not in PROFILES:
            raise ValueError(f"no such profile; there are {', '.join(PROFILES)}")
        return profile


class Speculation(Strict):
    """Speculative decoding in vLLM. `model` is the draft's folder, for draft_model and eagle."""

    method: Literal["ngram", "suffix", "draft_model", "eagle"]
    num_speculative_tokens: int = Field(ge=1, le=64)
    prompt_lookup_min: int | None = Field(default=None, ge=1)
    prompt_lookup_max: int | None = Field(default=None, ge=1)
    model: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Speculation":
        if (self.method in ("draft_model", "eagle")) != (self.model is not None):
            raise ValueError("'model' is needed for draft_model and eagle, and for them alone")
        if self.method != "ngram" and (self.prompt_lookup_min or self.prompt_lookup_max):
            raise ValueError("'prompt_lookup_min' and 'prompt_lookup_max' belong to ngram")
        return self


class VllmEngine(Strict):
    """vLLM in this process. None leaves the choice to vLLM; `extra_engine_args` go to AsyncEngineArgs as they are."""

    kind: Literal["vllm"] = "vllm"
    model: Name  # folder with the weights, or a hub name
    tokenizer: str | None = None
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    max_model_len: int | None = Field(default=None, ge=1)
    max_num_seqs: int | None = Field(default=None, ge=1)
    max_num_batched_tokens: int | None = Field(default=None, ge=1)
    kv_cache_gib: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    block_size: int | None = Field(default=None, ge=1)
    enforce_eager: bool = False
    prefix_caching: bool = True
    tensor_parallel_size: int = Field(default=1, ge=1)
    speculation: Speculation | None = None
    chat_template: str | None = None
    embeddings: bool = False  # a pooling model: it embeds and does not generate
    extra_engine_args: dict[str, Any] = Field(default_factory=dict)


class OpenAIHttpEngine(Strict):
    """A running OpenAI-compatible server. The key is read from the environment variable that `api_key_env` names."""

    kind: Literal["openai_http"] = "openai_http"
    base_url: str = Field(pattern=r"^https?://[^\s]+$")
    model: Name
    api_key_env: str | None = None
    dialect: Literal["vllm", "sglang", "tgi", "openai"] = "openai"
    connect_s: Seconds = 5.0
    idle_s: Seconds = 60.0  # longest silence within one answer
    start_s: Seconds = 600.0  # how long the server may take to be ready
    metrics_every_s: Seconds = 1.0
    max_running: int = Field(default=256, ge=1)
    max_context_tokens: int = Field(default=0, ge=0)  # 0: ask the server
    embeddings: bool = False


EngineConfig = Annotated[SimulatedEngine | VllmEngine | OpenAIHttpEngine, Field(discriminator="kind")]


class Tls(Strict):
    """A folder with tls.crt, tls.key and ca.crt, as a Kubernetes Secret is mounted. It is read again when it changes."""

    folder: Path


class WorkerConfig(Strict):
    """The whole of it. `models` are the names it answers to; the first is the engine's own.

    tls   mutual TLS: routers must show a certificate; without it the worker serves plain text
    """

    models: tuple[Name, ...] = Field(min_length=1, max_length=64)
    engine: EngineConfig
    listen: str = "127.0.0.1:0"
    ready_file: Path | None = None
    tls: Tls | None = None
    drain_s: Seconds = 30.0
    exit_with_parent: bool = False

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, listen: str) -> str:
        host, _, port = listen.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError("write it as host:port, port 0 for a free one")
        return listen


def parse(raw: Any, source: str) -> WorkerConfig:
    """Checks a parsed document; raises ConfigError with one line per fault, each with the key's path."""
    try:
        return WorkerConfig.model_validate({} if raw is None else raw)
    except ValidationError as fault:
        lines = (f"{source}: {'.'.join(map(str, e['loc'])) or '(top)'}: {e['msg']}" for e in fault.errors())
        raise ConfigError("\n".join(lines)) from fault


def load(path: Path) -> WorkerConfig:
    """Reads the file; raises ConfigError."""
    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path}: {fault}") from fault
    except yaml.YAMLError as fault:
        raise ConfigError(f"{path}: not YAML: {fault}") from fault
    return parse(raw, str(path))


def load_variable(environment: Mapping[str, str]) -> WorkerConfig:
    """Reads HEADGATE_WORKER_CONFIG; raises ConfigError."""
    try:
        raw = json.loads(environment[VARIABLE])
    except KeyError as fault:
        raise ConfigError(f"no settings: give --config, or JSON in {VARIABLE}") from fault
    except ValueError as fault:
        raise ConfigError(f"{VARIABLE}: not JSON: {fault}") from fault
    return parse(raw, VARIABLE)
