"""One object as the API server holds it, typed: strict about what people wrote, lenient about what we wrote ourselves.

An older or newer control plane may have written the status. What of it can't be read is left out, and the next reconcile writes
it again; an upgrade must not stop at it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from controlplane.names import API
from controlplane.resources.conditions import seconds
from controlplane.resources.definitions import DEFINITIONS, Definition, Spec, Status
from controlplane.resources.faults import Fault, InvalidObject, faults_of
from controlplane.resources.model_pool import ModelPoolSpec
from controlplane.resources.routing_policy import RoutingPolicySpec
from controlplane.resources.status import ModelPoolStatus, RoutingPolicyStatus, TenantStatus
from controlplane.resources.tenant import TenantSpec

_AT_TOP = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


@dataclass(frozen=True, slots=True)
class Resource(Generic[Spec, Status]):
    """One object. Times are Unix seconds; `created_s` is 0 and `uid` empty where no API server has set them (a file)."""

    kind: str
    name: str
    spec: Spec
    status: Status
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    created_s: float = 0.0
    deleted_s: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def deleting(self) -> bool:
        return self.deleted_s is not None


ModelPool = Resource[ModelPoolSpec, ModelPoolStatus]
Tenant = Resource[TenantSpec, TenantStatus]
RoutingPolicy = Resource[RoutingPolicySpec, RoutingPolicyStatus]


def definition_of(seen: Mapping[str, Any]) -> Definition[Any, Any]:
    """Which of our kinds it says it is; raises InvalidObject."""
    if seen.get("apiVersion") != API:
        raise InvalidObject([Fault("apiVersion", f"must be {API}")])
    for definition in DEFINITIONS:
        if definition.kind == seen.get("kind"):
            return definition
    raise InvalidObject([Fault("kind", f"must be one of {', '.join(definition.kind for definition in DEFINITIONS)}")])


def parse(seen: Mapping[str, Any], definition: Definition[Spec, Status]) -> Resource[Spec, Status]:
    """The object as its classes have it; raises InvalidObject, which names every field at fault."""
    faults = list(_faults_around(seen, definition))
    try:
        spec = definition.spec.model_validate(seen.get("spec"), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidObject(sorted([*faults, *faults_of(error, "spec")])) from None
    if faults:
        raise InvalidObject(faults)
    meta = seen["metadata"]
    return Resource(
        kind=definition.kind,
        name=meta["name"],
        spec=spec,
        status=parse_status(seen.get("status"), definition.status),
        namespace=meta.get("namespace") or "",
        uid=meta.get("uid") or "",
        generation=meta.get("generation") or 0,
        resource_version=meta.get("resourceVersion") or "",
        created_s=_time(meta, "creationTimestamp") or 0.0,
        deleted_s=_time(meta, "deletionTimestamp"),
        labels=meta.get("labels") or {},
        annotations=meta.get("annotations") or {},
    )


def _faults_around(seen: Mapping[str, Any], definition: Definition[Any, Any]) -> Iterator[Fault]:
    if (seen.get("apiVersion"), seen.get("kind")) != (API, definition.kind):
        yield Fault("kind", f"must be {definition.kind} of {API}")
    for unknown in sorted(seen.keys() - _AT_TOP):
        yield Fault(unknown, "unknown field")
    meta = seen.get("metadata")
    name = meta.get("name") if isinstance(meta, Mapping) else None
    if not isinstance(name, str) or not name:
        yield Fault("metadata.name", "Required value")
    elif not definition.name.holds(name):
        yield Fault("metadata.name", definition.name.message)


def _time(meta: Mapping[str, Any], key: str) -> float | None:
    try:
        return seconds(meta[key]) if meta.get(key) else None
    except (TypeError, ValueError):  # no API server writes such, but a file may say anything
        raise InvalidObject([Fault(f"metadata.{key}", "must be an RFC 3339 time")]) from None


def parse_status(seen: Any, status: type[Status]) -> Status:
    """What of a status can be understood: fields and conditions that this version does not know are left out."""
    known = {**seen} if isinstance(seen, Mapping) else {}
    while True:
        try:
            return status.model_validate(known, by_alias=True, by_name=False)
        except ValidationError as error:
            known = _without(known, [_place(found) for found in error.errors()])


def _place(found: ErrorDetails) -> tuple[int | str, ...]:
    """What must go: the value at fault, or that which lacks one."""
    return found["loc"][:-1] if found["type"] == "missing" else found["loc"]


def _without(tree: Any, places: list[tuple[int | str, ...]]) -> Any:
    """A copy of nested dicts and lists less what lies at these places; an entry of a list goes whole."""
    if isinstance(tree, list):
        return [entry for index, entry in enumerate(tree) if all(place[0] != index for place in places)]
    kept = {}
    for name, value in tree.items():
        inner = [place[1:] for place in places if place[0] == name]
        if not inner:
            kept[name] = value
        elif all(inner) and isinstance(value, dict | list):
            kept[name] = _without(value, inner)
    return kept
