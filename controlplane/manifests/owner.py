"""The pool that objects are made for: how they are named, labelled, and owned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.names import API, MANAGED_BY, POOL_LABEL
from controlplane.world import Object, Platform, Ref

WORKER = "headgate-worker"


@dataclass(frozen=True, slots=True)
class Owner:
    """One ModelPool, as far as its objects must know it."""

    namespace: str
    name: str
    uid: str

    @property
    def claim(self) -> str:
        """Name of the claim that keeps the weights."""
        return f"{self.name}-models"

    @property
    def selector(self) -> dict[str, str]:
        """What picks the pods of this pool that answer requests. One label alone: a Deployment's selector can never change."""
        return {POOL_LABEL: self.name}


def pod_labels(owner: Owner) -> dict[str, str]:
    """Labels of the pods. Not the installation's own: a chart's version in them would restart every model at every upgrade."""
    return {
        "app.kubernetes.io/name": WORKER,
        "app.kubernetes.io/instance": owner.name,
        MANAGED_BY[0]: MANAGED_BY[1],
        **owner.selector,
    }


def metadata(owner: Owner, platform: Platform, name: str, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Of a child: it goes when the pool goes, and whoever deletes the pool in the foreground waits for it."""
    reference = {
        "apiVersion": API,
        "kind": "ModelPool",
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": owner.namespace,
        "labels": {**platform.labels, **pod_labels(owner)},
        **({"annotations": dict(annotations)} if annotations else {}),
        "ownerReferences": [reference],
    }


def owns(owner: Owner, child: Object) -> bool:
    """Whether the object is this very pool's: of its uid, not only of its name."""
    references = child.get("metadata", {}).get("ownerReferences", ())
    return any(reference.get("controller") and reference.get("uid") == owner.uid for reference in references)


def ref_of(child: Object) -> Ref:
    """The object's name in full."""
    return Ref(child["apiVersion"], child["kind"], child["metadata"]["namespace"], child["metadata"]["name"])
