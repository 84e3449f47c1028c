"""What holds for the objects of every pool; single manifests are in golden/."""

import functools
import importlib.util
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.manifests.children import Owner, children, obsolete
from controlplane.manifests.compute import gpus_per_pod
from controlplane.manifests.owner import owns, ref_of
from controlplane.manifests.quantity import canonical
from controlplane.manifests.revision import revision_of
from controlplane.manifests.superset import superset
from controlplane.names import POOL_LABEL, RAY_HEAD_LABEL, REVISION_LABEL
from controlplane.world import Platform, Ref
from tests.controlplane.manifests.documents import NAMES, PLATFORMS, documents
from tests.controlplane.manifests.pools import FULL, OWNER, PLAIN, POOLS, RAY, SIMULATED, VLLM, pool
from workers import config as worker
from workers import probe
from workers.ray.placement import RayArguments

VERSIONS = [f"1.{minor}" for minor in range(31, 38)]


def made(document: dict[str, Any], platform: Platform = PLAIN, replicas: int = 2, min_ready_s: int = 30) -> dict[str, Any]:
    """kind → object"""
    return {child["kind"]: child for child in children(OWNER, pool(document), platform, replicas, min_ready_s)}


def templates(objects: dict[str, Any]) -> dict[str, Any]:
    """Pod templates by what they are for: worker, head."""
    if "Deployment" in objects:
        return {"worker": objects["Deployment"]["spec"]["template"]}
    cluster = objects["RayService"]["spec"]["rayClusterConfig"]
    return {"worker": cluster["workerGroupSpecs"][0]["template"], "head": cluster["headGroupSpec"]["template"]}


def variables(objects: dict[str, Any]) -> dict[str, Any]:
    [container] = templates(objects)["worker"]["spec"]["containers"]
    names = [one["name"] for one in container["env"]]
    assert len(names) == len(set(names))
    return {one["name"]: one for one in container["env"]}


def worker_settings(objects: dict[str, Any]) -> worker.WorkerConfig:
    text = variables(objects)["HEADGATE_WORKER_CONFIG"]["value"]
    assert "$" not in text  # Kubernetes makes $(NAME) the variable's value and $$ one dollar
    return worker.load_variable({"HEADGATE_WORKER_CONFIG": text})


def values(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, tree
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from values(value, (*path, str(key)))


@given(documents(), PLATFORMS, NAMES, st.integers(0, 9), st.sampled_from([0, 30, 86400]))
@settings(deadline=None)
def test_every_pool(document: dict[str, Any], platform: Platform, name: str, replicas: int, min_ready_s: int) -> None:
    owner, spec = Owner("models", name, "u-1"), pool(document)
    listed = children(owner, spec, platform, replicas, min_ready_s)
    assert listed == children(owner, spec, platform, replicas, min_ready_s)
    objects = {child["kind"]: child for child in listed}
    assert len(objects) == len(listed)
    for child in listed:
        assert json.loads(json.dumps(child)) == child
        assert owns(owner, child)
        assert len(child["metadata"]["name"]) <= 63
        assert child["metadata"]["labels"][POOL_LABEL] == name
        for path, value in values({key: part for key, part in child.items() if key != "data"}):
            kept_by_the_server = path[-1:] == ("emptyDir",) or "nodeSelector" in path[-2:-1]
            assert value not in (None, "", {}, []) or kept_by_the_server, path
    workload = objects.get("Deployment") or objects["RayService"]
    worker_pod = templates(objects)["worker"]
    labels = worker_pod["metadata"]["labels"]
    assert labels[REVISION_LABEL] == workload["metadata"]["annotations"][REVISION_LABEL] == revision_of(spec, platform)
    assert objects["ControllerRevision"]["metadata"]["name"] == f"{name}-{revision_of(spec, platform)}"
    selectors = [objects["Service"]["spec"]["selector"], objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]]
    selectors += [one["labelSelector"]["matchLabels"] for one in worker_pod["spec"].get("topologySpreadConstraints", ())]
    if "Deployment" in objects:
        selectors.append(workload["spec"]["selector"]["matchLabels"])
        assert workload["spec"]["progressDeadlineSeconds"] > workload["spec"].get("minReadySeconds", 0)
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert worker_pod["spec"]["terminationGracePeriodSeconds"] > spec.drain_seconds
    check_container(worker_pod, spec.hardware.gpu_resource, gpus_per_pod(spec))


