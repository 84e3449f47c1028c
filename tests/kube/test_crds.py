"""Our CRDs on a real API server: what it refuses, defaults, prints and explains, and that the classes agree."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.resources.definitions import DEFINITIONS
from controlplane.resources.envelope import definition_of, parse
from controlplane.resources.examples import EXAMPLES
from controlplane.resources.faults import InvalidObject
from controlplane.resources.status import (
    Condition,
    ModelPoolStatus,
    RolloutStatus,
    RoutingPolicyStatus,
    ScalingStatus,
    TenantStatus,
)
from tests.controlplane.resources.invalid import CASES
from tests.controlplane.resources.mutations import objects
from tests.controlplane.resources.samples import API, FULL, MINIMAL, changed, wrapped
from tests.kube.cluster.cluster import Cluster
from tests.kube.cluster.rest import ApiError

pytestmark = pytest.mark.requires("kube")

Create = Callable[..., dict[str, Any]]
PLURALS = {definition.kind: definition.plural for definition in DEFINITIONS}
CRDS = Path(__file__).resolve().parents[2] / "helm" / "crds"
DRY = "dryRun=All&fieldValidation=Strict"


@pytest.fixture(scope="module", autouse=True)
def _installed(cluster: Cluster) -> None:
    cluster.install_crds_from(CRDS)


@pytest.fixture
def create(cluster: Cluster, namespace: str) -> Create:
    """Creates an object and returns it as the server made it; by default only on trial. Raises ApiError."""

    def create(made: dict[str, Any], query: str = DRY) -> dict[str, Any]:
        answer: dict[str, Any] = cluster.rest(
            "POST", f"/apis/{API}/namespaces/{namespace}/{PLURALS[made['kind']]}?{query}", made
        )
        return answer

    return create


def test_the_server_has_no_doubts_about_them(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--warnings-as-errors", f"--filename={CRDS}")


def test_the_server_refuses_the_same_and_names_the_field(create: Create) -> None:
    agreed = []
    for case in CASES:
        with pytest.raises(ApiError) as refused:
            create(case.object)
        said = str(refused.value)
        assert case.path in said, (case, said)
        assert re.search(case.words, said), (case, said)
        agreed.append(case)
    assert len(agreed) == len(CASES) > 40


@pytest.mark.parametrize("kind", PLURALS)
def test_full_objects_are_taken_unchanged(create: Create, kind: str) -> None:
    assert create(wrapped(kind, FULL[kind]))["spec"] == FULL[kind]


@pytest.mark.parametrize("kind", PLURALS)
def test_the_examples_of_the_reference_are_taken(create: Create, kind: str) -> None:
    example = yaml.safe_load(EXAMPLES[kind])
    assert parse(create(example), definition_of(example)).spec == parse(example, definition_of(example)).spec


def test_server_and_classes_agree_on_objects_made_by_chance(create: Create) -> None:
    """The same verdict, and the same defaults: the server's answer parses to what the sent object parsed to."""
    verdicts = {True: 0, False: 0}
    for made in objects(seed=20261121, count=400):
        definition = definition_of(made)
        try:
            ours = parse(made, definition).spec
        except InvalidObject as fault:
            with pytest.raises(ApiError):
                pytest.fail(f"the server takes {create(made)['spec']}; the classes say: {fault}")
            verdicts[False] += 1
            continue
        theirs = parse(create(made), definition).spec
        assert theirs == ours, made
        verdicts[True] += 1
    assert min(verdicts.values()) > 100, verdicts


def test_what_cannot_be_changed(cluster: Cluster, create: Create, namespace: str) -> None:
    claim = {"claimSize": "10Gi", "storageClass": "fast"}
    create(wrapped("ModelPool", changed(MINIMAL["ModelPool"], {"cache": claim})), "")
    place = f"/apis/{API}/namespaces/{namespace}/modelpools/sample"

    def patch(spec: dict[str, Any]) -> Any:
        return cluster.rest("PATCH", place, {"spec": spec}, "application/merge-patch+json")

    for spec, path, words in (
        ({"runtime": "RayService"}, "spec.runtime", "can't be changed"),
        ({"cache": {"claimSize": "9Gi"}}, "spec.cache.claimSize", "not shrink"),
        ({"cache": {"accessMode": "ReadWriteOnce"}}, "spec.cache.accessMode", "access mode"),
        ({"cache": {"storageClass": "slow"}}, "spec.cache.storageClass", "storage class"),
        ({"cache": {"storageClass": None}}, "spec.cache.storageClass", "storage class"),
    ):
        with pytest.raises(ApiError, match=f"{re.escape(path)}.*{words}"):
            patch(spec)
    assert patch({"cache": {"claimSize": "10240Mi"}})["spec"]["cache"]["claimSize"] == "10240Mi"
    assert patch({"cache": {"claimSize": "1Ti"}})["spec"]["cache"]["claimSize"] == "1Ti"
    assert patch({"cache": {"claimSize": None, "storageClass": None, "existingClaim": "c", "accessMode": "ReadOnlyMany"}})
    assert "cache" not in patch({"cache": None})["spec"]


