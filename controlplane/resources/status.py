"""What the control plane says of an object: conditions as Kubernetes has them, and figures. Written by us alone."""

from typing import Annotated, Literal

from pydantic import Field

from controlplane.resources.kube_model import Distinct, KubeModel

ConditionType = Literal["Accepted", "Progressing", "Available", "Degraded"]


class Condition(KubeModel):
    """metav1.Condition. `last_transition_time` is RFC 3339 and moves only when `status` does."""

    type: ConditionType = Field(description="What is said to be so or not.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it is so.")
    reason: str = Field(
        min_length=1,
        max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Why, in one word for programs.",
    )
    message: str = Field(default="", max_length=32768, description="Details, for people.")
    observed_generation: int = Field(default=0, description="The metadata.generation that this was said of.")
    last_transition_time: str = Field(description="When status last changed, RFC 3339.")


class ScalingStatus(KubeModel):
    """What autoscaling last decided, and why; also its memory over a restart. Times are RFC 3339.

    `lower_since` (or `higher_since`) is when load began to ask for fewer (more) replicas than there are to be, and
    `held_replicas` the most (the fewest) that it has asked for since. `slots_per_replica` is what a replica runs at once and
    `service_seconds` how long a request takes in it, kept for when no replica is there to tell.
    """

    desired_replicas: int = Field(default=0, description="Replicas that there are to be.")
    reason: str = Field(default="", description="Why, for people.")
    last_scale_time: str | None = Field(default=None, description="When desiredReplicas last changed.")
    lower_since: str | None = Field(default=None, description="Since when load has asked for fewer replicas.")
    higher_since: str | None = Field(default=None, description="Since when load has asked for more replicas.")
    held_replicas: int | None = Field(
        default=None, description="The nearest to desiredReplicas that load has asked for since then."
    )
    last_request_time: str | None = Field(default=None, description="When a request last came.")
    cold_start_seconds: float | None = Field(
        default=None, description="How long a replica takes to be ready, as last measured."
    )
    slots_per_replica: float | None = Field(default=None, description="Requests that a replica runs at once, as last measured.")
    service_seconds: float | None = Field(default=None, description="How long a request takes in a replica, as last measured.")
    strained_at: float | None = Field(
        default=None, description="Requests at once in each replica that were too many for the objectives, as last seen."
    )
    gpus_granted: int | None = Field(
        default=None, description="GPUs that the budget allows this pool; absent where there is no budget."
    )


class RolloutStatus(KubeModel):
    """Where a change stands. Revisions are hashes of what makes a pod; their contents are ControllerRevisions.

    `failed_retry` is what annotation headgate.dev/retry said when `failed_revision` failed, `ready_most` the most replicas of
    `revision` that have been ready at once: only more than that is progress.
    """

    revision: str = Field(default="", description="The revision that is wanted.")
    stable_revision: str = Field(default="", description="The last revision that all replicas had and served well with.")
    failed_revision: str = Field(
        default="",
        description="The revision that was taken back; tried again when the spec or annotation headgate.dev/retry changes.",
    )
    failed_retry: str = Field(default="", description="What that annotation said when it failed.")
    ready_most: int = Field(default=0, description="The most replicas of the wanted revision that were ready at once.")
    started_time: str | None = Field(default=None, description="When the change began, RFC 3339.")
    progressed_time: str | None = Field(default=None, description="When it last came further, RFC 3339.")
    reason: str = Field(default="", description="Why, for people.")


class ModelPoolStatus(KubeModel):
    """What is."""

    observed_generation: int = Field(default=0, description="The metadata.generation that this was said of.")
    replicas: int = Field(default=0, description="Replicas that there are, for /scale.")
    ready_replicas: int = Field(default=0, description="Replicas that take requests.")
    updated_replicas: int = Field(default=0, description="Replicas of the wanted revision.")
    available_replicas: int = Field(default=0, description="Replicas that have been ready for long enough.")
    ready: str = Field(default="", description="Ready of wanted replicas, such as 2/3, for kubectl get.")
    selector: str = Field(default="", description="Selects the pods, for /scale.")
    scaling: ScalingStatus | None = Field(default=None, description="What autoscaling last decided, and why.")
    rollout: RolloutStatus | None = Field(default=None, description="Where a change stands.")
    conditions: Annotated[list[Condition], Distinct("type")] = Field(
        default=[], description="What is so and what is not, as Kubernetes says it."
    )


class TenantStatus(KubeModel):
    """What is."""

    observed_generation: int = Field(default=0, description="The metadata.generation that this was said of.")
    keys: int = Field(default=0, description="API keys that were found and are this tenant's alone.")
    conditions: Annotated[list[Condition], Distinct("type")] = Field(
        default=[], description="What is so and what is not, as Kubernetes says it."
    )


class RoutingPolicyStatus(KubeModel):
    """What is."""

    observed_generation: int = Field(default=0, description="The metadata.generation that this was said of.")
    conditions: Annotated[list[Condition], Distinct("type")] = Field(
        default=[], description="What is so and what is not, as Kubernetes says it."
    )
