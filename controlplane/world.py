"""What plans are made from and what they come to: frozen values, no I/O. Times are Unix seconds (UTC), durations seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.status import ModelPoolStatus

Object = Mapping[str, Any]  # a Kubernetes object as JSON has it


@dataclass(frozen=True, slots=True)
class Ref:
    """Names one object. `api` is group/version ("v1" for the core group)."""

    api: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class PodSeen:
    """One pod of a pool. `revision` is its label headgate.dev/revision. `trouble` says why it is not coming up: the reason that
    Kubernetes gives (Unschedulable, CrashLoopBackOff, ImagePullBackOff, CreateContainerConfigError…) and its message."""

    name: str
    revision: str
    created_s: float
    ready: bool = False
    ready_since_s: float | None = None
    terminating: bool = False
    ip: str = ""
    trouble: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RevisionLoad:
    """What routers counted for one revision of a pool over the last `over_s`. Rates are per second, over all routers."""

    over_s: float = 0.0
    requests: int = 0
    errors: int = 0
    prefix_query_tokens: int = 0
    prefix_hit_tokens: int = 0


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """A pool's load as routers told it. `routers` is how many reported lately; 0 means that nothing is known.

    arrivals_per_s   requests whose first choice was this pool
    waiting          requests that wait: in routers for a replica, and in replicas' queues
    running          requests in replicas
    slots            requests that ready replicas can run at once, together
    ttft_met, tpot_met  share of answers within the objective, None where there were none
    kv_used          mean over ready replicas, 0 to 1
    oldest_wait_s    how long the oldest request in a router has waited for any replica
    answers_per_s    requests that were answered to the end; with arrivals_per_s it tells whether a backlog grows
    over_s           what the rates are counted over; it says how far they are chance
    """

    routers: int = 0
    seen_s: float = 0.0
    arrivals_per_s: float = 0.0
    waiting: int = 0
    running: int = 0
    slots: int = 0
    ttft_met: float | None = None
    tpot_met: float | None = None
    kv_used: float = 0.0
    oldest_wait_s: float = 0.0
    answers_per_s: float = 0.0
    over_s: float = 0.0
    revisions: Mapping[str, RevisionLoad] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeRoom:
    """What one schedulable node has: GPUs in all by resource name, and its labels."""

    name: str
    gpus: Mapping[str, int]
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[tuple[str, str, str], ...] = ()  # key, value, effect


@dataclass(frozen=True, slots=True)
class RaySeen:
    """A RayService pool's Ray, asked directly: KubeRay's own status freezes when Ray dies.

    last_answer_s   when it last answered, this time included; None: never since this process began to ask
    replicas        Serve replicas that run; None where Ray did not say
    """

    asked_s: float
    answered: bool
    fault: str = ""
    applications: Mapping[str, str] = field(default_factory=dict)  # name → status
    last_answer_s: float | None = None
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Everything a plan for one ModelPool may know, seen at `now_s`.

    children      our objects of this pool as they are now, whoever made them, by Ref
    revisions     specs of earlier revisions by their hash, from ControllerRevisions
    secrets_missing   "secret/key" pairs that the spec names and that are not there
    name_owner    namespace/name of an older ModelPool that already serves this pool's or model's name, or ""
    pools         names of all ModelPools of the namespace (decode pools name their prefill pool)
    granted       replicas that the GPU budget allows this pool now; None: no budget is set
    annotations   of the ModelPool itself; headgate.dev/retry lets a failed revision be tried again
    """

    namespace: str
    name: str
    uid: str
    generation: int
    spec: ModelPoolSpec
    status: ModelPoolStatus
    now_s: float
    deleting: bool = False
    children: Mapping[Ref, Object] = field(default_factory=dict)
    revisions: Mapping[str, Object] = field(default_factory=dict)
    pods: tuple[PodSeen, ...] = ()
    nodes: tuple[NodeRoom, ...] | None = None
    load: PoolLoad = PoolLoad()
    secrets_missing: tuple[str, ...] = ()
    name_owner: str = ""
    pools: frozenset[str] = frozenset()
    granted: int | None = None
    ray: RaySeen | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """A Kubernetes event to record on the object. `reason` is UpperCamelCase."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do. `apply` is in order, by server-side apply, without what is equal already. `requeue_after_s`: look again."""

    apply: tuple[Object, ...]
    delete: tuple[Ref, ...]
    status: ModelPoolStatus
    notes: tuple[Note, ...] = ()
    requeue_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Platform:
    """What the installation gives every pool; from the control plane's config.

    tls_secret     Secret (tls.crt, tls.key, ca.crt) that workers serve with; "" without TLS
    kube_minor     minor version of the API server, for what not every version accepts
    has            optional APIs that the cluster serves: "RayService", "InferencePool"
    """

    worker_image: str
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = ""
    tls_secret: str = ""
    worker_port: int = 7000
    kube_minor: int = 36
    has: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    endpoint_picker: str = ""  # Service that InferencePools name as their picker
