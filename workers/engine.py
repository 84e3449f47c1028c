"""The seam every inference engine fits: four methods and the values that cross it.

An engine yields text that belongs to the tokens beside it. Engines that only produce token ids get the text from
`text.speak`, which decodes and matches stop strings over the whole answer, so that an answer continued from another replica's
tokens reads exactly as if it had never moved. Adding an engine: one class, one line in `engines/registry.py`, one entry in
the contract suite.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

FinishReason = Literal["stop", "length", "abort", "tool_calls"]
ConstraintKind = Literal["json_schema", "regex", "grammar", "choice", "json_object", "structural_tag"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """The form the answer must have. `value` is the schema, pattern or grammar; a tuple of options for `choice`."""

    kind: ConstraintKind
    value: str | tuple[str, ...] = ""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. None leaves the choice to the engine."""

    max_tokens: int | None = None
    min_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    include_stop_in_output: bool = False
    logprobs: int | None = None
    logit_bias: dict[int, float] = field(default_factory=dict)
    constraint: Constraint | None = None
    # Engine parameters by name that have no field here; an engine refuses those it does not know.
    extra: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chat:
    """OpenAI chat messages and tools, parsed from the client's JSON; the engine applies its chat template."""

    messages: list[dict[str, object]]
    tools: list[dict[str, object]] = field(default_factory=list)
    template_kwargs: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer to produce. `resume_token_ids` were already produced elsewhere: continue after them (see worker.proto)."""

    request_id: str
    prompt: str | tuple[int, ...] | Chat
    sampling: Sampling = field(default_factory=Sampling)
    resume_token_ids: tuple[int, ...] = ()
    cache_salt: str = ""
    priority: int = 0
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Alternative:
    token_id: int
    token: str
    token_bytes: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    token_id: int
    token: str
    token_bytes: bytes
    logprob: float
    top: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """What one engine step added. The first carries the prompt's token counts, the last the finish reason.

    `token_ids` and `text` belong together: feeding the same ids to a fresh decoder yields the same text.
    """

    token_ids: Sequence[int] = ()
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    finish_reason: FinishReason | None = None
    stop_reason: str = ""
    tool_calls_json: bytes = b""
    draft_tokens: int = 0
    accepted_tokens: int = 0
    # On the last delta of an engine that reports no token ids: how many tokens the answer has. Else they are counted.
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What does not change while the engine lives."""

    engine: str
    models: tuple[str, ...]
    simulated: bool = False
    embeddings: bool = False
    max_context_tokens: int = 0
    max_running: int = 0
    kv_capacity_tokens: int = 0
    kv_block_tokens: int = 0
    reports_token_ids: bool = True
    parses_tool_calls: bool = False


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Load now, and counters since the engine started. `kv_used` is 0 to 1."""

    running: int = 0
    waiting: int = 0
    kv_used: float = 0.0
    prompt_tokens_total: int = 0
    output_tokens_total: int = 0
    prefix_query_tokens_total: int = 0
    prefix_hit_tokens_total: int = 0
    draft_tokens_total: int = 0
    accepted_tokens_total: int = 0
    preemptions_total: int = 0
    cache_clears_total: int = 0


class Engine(Protocol):
    def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        """Streams one answer. Closing the generator early aborts the request in the engine and frees its slot.

        Raises InvalidGeneration when the request can never be served, EngineFailed when the engine is broken.
        """
        ...

    def stats(self) -> EngineStats:
        """Load and counters, cheap enough to read every 50 ms."""
        ...

    async def ready(self) -> EngineInfo:
        """Returns once the engine can serve; raises EngineFailed if it never will.

        Called again after `generate` raised EngineFailed: whether that was one request's misfortune or the engine's end.
        """
        ...

    async def close(self) -> None:
        """Ends everything that runs and frees what the engine holds."""
        ...


@runtime_checkable
class Embeds(Protocol):
    """Optional capability: sentence vectors."""

    async def embed(self, texts: Sequence[str], dimensions: int | None = None) -> tuple[list[list[float]], int]:
        """Returns one vector per text, and the prompt tokens they took together."""
        ...


class EngineError(Exception):
    """Root of what an engine may raise."""


class InvalidGeneration(EngineError):
    """The request can never be served as it is; `param` names the field at fault."""

    def __init__(self, message: str, param: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class EngineFailed(EngineError):
    """The engine is broken; a request it held may be continued elsewhere."""


class EngineBusy(EngineError):
    """The engine takes no more requests now."""