def check_container(template: dict[str, Any], gpu: str, gpus: int) -> None:
    [container] = template["spec"]["containers"]
    requests, limits = container["resources"]["requests"], container["resources"]["limits"]
    assert set(limits) == {"memory", *([gpu] if gpus else [])}
    assert limits.items() <= requests.items()
    assert requests.get(gpu) == (str(gpus) if gpus else None)
    assert all(canonical(amount) == amount for amount in requests.values())
    volumes = [volume["name"] for volume in template["spec"]["volumes"]]
    assert sorted(volumes) == sorted(mount["name"] for mount in container["volumeMounts"])
    assert len(volumes) == len(set(volumes)) == len({mount["mountPath"] for mount in container["volumeMounts"]})


@given(documents(), PLATFORMS)
@settings(deadline=None)
def test_the_worker_takes_its_settings(document: dict[str, Any], platform: Platform) -> None:
    objects, spec = made(document, platform), pool(document)
    config = worker_settings(objects)
    assert config.models == (spec.model.name, *spec.model.aliases)
    assert config.listen == f"0.0.0.0:{platform.worker_port}"
    assert config.drain_s == pytest.approx(spec.drain_seconds, abs=0.1)
    assert (config.tls is not None) == bool(platform.tls_secret)
    assert config.engine.kind == spec.engine.kind
    if "RayService" in objects:
        served = yaml.safe_load(objects["RayService"]["spec"]["serveConfigV2"])
        [application] = served["applications"]
        assert RayArguments.model_validate(application["args"]).config == config


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["vllm", "weights-image", "ray"])
def test_every_supported_version_knows_the_fields(name: str, version: str) -> None:
    document, platform = POOLS[name]
    objects = made(document, platform)
    for kind, child in objects.items():
        if kind not in ("RayService", "InferencePool"):
            kubernetes_validate.validate(child, version, strict=True)
    for template in templates(objects).values():
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": "p"}}
        kubernetes_validate.validate(pod, version, strict=True)


@given(documents(), PLATFORMS)
@settings(deadline=None, max_examples=15)
def test_random_pools_are_valid_in_the_oldest_version_too(document: dict[str, Any], platform: Platform) -> None:
    for child in made(document, platform).values():
        if child["kind"] not in ("RayService", "InferencePool"):
            kubernetes_validate.validate(child, VERSIONS[0], strict=True)


def test_a_head_pod_is_not_one_of_the_pool() -> None:
    labels = templates(made(RAY))["head"]["metadata"]["labels"]
    assert POOL_LABEL not in labels
    assert labels[RAY_HEAD_LABEL] == OWNER.name


def test_replicas_of_ray_are_outside_what_makes_a_pod() -> None:
    two, five = (made(RAY, replicas=replicas)["RayService"]["spec"] for replicas in (2, 5))
    [group_of_two], [group_of_five] = (spec["rayClusterConfig"]["workerGroupSpecs"] for spec in (two, five))
    assert (group_of_two.pop("replicas"), group_of_five.pop("replicas")) == (4, 10)  # of two nodes each
    assert two["rayClusterConfig"] == five["rayClusterConfig"]
    first, second = (yaml.safe_load(spec["serveConfigV2"])["applications"][0] for spec in (two, five))
    assert (first.pop("deployments"), second.pop("deployments")) == (
        [{"name": "worker", "num_replicas": 2}],
        [{"name": "worker", "num_replicas": 5}],
    )
    assert first == second


