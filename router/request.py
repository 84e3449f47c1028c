"""What a caller asked for, and what comes back: frozen values that every front decodes to and encodes from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from router.snapshot import Prices

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
    logit_bias: tuple[tuple[int, float], ...] = ()
    constraint: Constraint | None = None
    extra_json: str = ""

    @property
    def greedy(self) -> bool:
        return self.temperature == 0


@dataclass(frozen=True, slots=True)
class TextPrompt:
    text: str


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """`messages_json` is the client's own JSON array of OpenAI messages; the worker applies the chat template."""

    messages_json: bytes
    tools_json: bytes = b""
    template_kwargs_json: bytes = b""


Prompt = TextPrompt | TokenPrompt | ChatPrompt


@dataclass(frozen=True, slots=True)
class Request:
    """One generation. `deadline` is on the caller's monotonic clock, in seconds; None means none.

    `stream` False: the caller reads nothing before the end, so pieces may come in larger portions.
    """

    id: str
    model: str
    prompt: Prompt
    sampling: Sampling = field(default_factory=Sampling)
    n: int = 1
    tenant: str = "anonymous"
    session: str = ""
    cache_salt: str = ""
    priority: int = 0
    deadline: float | None = None
    stream: bool = True


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
class Usage:
    """Tokens. `cached_tokens` is the part of `prompt_tokens` whose KV the replica already held."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a request goes and why.

    quality     predicted probability that the answer is good; None where nothing was predicted
    policy      that it was decided under; "" is the router's own rule
    exploring   the pool was taken to learn about it
    """

    pool: str
    model: str
    replica: str
    reason: str
    simulated: bool = False
    quality: float | None = None
    policy: str = ""
    exploring: bool = False


@dataclass(frozen=True, slots=True)
class Used:
    """What an answer took from the world, as estimated from its pool's figures."""

    energy_wh: float
    carbon_g: float
    water_ml: float


@dataclass(frozen=True, slots=True)
class BudgetState:
    """How a budget stands. `spent_usd` has the reservations of requests under way in it, which `reserved_usd` is the sum of;
    `resets_at_s` Unix; 0: never.
    """

    tenant: str
    limit_usd: float
    spent_usd: float
    window: str = ""
    resets_at_s: int = 0
    hard: bool = False
    reserved_usd: float = 0.0

    @property
    def remaining_usd(self) -> float:
        return max(0.0, self.limit_usd - self.spent_usd)


def tightest_budget(budgets: Sequence[BudgetState]) -> BudgetState | None:
    """The one that ends first: of the hard budgets, else of the soft ones, that which has the least left. None: no budget."""
    return min(budgets, key=lambda budget: (not budget.hard, budget.remaining_usd), default=None)


@dataclass(frozen=True, slots=True)
class Started:
    """First event of every answer."""

    request_id: str
    decision: Decision


@dataclass(frozen=True, slots=True)
class Piece:
    """Some tokens of choice `index`. `finish_reason` is set on the choice's last piece."""

    index: int = 0
    text: str = ""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    stop_reason: str = ""
    tool_calls_json: bytes = b""


@dataclass(frozen=True, slots=True)
class Finished:
    """Last event of every answer: what it used, what it cost, who served it.

    escalated   pools whose answer was not good enough (cascade); usage and cost have theirs in them
    budgets     after this answer: the tenant's own first, then those above it
    """

    usage: Usage
    cost_usd: float
    decision: Decision
    resumed: int = 0
    ttft_s: float = 0.0
    total_s: float = 0.0
    escalated: int = 0
    used: Used | None = None
    budgets: tuple[BudgetState, ...] = ()


Event = Started | Piece | Finished


@dataclass(frozen=True, slots=True)
class Quote:
    """One place the request could go. Tokens are estimates until it runs.

    max_cost_usd   what would be reserved: it can't cost more
    uncertainty    of the predicted quality; None where nothing was predicted
    utility        what the options are ranked by
    """

    decision: Decision
    cost_usd: float
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    max_cost_usd: float = 0.0
    uncertainty: float | None = None
    used: Used | None = None
    utility: float = 0.0
    ttft_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Offer:
    """The answer to a quote: the first option is the one that would be taken; `refusal` says why none would be."""

    options: tuple[Quote, ...]
    budgets: tuple[BudgetState, ...] = ()
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One name a caller may ask for, and the pool behind it."""

    name: str
    pool: str
    tier: str
    engine: str
    simulated: bool
    ready_replicas: int
    prices: Prices
    embeddings: bool = False
    max_context_tokens: int = 0


@dataclass(frozen=True, slots=True)
class EmbedCall:
    """Texts to turn into vectors. `deadline` as in Request."""

    id: str
    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Embedding:
    """One vector per text, in order. `used` and `budgets` as in Finished."""

    vectors: tuple[tuple[float, ...], ...]
    prompt_tokens: int
    decision: Decision
    cost_usd: float
    used: Used | None = None
    budgets: tuple[BudgetState, ...] = ()
