"""The controller without a cluster: what must hold whatever a reconcile does."""

import time
from math import inf
from typing import Any

import pytest

from controlplane.cluster.controller import Controller, Identity
from controlplane.cluster.reconcile import Key
from controlplane.config import parse
from controlplane.errors import NotLeading, Refused, Unavailable
from controlplane.feed.service import Feed
from controlplane.metrics import Metrics

KEY = Key("ModelPool", "ns", "llama")


class Nothing:
    """An API server that is never asked."""

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str], int] = {}


def controller(**config: Any) -> Controller:
    settings = parse({"namespaces": ["ns"], **config}, "here")
    made = Controller(Nothing(), Feed("127.0.0.1:0", None, time.monotonic), Metrics(), settings, Identity("one", "ns"))  # type: ignore[arg-type]
    made._leader._held_until_s = inf
    return made


def pool(name: str, created: str, gpus: int, replicas: int) -> dict[str, Any]:
    meta = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1", "generation": 1, "creationTimestamp": created}
    spec = {"model": {"name": f"{name}-model"}, "tier": "small", "replicas": replicas, "hardware": {"gpus": gpus}}
    return {"apiVersion": "headgate.dev/v1alpha1", "kind": "ModelPool", "metadata": meta, "spec": spec}


@pytest.mark.parametrize(
    ("fault", "went_well", "outcome"),
    [
        (Unavailable("later"), False, "retry"),
        (Refused("no"), False, "refused"),
        (KeyError("an object nobody thought of"), False, "failed"),
        (NotLeading("lapsed"), True, "ok"),
    ],
)
async def test_no_fault_of_one_object_ends_the_work(
    fault: Exception, went_well: bool, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = controller()

    async def fail(*_: object) -> None:
        raise fault

    monkeypatch.setattr(here._reconciler, "reconcile", fail)
    assert await here._work(KEY) is went_well
    assert f'reconciles_total{{kind="ModelPool",outcome="{outcome}"}} 1.0' in here._metrics.page().decode()


async def test_a_standby_leaves_the_work_to_the_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    here = controller()
    here._leader._held_until_s = -inf
    monkeypatch.setattr(here._reconciler, "reconcile", None)
    assert await here._work(KEY) is True


async def test_gpus_are_shared_before_a_new_pool_is_looked_at() -> None:
    here = controller(gpu_budget={"nvidia.com/gpu": 10})
    here._cache.offer(pool("a", "2026-01-01T00:00:00Z", gpus=4, replicas=2))
    here._cache.offer(pool("b", "2026-01-02T00:00:00Z", gpus=2, replicas=3))
    here._look_at_all()
    assert here._reconciler.granted == {("ns", "a"): 2, ("ns", "b"): 1}
    assert {KEY._replace(name="a"), KEY._replace(name="b")} <= here._pending


async def test_without_a_budget_nobody_is_limited() -> None:
    here = controller()
    here._cache.offer(pool("a", "2026-01-01T00:00:00Z", gpus=4, replicas=2))
    here._look_at_all()
    assert here._reconciler.granted == {}


async def test_of_two_pools_with_one_model_the_younger_is_told_whose_it_is() -> None:
    here = controller()
    older, younger = pool("a", "2026-01-01T00:00:00Z", 0, 1), pool("b", "2026-01-02T00:00:00Z", 0, 1)
    younger["spec"]["model"]["name"] = "a-model"
    here._cache.offer(older)
    here._cache.offer(younger)
    here._look_at_all()
    assert here._reconciler.owners == {("ns", "b"): "ns/a"}
