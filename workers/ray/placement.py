"""Where Ray may put a replica, and what the engine must be told when it spans nodes. Pure; Ray is not imported."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from workers.config import Strict, VllmEngine, WorkerConfig

# Each Ray node that may hold a replica has one of these: replicas listen on a fixed port of their node, so two would collide.
# The head of a cluster has none, and holds no replica.
NODE_RESOURCE = "headgate_worker"


class RayArguments(Strict):
    """`args` of the Serve application.

    nodes    Ray nodes that one replica spans; more than one is for vLLM, which then runs its ranks as Ray actors
    gpus     GPUs that a replica takes on each of them
    env      environment variables of the replica, on top of its node's
    """

    config: WorkerConfig
    nodes: int = Field(default=1, ge=1, le=1000)
    gpus: int = Field(default=0, ge=0, le=64)
    env: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _spans(self) -> "RayArguments":
        if self.nodes > 1 and not isinstance(self.config.engine, VllmEngine):
            raise ValueError("only engine vllm can span nodes: set 'nodes' to 1")
        return self


@dataclass(frozen=True, slots=True)
class Placement:
    """Ray's own words: `actor` is ray_actor_options; `bundles`, where there are any, become the replica's placement group."""

    actor: Mapping[str, Any]
    bundles: tuple[Mapping[str, float], ...] = ()


def place(arguments: RayArguments) -> Placement:
    """CPUs are left out of the account, so that a node's size never keeps its one replica from starting.

    Over several nodes vLLM wants a bundle of at most one GPU for each rank, and the replica's actor itself takes none of them.
    """
    actor: dict[str, Any] = {"num_cpus": 0, "resources": {NODE_RESOURCE: 1}}
    if arguments.env:
        actor["runtime_env"] = {"env_vars": dict(arguments.env)}
    if arguments.nodes == 1:
        return Placement(actor | {"num_gpus": arguments.gpus})
    rank: dict[str, float] = {"GPU": 1} if arguments.gpus else {"CPU": 1}
    ranks = [rank] * (arguments.nodes * max(1, arguments.gpus))
    return Placement(actor | {"num_gpus": 0}, ({**rank, NODE_RESOURCE: 1}, *ranks[1:]))


def on_node(arguments: RayArguments, node_address: str) -> WorkerConfig:
    """The worker's settings on the node where it has landed.

    A Ray node is known by one address, so `0.0.0.0` becomes that one: it is the pod's in Kubernetes, and tells apart nodes that
    share a machine.
    """
    config = arguments.config
    changes: dict[str, Any] = {}
    host, _, port = config.listen.rpartition(":")
    if host == "0.0.0.0":  # noqa: S104 - compared, not bound
        changes["listen"] = f"{node_address}:{port}"
    if arguments.nodes > 1 and isinstance(config.engine, VllmEngine):
        extra = {"distributed_executor_backend": "ray"} | config.engine.extra_engine_args
        changes["engine"] = config.engine.model_copy(update={"extra_engine_args": extra})
    return config.model_copy(update=changes)
