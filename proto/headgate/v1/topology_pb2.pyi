from headgate.v1 import inference_pb2 as _inference_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TopologyWatchRequest(_message.Message):
    __slots__ = ("router_id", "have_version")
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    HAVE_VERSION_FIELD_NUMBER: _ClassVar[int]
    router_id: str
    have_version: int
    def __init__(self, router_id: _Optional[str] = ..., have_version: _Optional[int] = ...) -> None: ...

class TopologySnapshot(_message.Message):
    __slots__ = ("version", "pools", "tenants", "policies")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    version: int
    pools: _containers.RepeatedCompositeFieldContainer[Pool]
    tenants: _containers.RepeatedCompositeFieldContainer[Tenant]
    policies: _containers.RepeatedCompositeFieldContainer[Policy]
    def __init__(self, version: _Optional[int] = ..., pools: _Optional[_Iterable[_Union[Pool, _Mapping]]] = ..., tenants: _Optional[_Iterable[_Union[Tenant, _Mapping]]] = ..., policies: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ...) -> None: ...

class Pool(_message.Message):
    __slots__ = ("name", "tier", "models", "prices", "replicas", "role", "prefill_pool", "ttft_ms", "tpot_ms", "cold_start_wait_s", "hosting")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    PREFILL_POOL_FIELD_NUMBER: _ClassVar[int]
    TTFT_MS_FIELD_NUMBER: _ClassVar[int]
    TPOT_MS_FIELD_NUMBER: _ClassVar[int]
    COLD_START_WAIT_S_FIELD_NUMBER: _ClassVar[int]
    HOSTING_FIELD_NUMBER: _ClassVar[int]
    name: str
    tier: str
    models: _containers.RepeatedScalarFieldContainer[str]
    prices: _inference_pb2.Prices
    replicas: _containers.RepeatedCompositeFieldContainer[Replica]
    role: str
    prefill_pool: str
    ttft_ms: int
    tpot_ms: int
    cold_start_wait_s: int
    hosting: Hosting
    def __init__(self, name: _Optional[str] = ..., tier: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., prices: _Optional[_Union[_inference_pb2.Prices, _Mapping]] = ..., replicas: _Optional[_Iterable[_Union[Replica, _Mapping]]] = ..., role: _Optional[str] = ..., prefill_pool: _Optional[str] = ..., ttft_ms: _Optional[int] = ..., tpot_ms: _Optional[int] = ..., cold_start_wait_s: _Optional[int] = ..., hosting: _Optional[_Union[Hosting, _Mapping]] = ...) -> None: ...

class Hosting(_message.Message):
    __slots__ = ("usd_per_hour", "tokens_per_s", "power_w", "pue", "carbon_g_per_kwh", "water_site_l_per_kwh", "water_source_l_per_kwh")
    USD_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_S_FIELD_NUMBER: _ClassVar[int]
    POWER_W_FIELD_NUMBER: _ClassVar[int]
    PUE_FIELD_NUMBER: _ClassVar[int]
    CARBON_G_PER_KWH_FIELD_NUMBER: _ClassVar[int]
    WATER_SITE_L_PER_KWH_FIELD_NUMBER: _ClassVar[int]
    WATER_SOURCE_L_PER_KWH_FIELD_NUMBER: _ClassVar[int]
    usd_per_hour: float
    tokens_per_s: float
    power_w: float
    pue: float
    carbon_g_per_kwh: float
    water_site_l_per_kwh: float
    water_source_l_per_kwh: float
    def __init__(self, usd_per_hour: _Optional[float] = ..., tokens_per_s: _Optional[float] = ..., power_w: _Optional[float] = ..., pue: _Optional[float] = ..., carbon_g_per_kwh: _Optional[float] = ..., water_site_l_per_kwh: _Optional[float] = ..., water_source_l_per_kwh: _Optional[float] = ...) -> None: ...

class Replica(_message.Message):
    __slots__ = ("id", "address", "draining", "revision")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    id: str
    address: str
    draining: bool
    revision: str
    def __init__(self, id: _Optional[str] = ..., address: _Optional[str] = ..., draining: _Optional[bool] = ..., revision: _Optional[str] = ...) -> None: ...

