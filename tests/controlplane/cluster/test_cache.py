"""The cache must end as the cluster is, in whatever order watches and lists tell of it."""

from random import Random
from typing import Any

import pytest

from controlplane.cluster.cache import Cache, trimmed
from controlplane.cluster.kinds import MODEL_POOL, POD
from controlplane.names import POOL_LABEL
from controlplane.world import Object


def pod(name: str, version: int, uid: str = "", pool: str | None = "p") -> dict[str, Any]:
    labels = {POOL_LABEL: pool} if pool else {}
    meta = {"name": name, "namespace": "ns", "uid": uid or name, "resourceVersion": str(version), "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"nodeName": "n", "containers": [1]},
        "status": {"podIP": "10.0.0.1"},
    }


def names(cache: Cache) -> set[str]:
    return {seen["metadata"]["name"] for seen in cache.all(POD)}


def test_an_older_version_never_replaces_a_newer_one() -> None:
    cache = Cache()
    cache.offer(pod("a", 5))
    cache.offer({**pod("a", 3), "status": {"podIP": "10.9.9.9"}})
    seen = cache.get(POD, "ns", "a")
    assert seen is not None
    assert seen["status"]["podIP"] == "10.0.0.1"
    assert cache.version == 5


def test_ten_is_newer_than_nine() -> None:
    cache = Cache()
    cache.offer(pod("a", 9))
    cache.offer({**pod("a", 10), "status": {"podIP": "10.9.9.9"}})
    seen = cache.get(POD, "ns", "a")
    assert seen is not None
    assert seen["status"]["podIP"] == "10.9.9.9"


def test_a_late_deletion_leaves_the_object_that_was_made_anew() -> None:
    cache = Cache()
    cache.offer(pod("a", 5, "old"))
    cache.offer(pod("a", 8, "new"))
    cache.gone(pod("a", 7, "old"))
    assert names(cache) == {"a"}
    cache.gone(pod("a", 9, "new"))
    assert names(cache) == set()


def test_a_list_removes_what_vanished_but_not_what_came_since() -> None:
    cache = Cache()
    cache.offer(pod("vanished", 1))
    cache.offer(pod("stays", 2))
    cache.offer(pod("newer", 12))  # the watch was ahead of the list
    cache.replace(POD, None, [pod("stays", 2)], version=10)
    assert names(cache) == {"stays", "newer"}
    assert cache.version == 12


def test_a_list_of_one_namespace_leaves_the_others() -> None:
    cache = Cache()
    cache.offer(pod("here", 1))
    cache.replace(POD, "other", [], version=10)
    assert names(cache) == {"here"}


def test_a_pools_objects_follow_their_label() -> None:
    cache = Cache()
    cache.offer(pod("a", 1, pool="p"))
    cache.offer(pod("a", 2, pool="q"))
    assert list(cache.of_pool("ns", "p")) == []
    assert [ref.name for ref in cache.of_pool("ns", "q")] == ["a"]
    cache.offer(pod("a", 3, pool=None))
    assert list(cache.of_pool("ns", "q")) == []


def test_every_change_is_told_once_with_before_and_after() -> None:
    told: list[tuple[Object | None, Object | None]] = []
    cache = Cache(lambda old, new: told.append((old, new)))
    cache.offer(pod("a", 1))
    cache.offer(pod("a", 1))
    cache.offer(pod("a", 2))
    cache.gone(pod("a", 3))
    cache.gone(pod("a", 3))
    assert [(old is not None, new is not None) for old, new in told] == [(False, True), (True, True), (True, False)]


def test_what_nobody_reads_is_not_kept() -> None:
    fat = pod("a", 1)
    fat["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    slim = trimmed(fat)
    assert "managedFields" not in slim["metadata"]
    assert slim["spec"] == {"nodeName": "n"}
    assert "managedFields" in fat["metadata"]  # what was handed in is not changed
    pool = {"apiVersion": MODEL_POOL.api, "kind": "ModelPool", "metadata": {"name": "x"}, "spec": {"tier": "small"}}
    assert trimmed(pool)["spec"] == {"tier": "small"}


@pytest.mark.parametrize("seed", range(50))
def test_any_order_of_sights_ends_as_the_cluster_is(seed: int) -> None:
    """The watch tells some of a history of creations, changes and deletions, late and reordered; a list at the end mends it."""
    rng = Random(seed)
    real: dict[str, dict[str, Any]] = {}
    sights: list[tuple[str, dict[str, Any]]] = []
    for version in range(1, 60):
        name = rng.choice("abcdef")
        if name in real and rng.random() < 0.4:
            sights.append(("gone", pod(name, version, real.pop(name)["metadata"]["uid"])))
        else:
            uid = real[name]["metadata"]["uid"] if name in real else f"{name}{version}"
            real[name] = pod(name, version, uid)
            sights.append(("offer", real[name]))
    cache = Cache()
    heard = [sight for sight in sights if rng.random() < 0.7]
    for at in range(0, len(heard), 5):
        few = heard[at : at + 5]
        rng.shuffle(few)
        for how, seen in few:
            getattr(cache, how)(seen)
    cache.replace(POD, None, real.values(), version=60)
    assert {s["metadata"]["name"]: s["metadata"]["uid"] for s in cache.all(POD)} == {
        n: o["metadata"]["uid"] for n, o in real.items()
    }
    assert {s["metadata"]["resourceVersion"] for s in cache.all(POD)} == {
        o["metadata"]["resourceVersion"] for o in real.values()
    }
    assert {ref.name for ref in cache.of_pool("ns", "p")} == set(real)
