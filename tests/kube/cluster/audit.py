"""The API server's audit log: who did which verb on what."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class AuditEvent:
    """One answered request. `resource` is the plural, with its subresource after a slash; the core group is empty."""

    user: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    code: int
    user_agent: str
    id: str


def read(log: Path) -> Iterator[AuditEvent]:
    """All events so far, oldest first. A watch counts when it begins; requests for no object (discovery) are left out."""
    for line in log.read_text().splitlines() if log.exists() else ():
        event = json.loads(line)
        stage = "ResponseStarted" if event["verb"] == "watch" and event["responseStatus"]["code"] == 200 else "ResponseComplete"
        if "objectRef" in event and event["stage"] == stage:
            yield _event(event, event["objectRef"])


def _event(event: Mapping[str, Any], target: Mapping[str, Any]) -> AuditEvent:
    resource = target.get("resource", "")
    return AuditEvent(
        user=event["user"]["username"],
        verb=event["verb"],
        group=target.get("apiGroup", ""),
        resource=f"{resource}/{target['subresource']}" if "subresource" in target else resource,
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event["responseStatus"]["code"],
        user_agent=event.get("userAgent", ""),
        id=event["auditID"],
    )
