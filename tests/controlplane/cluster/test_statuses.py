"""What tenants, policies and objects that can't be followed are told."""

from controlplane.cluster.statuses import policy_status, tenant_status, with_condition
from controlplane.feed.model import Fault
from controlplane.resources.conditions import rfc3339
from controlplane.resources.status import Condition, ModelPoolStatus, RoutingPolicyStatus, TenantStatus

SHARED = Fault("spec.keys[1]", "KeyShared", "the older Tenant has it")
LOST = Fault("spec.parent", "ParentNotFound", "there is none", withheld=True)


def said(conditions: list[Condition]) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in conditions}


def test_a_tenant_without_faults() -> None:
    status = tenant_status(TenantStatus(), 3, (), keys=2, now_s=0.0)
    assert (status.observed_generation, status.keys) == (3, 2)
    assert said(status.conditions) == {"Accepted": ("True", "Valid"), "Degraded": ("False", "AsWanted")}


def test_a_key_that_cannot_be_used_degrades_and_is_not_counted() -> None:
    status = tenant_status(TenantStatus(), 1, (SHARED,), keys=2, now_s=0.0)
    assert status.keys == 1
    assert said(status.conditions) == {"Accepted": ("True", "Valid"), "Degraded": ("True", "KeyShared")}
    assert "spec.keys[1]: the older Tenant has it" in status.conditions[1].message


def test_a_withheld_tenant_has_no_keys() -> None:
    status = tenant_status(TenantStatus(), 1, (LOST, SHARED), keys=2, now_s=0.0)
    assert status.keys == 0
    assert said(status.conditions) == {"Accepted": ("False", "ParentNotFound"), "Degraded": ("True", "KeyShared")}


def test_times_move_only_with_the_status() -> None:
    before = policy_status(RoutingPolicyStatus(), 1, (), 100.0)
    after = policy_status(before, 2, (LOST,), 200.0)
    times = {condition.type: condition.last_transition_time for condition in after.conditions}
    assert times == {"Accepted": rfc3339(200.0), "Degraded": rfc3339(100.0)}
    assert policy_status(after, 2, (LOST,), 300.0) == after


def test_a_refusal_takes_the_place_of_what_was_said_of_the_same() -> None:
    healthy = with_condition(ModelPoolStatus(), ModelPoolStatus(replicas=2), ("Degraded", "False", "AsWanted", ""), 1, 100.0)
    refused = with_condition(healthy, healthy, ("Degraded", "True", "ApplyRefused", "over quota"), 1, 200.0)
    assert said(refused.conditions) == {"Degraded": ("True", "ApplyRefused")}
    assert (refused.replicas, refused.conditions[0].last_transition_time) == (2, rfc3339(200.0))
