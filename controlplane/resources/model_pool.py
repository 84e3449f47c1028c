"""ModelPool (headgate.dev/v1alpha1): replicas of one model on one kind of hardware, and what they promise."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.resources.engine import Engine, EnvVar, Model, SecretKey, Speculation
from controlplane.resources.hardware import Hardware, Hosting, ModelCache, Parallelism, Toleration
from controlplane.resources.kube_model import ChangeRule, KubeModel, Rule
from controlplane.resources.scalars import Count, DnsLabel, ObjectName, Quantity, Seconds, Usd

__all__ = [
    "Autoscaling",
    "ColdStart",
    "Engine",
    "EnvVar",
    "Hardware",
    "Hosting",
    "Model",
    "ModelCache",
    "ModelPoolSpec",
    "Objectives",
    "Parallelism",
    "Prices",
    "RaySpec",
    "Rollout",
    "SecretKey",
    "Speculation",
    "Toleration",
]

Tier = Literal["small", "large", "moe"]
Role = Literal["aggregated", "prefill", "decode"]
Runtime = Literal["Deployment", "RayService"]


class Prices(KubeModel):
    """USD per million tokens, as tenants are charged and as choices are weighed. All 0: they follow from hosting, if given."""

    input_usd_per_mtok: Usd = Field(default=0.0, description="Prompt tokens that had to be computed.")
    cached_input_usd_per_mtok: Usd = Field(default=0.0, description="Prompt tokens whose KV was cached.")
    output_usd_per_mtok: Usd = Field(default=0.0, description="Tokens of the answer.")


class Objectives(KubeModel):
    """What an answer must meet to count as goodput."""

    ttft_ms: int = Field(default=2000, ge=1, le=3600000, description="Time to first token (TTFT), milliseconds.")
    tpot_ms: int = Field(default=100, ge=1, le=60000, description="Time per output token after the first (TPOT), milliseconds.")


class Autoscaling(KubeModel):
    """Who decides how many replicas there are, and within which bounds. Without it, replicas says."""

    mode: Literal["Headgate", "External"] = Field(
        default="Headgate",
        description="Headgate: the control plane, by load against the objectives. External: whoever writes replicas through "
        "/scale (HPA, KEDA, a person).",
    )
    min_replicas: Count = Field(default=1, description="Never fewer; 0 lets an idle pool go.")
    max_replicas: int = Field(default=1, ge=1, le=10000, description="Never more.")
    target_utilization: float = Field(default=0.7, gt=0, le=1, description="Share of a replica's slots that should be busy.")
    tolerance: float = Field(
        default=0.1, ge=0, lt=1, description="No change while the ratio of load to target is within 1 ± this."
    )
    scale_up_hold_seconds: Seconds = Field(
        default=0, description="Load must have been higher for this long before replicas come."
    )
    scale_down_hold_seconds: Seconds = Field(
        default=300, description="Load must have been lower for this long before replicas go."
    )
    idle_seconds: int = Field(
        default=600, ge=1, le=86400, description="With minReplicas 0: how long without requests until zero."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not exceed maxReplicas",
            lambda a: a.min_replicas <= a.max_replicas,
            "minReplicas",
        ),
    )


class ColdStart(KubeModel):
    """What happens to requests while no replica is ready."""

    policy: Literal["Wait", "Refuse"] = Field(
        default="Wait", description="They wait in the router, or are refused with 503 at once."
    )
    wait_seconds: Seconds = Field(default=300, description="Longest wait, within the request's own deadline.")


class Rollout(KubeModel):
    """How a change reaches the replicas, and when it is taken back."""

    max_surge: int = Field(default=1, ge=1, le=1000, description="Replicas above the wanted number during a change.")
    warm_seconds: Seconds = Field(default=30, description="A new replica serves this long at most before an old one may go.")
    warm_hit_ratio: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="It is warm earlier where its prefix-cache hit rate is this share of the old replicas'.",
    )
    progress_deadline_seconds: int = Field(
        default=900, ge=1, le=86400, description="Without progress for this long, it is rolled back."
    )
    max_error_rate: float = Field(
        default=0.05, ge=0, le=1, description="Rolled back when new replicas fail this much more often than old."
    )
    rollback: bool = Field(
        default=True, description="Go back to the last good revision by itself; without it, a failed change stays."
    )


class RaySpec(KubeModel):
    """The Ray cluster of runtime RayService: nodes that one replica spans are Ray workers."""

    version: Annotated[str, Field(max_length=32, pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")] = Field(
        default="2.60.0", description="Ray's version, that of the image."
    )
    nodes: int = Field(default=1, ge=1, le=1000, description="Worker pods beside the head.")
    head_cpu: Quantity = Field(default="1", description="CPU cores of the head.")
    head_memory: Quantity = Field(default="4Gi", description="Memory of the head.")
    auth_secret: ObjectName | None = Field(default=None, description="Secret with key auth_token: the cluster demands it.")


class ModelPoolSpec(KubeModel):
    """What is wanted."""

    model: Model
    tier: Tier = Field(description="Which class of models it is, for choices that name a class.")
    role: Role = Field(default="aggregated", description="The phases of a request that it serves.")
    prefill_pool: DnsLabel | None = Field(default=None, description="role decode: the ModelPool that prefills for this one.")
    engine: Engine = Engine()
    speculation: Speculation | None = None
    parallelism: Parallelism = Parallelism()
    hardware: Hardware = Hardware()
    cache: ModelCache | None = None
    prices: Prices = Prices()
    hosting: Hosting | None = None
    objectives: Objectives = Objectives()
    replicas: Count = Field(default=1, description="Wanted replicas, unless autoscaling decides. Written by /scale.")
    autoscaling: Autoscaling | None = None
    cold_start: ColdStart = ColdStart()
    rollout: Rollout = Rollout()
    drain_seconds: Seconds = Field(default=60, description="How long a replica that must go may finish what it has begun.")
    runtime: Runtime = Field(default="Deployment", description="What runs the replicas. Can't be changed.")
    ray: RaySpec | None = None
    inference_pool: bool = Field(default=False, description="Also make a Gateway API InferencePool of the replicas.")
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(self.role == 'decode') == has(self.prefillPool)",
            "role decode needs prefillPool, and only it has one",
            lambda s: (s.role == "decode") == (s.prefill_pool is not None),
            "prefillPool",
        ),
        Rule(
            "self.runtime == 'RayService' || !has(self.ray)",
            "ray belongs to runtime RayService",
            lambda s: s.runtime == "RayService" or s.ray is None,
            "ray",
        ),
        Rule(
            "!has(self.ray) || self.ray.nodes == 1 || self.engine.kind == 'vllm'",
            "only engine vllm spans nodes",
            lambda s: s.ray is None or s.ray.nodes == 1 or s.engine.kind == "vllm",
            "ray.nodes",
        ),
        Rule(
            "self.runtime == 'RayService' || self.hardware.gpus == 0 "
            "|| self.parallelism.tensor * self.parallelism.pipeline <= self.hardware.gpus",
            "tensor times pipeline must fit into hardware.gpus: one pod is one replica; runtime RayService spans nodes",
            lambda s: (
                s.runtime == "RayService"
                or s.hardware.gpus == 0
                or s.parallelism.tensor * s.parallelism.pipeline <= s.hardware.gpus
            ),
            "parallelism",
        ),
        Rule(
            "self.tier == 'moe' || !self.parallelism.expert",
            "expert parallelism is for tier moe",
            lambda s: s.tier == "moe" or not s.parallelism.expert,
            "parallelism.expert",
        ),
    )
    # The names are the same, so one runtime's objects would stand in the other's way.
    change_rules: ClassVar[tuple[ChangeRule, ...]] = (
        ChangeRule("self.runtime == oldSelf.runtime", "runtime can't be changed: make another ModelPool", "runtime"),
    )
