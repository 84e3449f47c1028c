"""What is a rollout, and what is not; and the way back."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from controlplane.manifests.children import children
from controlplane.manifests.revision import revision_data, revision_of, spec_at
from controlplane.world import Platform
from tests.controlplane.manifests.documents import PLATFORMS, documents
from tests.controlplane.manifests.pools import OWNER, PLAIN, RAY, SIMULATED, VLLM, pool

SAME_PODS: list[dict[str, Any]] = [
    {"replicas": 7},
    {"tier": "moe"},
    {"role": "prefill"},
    {"prices": {"outputUsdPerMtok": 3}},
    {"hosting": {"usdPerHour": 4.0, "powerWatts": 700}},
    {"objectives": {"ttftMs": 1}},
    {"autoscaling": {"maxReplicas": 9}},
    {"coldStart": {"policy": "Refuse"}},
    {"rollout": {"maxSurge": 5, "warmSeconds": 600}},
    {"inferencePool": False},
    {"hardware": {**VLLM["hardware"], "cpu": "16", "memory": "512Gi", "sharedMemory": "16Gi"}},
    {"cache": {"claimSize": "9Ti", "storageClass": "shared"}},
]
OTHER_PODS: list[dict[str, Any]] = [
    {"model": {"name": "other"}},
    {"model": {**VLLM["model"], "aliases": ["other"]}},
    {"model": {**VLLM["model"], "revision": "next"}},
    {"engine": {**VLLM["engine"], "image": "headgate/worker:next"}},
    {"engine": {**VLLM["engine"], "args": {"max_model_len": 1}}},
    {"engine": {**VLLM["engine"], "env": []}},
    {"speculation": {"method": "ngram", "numSpeculativeTokens": 3}},
    {"parallelism": {"tensor": 8}},
    {"hardware": {**VLLM["hardware"], "memory": "1Ti"}},
    {"hardware": {**VLLM["hardware"], "spread": "none"}},
    {"cache": {"existingClaim": "weights"}},
    {"cache": {**VLLM["cache"], "mountPath": "/elsewhere"}},
    {"drainSeconds": 121},
]


@pytest.mark.parametrize("change", SAME_PODS, ids=str)
def test_no_rollout(change: dict[str, Any]) -> None:
    assert revision_of(pool(VLLM, **change), PLAIN) == revision_of(pool(VLLM), PLAIN)


@pytest.mark.parametrize("change", OTHER_PODS, ids=str)
def test_a_rollout(change: dict[str, Any]) -> None:
    assert revision_of(pool(VLLM, **change), PLAIN) != revision_of(pool(VLLM), PLAIN)


def test_every_change_is_another_revision() -> None:
    revisions = [revision_of(pool(VLLM, **change), PLAIN) for change in OTHER_PODS]
    assert len(set(revisions)) == len(revisions)
    assert all(len(revision) == 10 and set(revision) <= set("0123456789abcdef") for revision in revisions)


@pytest.mark.parametrize(
    ("change", "rollout"),
    [
        ({"worker_image": "headgate/worker:next"}, True),
        ({"tls_secret": "worker-tls"}, True),
        ({"worker_port": 7001}, True),
        ({"service_account": "worker"}, True),
        ({"labels": {"helm.sh/chart": "headgate-9"}}, False),
        ({"kube_minor": 37}, False),
        ({"endpoint_picker": "picker"}, False),
        ({"has": frozenset({"RayService"})}, False),
    ],
)
def test_changes_of_the_installation(change: dict[str, Any], rollout: bool) -> None:
    for document in (SIMULATED, RAY):
        after = revision_of(pool(document), replace(PLAIN, **change))
        assert (after != revision_of(pool(document), PLAIN)) is rollout


@given(documents(), documents(), PLATFORMS)
@settings(deadline=None)
def test_the_way_back(then: dict[str, Any], now: dict[str, Any], platform: Platform) -> None:
    """Through JSON, as a ControllerRevision keeps it."""
    old, new = pool(then), pool({**now, "tier": "small", "parallelism": {}, "hardware": {}, "replicas": 3})
    data = json.loads(json.dumps(revision_data(old, platform)))
    back = spec_at(new, data)
    assert revision_of(back, platform) == revision_of(old, platform)
    assert revision_data(back, platform) == data
    assert (back.tier, back.replicas, back.prices, back.rollout) == (new.tier, 3, new.prices, new.rollout)
    workload = {"Deployment", "RayService"}
    again, first = (
        [child["spec"] for child in children(OWNER, spec, platform, 2, 0) if child["kind"] in workload] for spec in (back, old)
    )
    assert again == first


def test_the_way_back_from_an_upgrade_of_the_installation() -> None:
    """The image that worked comes back, although nobody wrote it into the pool."""
    upgraded = replace(PLAIN, worker_image="headgate/worker:broken")
    assert revision_of(pool(VLLM), upgraded) != revision_of(pool(VLLM), PLAIN)
    back = spec_at(pool(VLLM), revision_data(pool(VLLM), PLAIN))
    assert back.engine.image == PLAIN.worker_image
    assert revision_of(back, upgraded) == revision_of(pool(VLLM), PLAIN)


def claims(document: dict[str, Any], data: dict[str, Any]) -> tuple[list[Any], str]:
    """Sizes of the claims that are applied on the way back, and the claim that pods mount."""
    objects = {child["kind"]: child for child in children(OWNER, spec_at(pool(document), data), PLAIN, 1, 0)}
    sizes = [child["spec"]["resources"]["requests"]["storage"] for kind, child in objects.items() if "Claim" in kind]
    [volume] = [one for one in objects["Deployment"]["spec"]["template"]["spec"]["volumes"] if one["name"] == "models"]
    return sizes, volume["persistentVolumeClaim"]["claimName"]


def test_the_claim_keeps_its_size_on_the_way_back() -> None:
    """A claim can't shrink, and one that is no longer wanted is still there."""
    data = revision_data(pool(VLLM), PLAIN)
    grown = {**VLLM, "cache": {"claimSize": "2048Gi", "storageClass": "shared"}}
    without = {key: value for key, value in VLLM.items() if key != "cache"}
    assert claims(grown, data) == (["2Ti"], "chat-models")
    assert claims(without, data) == ([], "chat-models")
    assert claims({**VLLM, "cache": {"existingClaim": "weights"}}, data) == ([], "chat-models")


@pytest.mark.parametrize(
    "data", [{}, {"model": {}}, {"model": {"name": "m"}, "colour": "red"}, {"model": {"name": "m"}, "runtime": "Job"}]
)
def test_data_of_others(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        spec_at(pool(VLLM), data)


def test_only_what_is_not_default_is_kept() -> None:
    """So that a field that a later version adds makes no rollout."""
    assert revision_data(pool(SIMULATED), PLAIN) == {
        "model": {"name": "sim"},
        "engine": {"kind": "simulated", "image": PLAIN.worker_image, "args": SIMULATED["engine"]["args"]},
    }