def test_scale_subresource(cluster: Cluster, create: Create, namespace: str) -> None:
    create(wrapped("ModelPool", MINIMAL["ModelPool"]), "")
    cluster.kubectl("scale", "-n", namespace, "mp/sample", "--replicas=4")
    _write_status(cluster, namespace, "ModelPool", ModelPoolStatus(replicas=2, selector="headgate.dev/pool=sample"))
    scale = cluster.rest("GET", f"/apis/{API}/namespaces/{namespace}/modelpools/sample/scale")
    assert (scale["spec"], scale["status"]) == ({"replicas": 4}, {"replicas": 2, "selector": "headgate.dev/pool=sample"})


def test_printer_columns(cluster: Cluster, create: Create, namespace: str) -> None:
    pool = {"engine.image": "worker:1", "hardware.gpus": 2, "prices.outputUsdPerMtok": 1.5}
    create(wrapped("ModelPool", changed(MINIMAL["ModelPool"], pool)), "")
    create(wrapped("Tenant", {"weight": 2.5, "priority": -1, "budget": {"usd": 9, "window": "day"}, "parent": "all"}), "")
    create(wrapped("RoutingPolicy", {"strategy": "qualityFloor", "qualityFloor": 0.8}), "")
    accepted = _condition("Accepted", "True", "Valid")
    available = _condition("Available", "False", "TooFewReady")
    _write_status(
        cluster,
        namespace,
        "ModelPool",
        ModelPoolStatus(
            ready="2/3",
            updated_replicas=1,
            conditions=[accepted, available],
            rollout=RolloutStatus(revision="abcdef0123"),
            scaling=ScalingStatus(desired_replicas=3),
        ),
    )
    _write_status(cluster, namespace, "Tenant", TenantStatus(keys=2, conditions=[accepted]))
    _write_status(cluster, namespace, "RoutingPolicy", RoutingPolicyStatus(conditions=[accepted]))

    def table(*arguments: str) -> list[list[str]]:
        lines = cluster.kubectl("get", "-n", namespace, *arguments).splitlines()
        return [line.split() for line in lines]

    head, row = table("mp")
    assert head == ["NAME", "TIER", "MODEL", "READY", "UPDATED", "AVAILABLE", "REASON", "AGE"]
    assert row[:7] == ["sample", "small", "m", "2/3", "1", "False", "TooFewReady"]
    head, row = table("modelpools", "-o", "wide")
    assert head[8:] == ["RUNTIME", "GPU", "PRICE", "IMAGE", "REVISION"]
    assert row[8:] == ["Deployment", "2", "1.5", "worker:1", "abcdef0123"]
    head, row = table("tenants", "-o", "wide")
    assert head == ["NAME", "WEIGHT", "PRIORITY", "BUDGET", "WINDOW", "KEYS", "ACCEPTED", "AGE", "PARENT", "POLICY", "REASON"]
    assert row[:7] == ["sample", "2.5", "-1", "9", "day", "2", "True"]
    head, row = table("rp")
    assert head == ["NAME", "STRATEGY", "POOL", "FLOOR", "ACCEPTED", "AGE"]
    assert row[:4] == ["sample", "qualityFloor", "0.8", "True"]  # no pool
    assert {line[0].partition(".")[0] for line in table("headgate", "--no-headers")} == {"modelpool", "tenant", "routingpolicy"}


def test_explain(cluster: Cluster) -> None:
    for field, words in (
        ("modelpools", "Replicas of one model on one kind of hardware"),
        ("modelpools.spec.engine.args", "as workers/config.py names them"),
        ("modelpools.spec.cache", "Where weights are kept between starts"),
        ("modelpools.spec.autoscaling.mode", "(HPA, KEDA, a person)"),
        ("modelpools.status.rollout.failedRevision", "taken back"),
        ("tenants.spec.budget.hard", "Never exceeded: requests are refused"),
        ("routingpolicies.spec.cascade.minConfidence", "asked for again"),
    ):
        said = " ".join(cluster.kubectl("explain", field, f"--api-version={API}").split())
        assert words in said, (field, said)


def _condition(kind: Any, status: Any, reason: str) -> Condition:
    return Condition(type=kind, status=status, reason=reason, last_transition_time="2026-11-21T14:50:00Z")


def _write_status(
    cluster: Cluster, namespace: str, kind: str, status: ModelPoolStatus | TenantStatus | RoutingPolicyStatus
) -> None:
    """As the control plane does it."""
    body = wrapped(kind, {}) | {"status": status.model_dump(mode="json", by_alias=True, exclude_none=True)}
    del body["spec"]
    place = f"/apis/{API}/namespaces/{namespace}/{PLURALS[kind]}/sample/status?fieldManager=test&fieldValidation=Strict"
    cluster.rest("PATCH", place, body, "application/apply-patch+yaml")
