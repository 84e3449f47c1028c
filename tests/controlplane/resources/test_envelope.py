"""One object as the API server holds it, typed."""

from typing import Any

import pytest

from controlplane.resources.definitions import MODEL_POOL, TENANT
from controlplane.resources.envelope import definition_of, parse, parse_status
from controlplane.resources.faults import InvalidObject, path_of
from controlplane.resources.status import Condition, ModelPoolStatus, RolloutStatus, ScalingStatus, TenantStatus
from tests.controlplane.resources.samples import MINIMAL, wrapped

ACCEPTED = {
    "type": "Accepted",
    "status": "True",
    "reason": "Valid",
    "lastTransitionTime": "2026-11-21T14:50:00Z",
}


def test_what_surrounds_the_spec() -> None:
    seen = wrapped("ModelPool", MINIMAL["ModelPool"])
    seen["metadata"] |= {
        "namespace": "ml",
        "uid": "u-1",
        "generation": 3,
        "resourceVersion": "41",
        "creationTimestamp": "1970-01-01T00:01:40Z",
        "deletionTimestamp": "1970-01-01T00:02:00Z",
        "labels": {"a": "b"},
        "annotations": {"headgate.dev/retry": "2"},
        "finalizers": ["x"],
        "managedFields": [],
    }
    seen["status"] = {"observedGeneration": 2, "readyReplicas": 1, "conditions": [ACCEPTED]}
    pool = parse(seen, MODEL_POOL)
    assert (pool.kind, pool.namespace, pool.name, pool.uid) == ("ModelPool", "ml", "sample", "u-1")
    assert (pool.generation, pool.resource_version, pool.created_s) == (3, "41", 100.0)
    assert (pool.deleted_s, pool.deleting) == (120.0, True)
    assert (pool.labels, pool.annotations) == ({"a": "b"}, {"headgate.dev/retry": "2"})
    assert pool.spec.model.name == "m"
    assert (pool.status.observed_generation, pool.status.ready_replicas) == (2, 1)
    assert [condition.type for condition in pool.status.conditions] == ["Accepted"]


def test_from_a_file_without_an_api_server() -> None:
    tenant = parse(wrapped("Tenant", {}), TENANT)
    assert (tenant.namespace, tenant.uid, tenant.created_s, tenant.deleting) == ("", "", 0.0, False)
    assert tenant.status == TenantStatus()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"spec": None}, "spec"),
        ({"spec": []}, "spec"),
        ({"metadata": None}, "metadata.name"),
        ({"kind": "Tenant"}, "kind"),
        ({"apiVersion": "v1"}, "kind"),
        ({"data": {}}, "data"),
        ({"metadata": {"name": "a", "creationTimestamp": "yesterday"}}, "metadata.creationTimestamp"),
        ({"metadata": {"name": "a", "deletionTimestamp": 5}}, "metadata.deletionTimestamp"),
    ],
)
def test_what_is_no_object_of_the_kind(change: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidObject) as refused:
        parse(wrapped("ModelPool", MINIMAL["ModelPool"]) | change, MODEL_POOL)
    assert [fault.path for fault in refused.value.faults] == [path]


def test_the_definition_is_told_by_kind_and_version() -> None:
    assert definition_of(wrapped("Tenant", {})) is TENANT
    with pytest.raises(InvalidObject, match=r"apiVersion: must be headgate\.dev/v1alpha1"):
        definition_of({"apiVersion": "headgate.dev/v2", "kind": "Tenant"})
    with pytest.raises(InvalidObject, match="kind: must be one of"):
        definition_of({"apiVersion": "headgate.dev/v1alpha1"})


def test_python_names_are_not_names_on_the_wire() -> None:
    with pytest.raises(InvalidObject, match=r"spec\.cache_group: unknown field"):
        parse(wrapped("Tenant", {"cache_group": "a"}), TENANT)


@pytest.mark.parametrize(
    ("seen", "known"),
    [
        (None, ModelPoolStatus()),
        ("broken", ModelPoolStatus()),
        ({"phase": "Running", "replicas": 2}, ModelPoolStatus(replicas=2)),
        ({"replicas": "many", "readyReplicas": 1}, ModelPoolStatus(ready_replicas=1)),
        ({"scaling": {"desiredReplicas": 4, "mood": "good"}}, ModelPoolStatus(scaling=ScalingStatus(desired_replicas=4))),
        ({"scaling": {"desiredReplicas": [], "reason": "r"}}, ModelPoolStatus(scaling=ScalingStatus(reason="r"))),
        ({"scaling": [], "rollout": {"revision": "a"}}, ModelPoolStatus(rollout=RolloutStatus(revision="a"))),
        (
            {"conditions": [ACCEPTED | {"type": "Healthy"}, ACCEPTED, {"type": "Degraded"}, "odd"]},
            ModelPoolStatus(conditions=[Condition.model_validate(ACCEPTED)]),
        ),
        ({"conditions": [ACCEPTED | {"severity": "low", "status": "Maybe"}]}, ModelPoolStatus()),
        ({"conditions": {"Accepted": True}, "replicas": None}, ModelPoolStatus()),
    ],
)
def test_a_status_that_another_version_wrote(seen: Any, known: ModelPoolStatus) -> None:
    assert parse_status(seen, ModelPoolStatus) == known


def test_paths_as_the_api_server_writes_them() -> None:
    assert path_of(("spec", "engine", "env", 0, "name")) == "spec.engine.env[0].name"
    assert path_of(("spec", "hardware", "nodeSelector", "a", "[key]")) == "spec.hardware.nodeSelector.a"
