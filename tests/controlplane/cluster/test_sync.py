"""The cache follows the cluster through everything a watch may miss. kopf stands still here; its sights are given by hand."""

import asyncio
from typing import Any

import pytest

from controlplane.cluster.cache import Cache
from controlplane.cluster.kinds import POD, RAY_SERVICE, Kind
from controlplane.cluster.sync import DISCOVER_S, RELIST_S, Sync
from controlplane.errors import Unavailable

pytestmark = pytest.mark.looptime


class Api:
    """Lists what `pods` holds, at `version`; away while `away` is above 0."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.version = 1
        self.away = 0
        self.lists: list[str] = []
        self.has_ray = False

    async def minor_version(self) -> int:
        if self.away:
            self.away -= 1
            raise Unavailable("away")
        return 36

    async def serves(self, kind: Kind) -> bool:
        return self.has_ray and kind is RAY_SERVICE

    async def list(self, kind: Kind, namespace: str | None) -> tuple[list[dict[str, Any]], int]:
        self.lists.append(kind.kind)
        return (list(self.pods.values()) if kind is POD else []), self.version


def pod(name: str, version: int) -> dict[str, Any]:
    meta = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(version), "labels": {"headgate.dev/pool": "p"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {}, "status": {}}


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
async def sync(api: Api, monkeypatch: pytest.MonkeyPatch) -> Sync:
    monkeypatch.setattr(Sync, "_watch", lambda self: None)
    relisted.clear()
    return Sync(api, Cache(), ["ns"], 300.0, lambda: relisted.append(None))  # type: ignore[arg-type]


relisted: list[None] = []


def names(sync: Sync) -> set[str]:
    return {seen["metadata"]["name"] for seen in sync._cache.all(POD)}


async def test_an_api_that_is_not_there_yet_is_waited_for(api: Api, sync: Sync) -> None:
    api.away, api.pods = 3, {"a": pod("a", 1)}
    await sync.begin()
    assert names(sync) == {"a"}
    assert sync.minor == 36


async def test_objects_that_come_by_as_listed_again_have_their_kind_listed_exactly(api: Api, sync: Sync) -> None:
    api.pods = {"stays": pod("stays", 1), "vanishes": pod("vanishes", 1)}
    await sync.begin()
    del api.pods["vanishes"]
    api.version, api.lists = 9, []
    for _ in range(50):  # a whole list comes by, and causes one of ours
        sync._sighted(None, pod("stays", 1))
    await asyncio.sleep(RELIST_S + 0.1)
    assert names(sync) == {"stays"}
    assert api.lists == ["Pod"]


async def test_an_object_that_cannot_be_understood_does_not_hold_up_the_others(api: Api, sync: Sync) -> None:
    await sync.begin()
    sync._sighted("ADDED", {"kind": "Pod", "metadata": {"name": "odd"}})
    sync._sighted("ADDED", pod("good", 5))
    await asyncio.sleep(0.1)
    assert names(sync) == {"good"}


async def test_everything_is_listed_anew_now_and_then(api: Api, sync: Sync) -> None:
    await sync.begin()
    api.pods, api.version = {"missed": pod("missed", 5)}, 5
    running = asyncio.create_task(sync.run())
    await asyncio.sleep(301)
    assert names(sync) == {"missed"}
    assert len(relisted) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_optional_kind_that_comes_later_is_found(api: Api, sync: Sync) -> None:
    await sync.begin()
    assert sync.served == frozenset()
    running = asyncio.create_task(sync.run())
    api.has_ray = True
    await asyncio.sleep(DISCOVER_S + 1)
    assert sync.served == {"RayService"}
    assert "RayService" in api.lists
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
