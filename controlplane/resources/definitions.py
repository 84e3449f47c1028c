"""The three kinds: what each is called, what its parts are typed by, and what `kubectl get` shows of it."""

import re
from dataclasses import dataclass
from typing import Generic, TypeVar

from controlplane.resources.kube_model import KubeModel
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.routing_policy import RoutingPolicySpec
from controlplane.resources.status import ModelPoolStatus, RoutingPolicyStatus, TenantStatus
from controlplane.resources.tenant import TenantSpec

Spec = TypeVar("Spec", bound=KubeModel)
Status = TypeVar("Status", bound=KubeModel)


@dataclass(frozen=True, slots=True)
class Column:
    """One printer column; `wide` ones are shown with `-o wide` alone."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class NameRule:
    """What `metadata.name` must be, beyond what Kubernetes demands, and why."""

    pattern: str
    longest: int
    message: str
    reserved: tuple[str, ...] = ()

    def holds(self, name: str) -> bool:
        return len(name) <= self.longest and name not in self.reserved and re.fullmatch(self.pattern, name) is not None

    @property
    def cel(self) -> str:
        reserved = "".join(f" && self.metadata.name != '{word}'" for word in self.reserved)
        return f"self.metadata.name.size() <= {self.longest} && self.metadata.name.matches('^{self.pattern}$')" + reserved


@dataclass(frozen=True, slots=True)
class Definition(Generic[Spec, Status]):
    """One CustomResourceDefinition. `scale`: it has `/scale`, over spec.replicas, status.replicas and status.selector."""

    kind: str
    plural: str
    description: str
    spec: type[Spec]
    status: type[Status]
    name: NameRule
    columns: tuple[Column, ...]
    short_names: tuple[str, ...] = ()
    scale: bool = False


def _condition(kind: str, part: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{part}'


AGE = Column("Age", ".metadata.creationTimestamp", "date")
# Other objects refer to these by a name of this form.
LABEL = NameRule(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", 63, "must be a DNS label: at most 63 of a-z, 0-9 and -, no - at either end")

MODEL_POOL = Definition(
    kind="ModelPool",
    plural="modelpools",
    description="Replicas of one model on one kind of hardware: what they promise, what they cost, and how they change.",
    spec=ModelPoolSpec,
    status=ModelPoolStatus,
    name=NameRule(
        r"[a-z]([-a-z0-9]*[a-z0-9])?",  # RFC 1035: it names a Service too
        50,  # 63 for a label, less what Deployments and pods append to it
        "must begin with a letter and have at most 50 of a-z, 0-9 and -, no - at the end, and not be auto, the name that "
        "leaves the choice to the router",
        reserved=("auto",),
    ),
    columns=(
        Column("Tier", ".spec.tier"),
        Column("Model", ".spec.model.name"),
        Column("Ready", ".status.ready", description="Ready of wanted replicas."),
        Column("Updated", ".status.updatedReplicas", "integer", description="Replicas of the newest revision."),
        Column("Available", _condition("Available", "status")),
        Column("Reason", _condition("Available", "reason")),
        AGE,
        Column("Runtime", ".spec.runtime", wide=True),
        Column("GPU", ".spec.hardware.gpus", "integer", wide=True, description="GPUs per pod."),
        Column("Price", ".spec.prices.outputUsdPerMtok", "number", wide=True, description="USD per million output tokens."),
        Column("Image", ".spec.engine.image", wide=True),
        Column("Revision", ".status.rollout.revision", wide=True),
    ),
    short_names=("mp",),
    scale=True,
)

TENANT = Definition(
    kind="Tenant",
    plural="tenants",
    description="Who may ask, for what, with what weight and for how much.",
    spec=TenantSpec,
    status=TenantStatus,
    name=LABEL,
    columns=(
        Column("Weight", ".spec.weight", "number"),
        Column("Priority", ".spec.priority", "integer"),
        Column("Budget", ".spec.budget.usd", "number", description="USD per window."),
        Column("Window", ".spec.budget.window"),
        Column("Keys", ".status.keys", "integer", description="API keys that were found."),
        Column("Accepted", _condition("Accepted", "status")),
        AGE,
        Column("Parent", ".spec.parent", wide=True),
        Column("Policy", ".spec.policy", wide=True),
        Column("Reason", _condition("Accepted", "reason"), wide=True),
    ),
)

ROUTING_POLICY = Definition(
    kind="RoutingPolicy",
    plural="routingpolicies",
    description="How a pool is chosen for requests that leave the choice to the router.",
    spec=RoutingPolicySpec,
    status=RoutingPolicyStatus,
    name=LABEL,
    columns=(
        Column("Strategy", ".spec.strategy"),
        Column("Pool", ".spec.pool"),
        Column("Floor", ".spec.qualityFloor", "number", description="The least predicted quality."),
        Column("Accepted", _condition("Accepted", "status")),
        AGE,
        Column("Reason", _condition("Accepted", "reason"), wide=True),
    ),
    short_names=("rp",),
)

DEFINITIONS = (MODEL_POOL, TENANT, ROUTING_POLICY)
