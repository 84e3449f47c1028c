"""Notes → Kubernetes events (core/v1): what `kubectl describe` shows under Events. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.world import Note, Object

COMPONENT = "headgate-controlplane"
_LONGEST_MESSAGE = 1024  # what the API takes
_LONGEST_INSTANCE = 128


def event(about: Object, note: Note, instance: str, now: datetime) -> Mapping[str, Any]:
    """An Event about this object; `instance` is the replica that says it, `now` is in UTC."""
    meta, time = about["metadata"], now.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
        "type": note.type,
        "reason": note.reason,
        "message": note.message[:_LONGEST_MESSAGE],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance[:_LONGEST_INSTANCE],
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