class Tenant(_message.Message):
    __slots__ = ("name", "key_sha256", "pools", "weight", "priority", "parent", "budget", "policy", "cache_group")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_SHA256_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    CACHE_GROUP_FIELD_NUMBER: _ClassVar[int]
    name: str
    key_sha256: _containers.RepeatedScalarFieldContainer[bytes]
    pools: _containers.RepeatedScalarFieldContainer[str]
    weight: float
    priority: int
    parent: str
    budget: Budget
    policy: str
    cache_group: str
    def __init__(self, name: _Optional[str] = ..., key_sha256: _Optional[_Iterable[bytes]] = ..., pools: _Optional[_Iterable[str]] = ..., weight: _Optional[float] = ..., priority: _Optional[int] = ..., parent: _Optional[str] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., policy: _Optional[str] = ..., cache_group: _Optional[str] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("usd", "window", "hard")
    USD_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    HARD_FIELD_NUMBER: _ClassVar[int]
    usd: float
    window: str
    hard: bool
    def __init__(self, usd: _Optional[float] = ..., window: _Optional[str] = ..., hard: _Optional[bool] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("name", "strategy", "pool", "quality_floor", "weights", "cascade", "chunks", "canaries", "custom", "explore_share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FLOOR_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    CASCADE_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    CANARIES_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FIELD_NUMBER: _ClassVar[int]
    EXPLORE_SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    strategy: str
    pool: str
    quality_floor: float
    weights: PolicyWeights
    cascade: Cascade
    chunks: ChunkSearch
    canaries: _containers.RepeatedCompositeFieldContainer[Canary]
    custom: str
    explore_share: float
    def __init__(self, name: _Optional[str] = ..., strategy: _Optional[str] = ..., pool: _Optional[str] = ..., quality_floor: _Optional[float] = ..., weights: _Optional[_Union[PolicyWeights, _Mapping]] = ..., cascade: _Optional[_Union[Cascade, _Mapping]] = ..., chunks: _Optional[_Union[ChunkSearch, _Mapping]] = ..., canaries: _Optional[_Iterable[_Union[Canary, _Mapping]]] = ..., custom: _Optional[str] = ..., explore_share: _Optional[float] = ...) -> None: ...

class PolicyWeights(_message.Message):
    __slots__ = ("quality", "cost", "latency", "energy", "carbon", "water")
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    CARBON_FIELD_NUMBER: _ClassVar[int]
    WATER_FIELD_NUMBER: _ClassVar[int]
    quality: float
    cost: float
    latency: float
    energy: float
    carbon: float
    water: float
    def __init__(self, quality: _Optional[float] = ..., cost: _Optional[float] = ..., latency: _Optional[float] = ..., energy: _Optional[float] = ..., carbon: _Optional[float] = ..., water: _Optional[float] = ...) -> None: ...

class Cascade(_message.Message):
    __slots__ = ("pools", "min_confidence", "max_cost_usd", "evidence", "samples")
    POOLS_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_USD_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedScalarFieldContainer[str]
    min_confidence: float
    max_cost_usd: float
    evidence: str
    samples: int
    def __init__(self, pools: _Optional[_Iterable[str]] = ..., min_confidence: _Optional[float] = ..., max_cost_usd: _Optional[float] = ..., evidence: _Optional[str] = ..., samples: _Optional[int] = ...) -> None: ...

class ChunkSearch(_message.Message):
    __slots__ = ("enabled", "deadline_ms", "max_tokens")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    deadline_ms: int
    max_tokens: int
    def __init__(self, enabled: _Optional[bool] = ..., deadline_ms: _Optional[int] = ..., max_tokens: _Optional[int] = ...) -> None: ...

class Canary(_message.Message):
    __slots__ = ("pool", "percent")
    POOL_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    pool: str
    percent: int
    def __init__(self, pool: _Optional[str] = ..., percent: _Optional[int] = ...) -> None: ...

class RouterReport(_message.Message):
    __slots__ = ("router_id", "incarnation", "topology_version", "pools")
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGY_VERSION_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    router_id: str
    incarnation: str
    topology_version: int
    pools: _containers.RepeatedCompositeFieldContainer[ReportedPool]
    def __init__(self, router_id: _Optional[str] = ..., incarnation: _Optional[str] = ..., topology_version: _Optional[int] = ..., pools: _Optional[_Iterable[_Union[ReportedPool, _Mapping]]] = ...) -> None: ...

class ReportedPool(_message.Message):
    __slots__ = ("pool", "arrivals_total", "waiting_here", "oldest_wait_s", "ready", "waiting_there", "running", "slots", "kv_used", "answers_total", "ttft_met_total", "tpot_met_total", "revisions")
    POOL_FIELD_NUMBER: _ClassVar[int]
    ARRIVALS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    WAITING_HERE_FIELD_NUMBER: _ClassVar[int]
    OLDEST_WAIT_S_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    WAITING_THERE_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    KV_USED_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    TTFT_MET_TOTAL_FIELD_NUMBER: _ClassVar[int]
    TPOT_MET_TOTAL_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    pool: str
    arrivals_total: int
    waiting_here: int
    oldest_wait_s: float
    ready: int
    waiting_there: int
    running: int
    slots: int
    kv_used: float
    answers_total: int
    ttft_met_total: int
    tpot_met_total: int
    revisions: _containers.RepeatedCompositeFieldContainer[ReportedRevision]
    def __init__(self, pool: _Optional[str] = ..., arrivals_total: _Optional[int] = ..., waiting_here: _Optional[int] = ..., oldest_wait_s: _Optional[float] = ..., ready: _Optional[int] = ..., waiting_there: _Optional[int] = ..., running: _Optional[int] = ..., slots: _Optional[int] = ..., kv_used: _Optional[float] = ..., answers_total: _Optional[int] = ..., ttft_met_total: _Optional[int] = ..., tpot_met_total: _Optional[int] = ..., revisions: _Optional[_Iterable[_Union[ReportedRevision, _Mapping]]] = ...) -> None: ...

class ReportedRevision(_message.Message):
    __slots__ = ("revision", "requests_total", "errors_total", "prefix_query_tokens_total", "prefix_hit_tokens_total")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    ERRORS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    PREFIX_QUERY_TOKENS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    PREFIX_HIT_TOKENS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    revision: str
    requests_total: int
    errors_total: int
    prefix_query_tokens_total: int
    prefix_hit_tokens_total: int
    def __init__(self, revision: _Optional[str] = ..., requests_total: _Optional[int] = ..., errors_total: _Optional[int] = ..., prefix_query_tokens_total: _Optional[int] = ..., prefix_hit_tokens_total: _Optional[int] = ...) -> None: ...

class RouterReportReply(_message.Message):
    __slots__ = ("next_after_ms",)
    NEXT_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    next_after_ms: int
    def __init__(self, next_after_ms: _Optional[int] = ...) -> None: ...
