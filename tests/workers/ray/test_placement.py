"""Where replicas may go and what spans nodes. Ray itself is not needed for it."""

from typing import Any

import pytest
from pydantic import ValidationError

from workers.config import VllmEngine
from workers.ray.placement import RayArguments, on_node, place

SIMULATED = {"models": ["m"], "engine": {"kind": "simulated"}, "listen": "0.0.0.0:7000"}


def vllm(**engine: Any) -> dict[str, Any]:
    return {"models": ["m"], "engine": {"kind": "vllm", "model": "owner/m", **engine}, "listen": "0.0.0.0:7000"}


def arguments(config: dict[str, Any], **more: Any) -> RayArguments:
    return RayArguments.model_validate({"config": config, **more})


def test_a_replica_takes_the_slot_of_its_node_and_its_gpus() -> None:
    placement = place(arguments(vllm(), gpus=8))
    assert placement.actor == {"num_cpus": 0, "num_gpus": 8, "resources": {"headgate_worker": 1}}
    assert placement.bundles == ()


def test_over_nodes_each_rank_has_a_bundle_and_the_actor_no_gpu() -> None:
    placement = place(arguments(vllm(tensor_parallel_size=2), nodes=3, gpus=2))
    assert placement.actor["num_gpus"] == 0
    assert placement.bundles == ({"GPU": 1, "headgate_worker": 1}, *[{"GPU": 1}] * 5)


def test_over_nodes_without_gpus_each_node_has_a_cpu_bundle() -> None:
    assert place(arguments(vllm(), nodes=2)).bundles == ({"CPU": 1, "headgate_worker": 1}, {"CPU": 1})


def test_environment_reaches_the_actor() -> None:
    actor = place(arguments(SIMULATED, env={"OMP_NUM_THREADS": "2"})).actor
    assert actor["runtime_env"] == {"env_vars": {"OMP_NUM_THREADS": "2"}}


def test_only_vllm_spans_nodes() -> None:
    with pytest.raises(ValidationError, match="only engine vllm can span nodes"):
        arguments(SIMULATED, nodes=2)


def test_unknown_arguments_are_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="replicas"):
        arguments(SIMULATED, replicas=2)


@pytest.mark.parametrize(
    ("listen", "becomes"), [("0.0.0.0:7000", "10.1.2.3:7000"), ("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:7000", "[::1]:7000")]
)
def test_it_listens_on_its_nodes_address(listen: str, becomes: str) -> None:
    given = arguments({**SIMULATED, "listen": listen})
    assert on_node(given, "10.1.2.3").listen == becomes


def test_vllm_over_nodes_runs_its_ranks_as_ray_actors_unless_told_otherwise() -> None:
    told: list[Any] = []
    for extra in ({}, {"distributed_executor_backend": "mp"}):
        engine = on_node(arguments(vllm(extra_engine_args=extra), nodes=2, gpus=1), "10.1.2.3").engine
        assert isinstance(engine, VllmEngine)
        told.append(engine.extra_engine_args["distributed_executor_backend"])
    assert told == ["ray", "mp"]


def test_one_node_leaves_the_engine_alone() -> None:
    given = arguments(vllm(), gpus=8)
    assert on_node(given, "10.1.2.3").engine == given.config.engine