def test_ray_is_told_a_json_that_the_shell_leaves_alone() -> None:
    """KubeRay writes it into a command line as it stands: `ray start --resources=…`."""
    [group] = made(RAY)["RayService"]["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    [word] = shlex.split(group["rayStartParams"]["resources"])
    assert json.loads(word) == {"headgate_worker": 1}


@pytest.mark.parametrize(
    ("document", "replicas", "bound"),
    [
        (SIMULATED, 1, {"maxUnavailable": 1}),
        (SIMULATED, 9, {"maxUnavailable": 1}),
        (RAY, 0, {"minAvailable": 0}),
        (RAY, 1, {"minAvailable": 0}),
        (RAY, 3, {"minAvailable": 2}),
    ],
)
def test_one_replica_may_always_go(document: dict[str, Any], replicas: int, bound: dict[str, int]) -> None:
    budget = made(document, replicas=replicas)["PodDisruptionBudget"]["spec"]
    assert bound.items() <= budget.items()
    assert len(bound.keys() & budget.keys()) == len({"maxUnavailable", "minAvailable"} & budget.keys()) == 1


@pytest.mark.parametrize(
    ("cache", "home", "read_only"),
    [
        (None, "/cache/huggingface", None),
        ({"claimSize": "1Gi"}, "/models/huggingface", False),
        ({"claimSize": "1Gi", "mountPath": "/m/"}, "/m/huggingface", False),
        ({"existingClaim": "c", "accessMode": "ReadOnlyMany"}, "/cache/huggingface", True),
        ({"image": "weights:1"}, "/cache/huggingface", None),  # an image volume is read-only by nature, and says so
    ],
)
def test_downloads_go_where_they_can_stay(cache: dict[str, Any] | None, home: str, read_only: bool | None) -> None:
    document = {key: value for key, value in VLLM.items() if key != "cache"} | ({"cache": cache} if cache else {})
    objects = made(document)
    assert variables(objects)["HF_HOME"]["value"] == home
    mounts = {one["name"]: one for one in templates(objects)["worker"]["spec"]["containers"][0]["volumeMounts"]}
    if read_only is not None:
        assert mounts["models"].get("readOnly", False) is read_only


def test_a_pools_own_variables_win_except_over_what_the_worker_is_told() -> None:
    env = [{"name": name, "value": "mine"} for name in ("HF_HOME", "HOME", "POD_NAME", "MORE")]
    seen = variables(made({**VLLM, "engine": {"env": env}}))
    assert [name for name, one in seen.items() if one.get("value") == "mine"] == ["HOME", "HF_HOME", "MORE"]


@pytest.mark.parametrize("runtime", ["Deployment", "RayService"])
def test_with_tls_the_kubelet_asks_by_a_program(runtime: str) -> None:
    for platform, way in ((PLAIN, "grpc"), (FULL, "exec")):
        [container] = templates(made({**SIMULATED, "runtime": runtime}, platform))["worker"]["spec"]["containers"]
        probes = {name: probe for name, probe in container.items() if name.endswith("Probe")}
        assert probes
        assert all(way in probe for probe in probes.values())


def commands(container: dict[str, Any]) -> Iterator[list[str]]:
    for _, value in values(container):
        if isinstance(value, dict) and isinstance(value.get("command"), list):
            yield value["command"]


@pytest.mark.parametrize("runtime", ["Deployment", "RayService"])
def test_commands_are_there_and_take_their_arguments(runtime: str, tmp_path: Path) -> None:
    [container] = templates(made({**SIMULATED, "runtime": runtime}, FULL))["worker"]["spec"]["containers"]
    run = [shlex.split(command[2].removeprefix("exec ")) if command[0] == "sh" else command for command in commands(container)]
    modules = {command[2] for command in run}
    assert modules == {"workers.probe", "workers" if runtime == "Deployment" else "workers.ray.drain"}
    assert all(command[:2] == ["python", "-m"] and importlib.util.find_spec(command[2]) for command in run)
    for command in run:
        if command[2] == "workers.probe":
            assert probe.main([*command[3:], "--tls", str(tmp_path)]) == 2  # its certificate is missing, not an argument


@given(documents(), PLATFORMS)
@settings(deadline=None, max_examples=50)
def test_nothing_is_both_wanted_and_obsolete(document: dict[str, Any], platform: Platform) -> None:
    spec = pool(document)
    seen = {ref_of(child): child for child in children(OWNER, spec, platform, 3, 10)}
    assert obsolete(OWNER, spec, platform, seen) == ()


def test_what_is_no_longer_wanted() -> None:
    seen = {ref_of(child): child for child in children(OWNER, pool(VLLM), FULL, 2, 30)}
    less = {key: value for key, value in VLLM.items() if key not in ("cache", "inferencePool")}
    gone = obsolete(OWNER, pool(less), FULL, seen)
    assert gone == (Ref("inference.networking.k8s.io/v1", "InferencePool", "models", "chat"),)  # the claim stays, and revisions
    stranger = Owner(OWNER.namespace, OWNER.name, "another-uid")
    assert obsolete(stranger, pool(less), FULL, seen) == ()


def test_a_size_that_changes_touches_the_claim_alone() -> None:
    before, after = made(VLLM, FULL), made({**VLLM, "cache": {**VLLM["cache"], "claimSize": "1Ti"}}, FULL)
    changed = {kind for kind in before if before[kind] != after[kind]}
    assert changed == {"PersistentVolumeClaim"}


def test_superset_knows_all_that_we_render() -> None:
    for document, platform in POOLS.values():
        for child in made(document, platform).values():
            assert superset(child, child)
            for path, value in values(child):
                if path and not isinstance(value, dict | list):
                    assert not superset(without(child, path), child), path


def without(tree: Any, path: tuple[str, ...]) -> Any:
    """A copy that has something else at the path."""
    copy = json.loads(json.dumps(tree))
    parent = functools.reduce(lambda at, key: at[int(key) if isinstance(at, list) else key], path[:-1], copy)
    parent[int(path[-1]) if isinstance(parent, list) else path[-1]] = "something else"
    return copy
