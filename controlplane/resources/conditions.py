"""Conditions over time, and times as Kubernetes writes them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from controlplane.resources.status import Condition


def with_conditions(before: Sequence[Condition], now: Sequence[Condition]) -> list[Condition]:
    """`before` brought up to date: each condition of `now` takes the place of the one of its type, or is added at the end.

    Where the status is the same, the old transition time stays, as metav1.Condition demands; types that `now` does not name
    stay as they are. The order is that of `before`, so that a status which says the same is the same.
    """
    old = {condition.type: condition for condition in before}
    return list((old | {new.type: _since(old.get(new.type), new) for new in now}).values())


def _since(old: Condition | None, new: Condition) -> Condition:
    if old is None or old.status != new.status:
        return new
    return new.model_copy(update={"last_transition_time": old.last_transition_time})


def rfc3339(seconds: float) -> str:
    """Unix seconds as metav1.Time has them: UTC, whole seconds (rounded down), `2026-11-21T14:50:00Z`."""
    return datetime.fromtimestamp(seconds // 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text: str) -> float:
    """Unix seconds of an RFC 3339 time, with or without a fraction; raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: RFC 3339 demands one")
    return moment.timestamp()
