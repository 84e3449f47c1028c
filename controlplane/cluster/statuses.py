"""What is said of Tenants and RoutingPolicies, and of objects that can't be followed at all. Pure: nothing is made of these
objects, so saying is all there is.
"""

from collections.abc import Sequence
from typing import TypeVar

from controlplane.feed.model import Fault
from controlplane.resources.conditions import rfc3339, with_conditions
from controlplane.resources.status import Condition, ModelPoolStatus, RoutingPolicyStatus, TenantStatus

Said = tuple[str, str, str, str]  # type, status, reason, message
AnyStatus = TypeVar("AnyStatus", ModelPoolStatus, TenantStatus, RoutingPolicyStatus)


def tenant_status(before: TenantStatus, generation: int, faults: Sequence[Fault], keys: int, now_s: float) -> TenantStatus:
    """`keys` is how many the spec names; the status counts those that the routers are told of."""
    withheld = any(fault.withheld for fault in faults)
    known = 0 if withheld else keys - sum(fault.field.startswith("spec.keys[") for fault in faults)
    conditions = with_conditions(before.conditions, _judged(generation, faults, now_s))
    return TenantStatus(observed_generation=generation, keys=known, conditions=conditions)


def policy_status(before: RoutingPolicyStatus, generation: int, faults: Sequence[Fault], now_s: float) -> RoutingPolicyStatus:
    conditions = with_conditions(before.conditions, _judged(generation, faults, now_s))
    return RoutingPolicyStatus(observed_generation=generation, conditions=conditions)


def with_condition(before: AnyStatus, now: AnyStatus, said: Said, generation: int, now_s: float) -> AnyStatus:
    """`now` with this condition in place of its own of that type; times carry over from `before`."""
    others: list[Condition] = [condition for condition in now.conditions if condition.type != said[0]]
    conditions = with_conditions(before.conditions, [*others, _condition(said, generation, now_s)])
    return now.model_copy(update={"observed_generation": generation, "conditions": conditions})


def _judged(generation: int, faults: Sequence[Fault], now_s: float) -> list[Condition]:
    """Accepted unless a fault keeps it from the routers; Degraded while a part of it can't be followed."""
    withheld = [fault for fault in faults if fault.withheld]
    partial = [fault for fault in faults if not fault.withheld]
    accepted = ("False", withheld[0].reason, _text(withheld)) if withheld else ("True", "Valid", "routers are told of it")
    degraded = ("True", partial[0].reason, _text(partial)) if partial else ("False", "AsWanted", "")
    return [_condition(("Accepted", *accepted), generation, now_s), _condition(("Degraded", *degraded), generation, now_s)]


def _condition(said: Said, generation: int, now_s: float) -> Condition:
    kind, status, reason, message = said
    values = {"type": kind, "status": status, "reason": reason, "message": message}
    return Condition.model_validate({**values, "observedGeneration": generation, "lastTransitionTime": rfc3339(now_s)})


def _text(faults: Sequence[Fault]) -> str:
    return "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
