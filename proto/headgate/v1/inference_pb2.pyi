from headgate.v1 import generation_pb2 as _generation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerateRequest(_message.Message):
    __slots__ = ("model", "text", "token_ids", "chat", "sampling", "n", "session_id", "request_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    CHAT_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    text: str
    token_ids: _generation_pb2.TokenIds
    chat: Chat
    sampling: _generation_pb2.Sampling
    n: int
    session_id: str
    request_id: str
    def __init__(self, model: _Optional[str] = ..., text: _Optional[str] = ..., token_ids: _Optional[_Union[_generation_pb2.TokenIds, _Mapping]] = ..., chat: _Optional[_Union[Chat, _Mapping]] = ..., sampling: _Optional[_Union[_generation_pb2.Sampling, _Mapping]] = ..., n: _Optional[int] = ..., session_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class Chat(_message.Message):
    __slots__ = ("messages", "tools_json", "template_kwargs_json")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TOOLS_JSON_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_KWARGS_JSON_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ChatMessage]
    tools_json: str
    template_kwargs_json: str
    def __init__(self, messages: _Optional[_Iterable[_Union[ChatMessage, _Mapping]]] = ..., tools_json: _Optional[str] = ..., template_kwargs_json: _Optional[str] = ...) -> None: ...

class ChatMessage(_message.Message):
    __slots__ = ("role", "content", "name")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: str
    name: str
    def __init__(self, role: _Optional[str] = ..., content: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("started", "delta", "finished")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    started: Started
    delta: Delta
    finished: Finished
    def __init__(self, started: _Optional[_Union[Started, _Mapping]] = ..., delta: _Optional[_Union[Delta, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("pool", "model", "replica", "reason", "simulated", "quality", "policy", "exploring")
    POOL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SIMULATED_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    EXPLORING_FIELD_NUMBER: _ClassVar[int]
    pool: str
    model: str
    replica: str
    reason: str
    simulated: bool
    quality: float
    policy: str
    exploring: bool
    def __init__(self, pool: _Optional[str] = ..., model: _Optional[str] = ..., replica: _Optional[str] = ..., reason: _Optional[str] = ..., simulated: _Optional[bool] = ..., quality: _Optional[float] = ..., policy: _Optional[str] = ..., exploring: _Optional[bool] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("request_id", "decision")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    decision: Decision
    def __init__(self, request_id: _Optional[str] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ...) -> None: ...

class Delta(_message.Message):
    __slots__ = ("index", "text", "token_ids", "logprobs", "finish_reason", "stop_reason", "tool_calls_json")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IDS_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALLS_JSON_FIELD_NUMBER: _ClassVar[int]
    index: int
    text: str
    token_ids: _containers.RepeatedScalarFieldContainer[int]
    logprobs: _containers.RepeatedCompositeFieldContainer[_generation_pb2.TokenLogprob]
    finish_reason: _generation_pb2.FinishReason
    stop_reason: str
    tool_calls_json: str
    def __init__(self, index: _Optional[int] = ..., text: _Optional[str] = ..., token_ids: _Optional[_Iterable[int]] = ..., logprobs: _Optional[_Iterable[_Union[_generation_pb2.TokenLogprob, _Mapping]]] = ..., finish_reason: _Optional[_Union[_generation_pb2.FinishReason, str]] = ..., stop_reason: _Optional[str] = ..., tool_calls_json: _Optional[str] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("usage", "cost_usd", "decision", "resumed", "ttft_s", "total_s", "escalated", "footprint", "budgets")
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_USD_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    TTFT_S_FIELD_NUMBER: _ClassVar[int]
    TOTAL_S_FIELD_NUMBER: _ClassVar[int]
    ESCALATED_FIELD_NUMBER: _ClassVar[int]
    FOOTPRINT_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    usage: _generation_pb2.Usage
    cost_usd: float
    decision: Decision
    resumed: int
    ttft_s: float
    total_s: float
    escalated: int
    footprint: Footprint
    budgets: _containers.RepeatedCompositeFieldContainer[BudgetState]
    def __init__(self, usage: _Optional[_Union[_generation_pb2.Usage, _Mapping]] = ..., cost_usd: _Optional[float] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., resumed: _Optional[int] = ..., ttft_s: _Optional[float] = ..., total_s: _Optional[float] = ..., escalated: _Optional[int] = ..., footprint: _Optional[_Union[Footprint, _Mapping]] = ..., budgets: _Optional[_Iterable[_Union[BudgetState, _Mapping]]] = ...) -> None: ...

class Footprint(_message.Message):
    __slots__ = ("energy_wh", "carbon_g", "water_ml")
    ENERGY_WH_FIELD_NUMBER: _ClassVar[int]
    CARBON_G_FIELD_NUMBER: _ClassVar[int]
    WATER_ML_FIELD_NUMBER: _ClassVar[int]
    energy_wh: float
    carbon_g: float
    water_ml: float
    def __init__(self, energy_wh: _Optional[float] = ..., carbon_g: _Optional[float] = ..., water_ml: _Optional[float] = ...) -> None: ...

class BudgetState(_message.Message):
    __slots__ = ("tenant", "limit_usd", "spent_usd", "remaining_usd", "window", "resets_at_s", "hard")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_USD_FIELD_NUMBER: _ClassVar[int]
    SPENT_USD_FIELD_NUMBER: _ClassVar[int]
    REMAINING_USD_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    RESETS_AT_S_FIELD_NUMBER: _ClassVar[int]
    HARD_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    limit_usd: float
    spent_usd: float
    remaining_usd: float
    window: str
    resets_at_s: int
    hard: bool
    def __init__(self, tenant: _Optional[str] = ..., limit_usd: _Optional[float] = ..., spent_usd: _Optional[float] = ..., remaining_usd: _Optional[float] = ..., window: _Optional[str] = ..., resets_at_s: _Optional[int] = ..., hard: _Optional[bool] = ...) -> None: ...

class QuoteResponse(_message.Message):
    __slots__ = ("options", "budgets", "refusal")
    class Option(_message.Message):
        __slots__ = ("decision", "cost_usd", "prompt_tokens", "cached_tokens", "output_tokens", "max_cost_usd", "uncertainty", "footprint", "utility", "ttft_s")
        DECISION_FIELD_NUMBER: _ClassVar[int]
        COST_USD_FIELD_NUMBER: _ClassVar[int]
        PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
        CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
        OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
        MAX_COST_USD_FIELD_NUMBER: _ClassVar[int]
        UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
        FOOTPRINT_FIELD_NUMBER: _ClassVar[int]
        UTILITY_FIELD_NUMBER: _ClassVar[int]
        TTFT_S_FIELD_NUMBER: _ClassVar[int]
        decision: Decision
        cost_usd: float
        prompt_tokens: int
        cached_tokens: int
        output_tokens: int
        max_cost_usd: float
        uncertainty: float
        footprint: Footprint
        utility: float
        ttft_s: float
        def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ..., cost_usd: _Optional[float] = ..., prompt_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., max_cost_usd: _Optional[float] = ..., uncertainty: _Optional[float] = ..., footprint: _Optional[_Union[Footprint, _Mapping]] = ..., utility: _Optional[float] = ..., ttft_s: _Optional[float] = ...) -> None: ...
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    options: _containers.RepeatedCompositeFieldContainer[QuoteResponse.Option]
    budgets: _containers.RepeatedCompositeFieldContainer[BudgetState]
    refusal: str
    def __init__(self, options: _Optional[_Iterable[_Union[QuoteResponse.Option, _Mapping]]] = ..., budgets: _Optional[_Iterable[_Union[BudgetState, _Mapping]]] = ..., refusal: _Optional[str] = ...) -> None: ...

class FeedbackRequest(_message.Message):
    __slots__ = ("request_id", "score", "label", "better_than")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    BETTER_THAN_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    score: float
    label: str
    better_than: str
    def __init__(self, request_id: _Optional[str] = ..., score: _Optional[float] = ..., label: _Optional[str] = ..., better_than: _Optional[str] = ...) -> None: ...

class FeedbackResponse(_message.Message):
    __slots__ = ("pool",)
    POOL_FIELD_NUMBER: _ClassVar[int]
    pool: str
    def __init__(self, pool: _Optional[str] = ...) -> None: ...

class BudgetRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BudgetResponse(_message.Message):
    __slots__ = ("budgets",)
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[BudgetState]
    def __init__(self, budgets: _Optional[_Iterable[_Union[BudgetState, _Mapping]]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    class Model(_message.Message):
        __slots__ = ("name", "pool", "tier", "engine", "simulated", "ready_replicas", "prices", "embeddings")
        NAME_FIELD_NUMBER: _ClassVar[int]
        POOL_FIELD_NUMBER: _ClassVar[int]
        TIER_FIELD_NUMBER: _ClassVar[int]
        ENGINE_FIELD_NUMBER: _ClassVar[int]
        SIMULATED_FIELD_NUMBER: _ClassVar[int]
        READY_REPLICAS_FIELD_NUMBER: _ClassVar[int]
        PRICES_FIELD_NUMBER: _ClassVar[int]
        EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
        name: str
        pool: str
        tier: str
        engine: str
        simulated: bool
        ready_replicas: int
        prices: Prices
        embeddings: bool
        def __init__(self, name: _Optional[str] = ..., pool: _Optional[str] = ..., tier: _Optional[str] = ..., engine: _Optional[str] = ..., simulated: _Optional[bool] = ..., ready_replicas: _Optional[int] = ..., prices: _Optional[_Union[Prices, _Mapping]] = ..., embeddings: _Optional[bool] = ...) -> None: ...
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ListModelsResponse.Model]
    def __init__(self, models: _Optional[_Iterable[_Union[ListModelsResponse.Model, _Mapping]]] = ...) -> None: ...

class Prices(_message.Message):
    __slots__ = ("input_usd_per_mtok", "cached_input_usd_per_mtok", "output_usd_per_mtok")
    INPUT_USD_PER_MTOK_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_USD_PER_MTOK_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_USD_PER_MTOK_FIELD_NUMBER: _ClassVar[int]
    input_usd_per_mtok: float
    cached_input_usd_per_mtok: float
    output_usd_per_mtok: float
    def __init__(self, input_usd_per_mtok: _Optional[float] = ..., cached_input_usd_per_mtok: _Optional[float] = ..., output_usd_per_mtok: _Optional[float] = ...) -> None: ...
