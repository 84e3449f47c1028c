"""The cluster as this replica has seen it: one writer, exact reads, no I/O. Watches and lists feed it, in any order.

Objects are kept as plain dicts, without what nobody here reads (managedFields, most of a pod). An older version of an object
never replaces a newer one, and a list removes what it no longer holds: watches alone don't tell what vanished while they were
away.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from controlplane.cluster.kinds import KINDS, NODE, POD, Kind
from controlplane.names import POOL_LABEL, RAY_HEAD_LABEL
from controlplane.world import Object, Ref

Place = tuple[str, str]  # namespace, name

# What of a pod is read here; ten thousand whole ones would take ten times the memory.
_POD_SPEC = ("nodeName",)
_NODE_SPEC = ("unschedulable", "taints")
_POD_STATUS = ("phase", "podIP", "conditions", "containerStatuses", "initContainerStatuses", "reason", "message")


class Cache:
    """`on_change(old, new)` is called after each change, one of them None for an object that came or went."""

    def __init__(self, on_change: Callable[[Object | None, Object | None], None] = lambda old, new: None) -> None:
        self._objects: dict[str, dict[Place, Object]] = {kind: {} for kind in KINDS}
        self._of_pool: dict[Place, dict[Ref, Object]] = defaultdict(dict)
        self._on_change = on_change
        self.version = 0  # the highest resource version seen: etcd's revision, so it orders all objects of one cluster

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return self._objects[kind.kind].get((namespace, name))

    def all(self, kind: Kind) -> Iterable[Object]:
        return self._objects[kind.kind].values()

    def count(self, kind: Kind) -> int:
        return len(self._objects[kind.kind])

    def of_pool(self, namespace: str, pool: str) -> Mapping[Ref, Object]:
        """Everything that carries the pool's label (or is its Ray's head), by Ref."""
        return self._of_pool.get((namespace, pool), {})

    def of_kind(self, kind: Kind, namespace: str, pool: str) -> Iterator[Object]:
        return (seen for ref, seen in self.of_pool(namespace, pool).items() if ref.kind == kind.kind)

    def offer(self, seen: Mapping[str, Any]) -> None:
        """Takes an object as it is now, unless a newer one is known."""
        meta = seen["metadata"]
        version, place = int(meta["resourceVersion"]), (meta.get("namespace", ""), meta["name"])
        old = self._objects[seen["kind"]].get(place)
        if old is None or _version(old) < version or (old["metadata"]["uid"] != meta["uid"] and _version(old) <= version):
            self._put(place, old, trimmed(seen))
        self.version = max(self.version, version)

    def gone(self, seen: Mapping[str, Any]) -> None:
        """The object was deleted; `seen` is its last state. One that was made anew under its name stays."""
        meta = seen["metadata"]
        place = (meta.get("namespace", ""), meta["name"])
        old = self._objects[seen["kind"]].get(place)
        self.version = max(self.version, int(meta["resourceVersion"]))
        if old is not None and old["metadata"]["uid"] == meta["uid"]:
            self._drop(place, old)

    def replace(self, kind: Kind, namespace: str | None, listed: Iterable[Mapping[str, Any]], version: int) -> None:
        """Takes a whole list made at that version; what it lacks and was not seen since is gone."""
        here = set()
        for seen in listed:
            here.add((seen["metadata"].get("namespace", ""), seen["metadata"]["name"]))
            self.offer(seen)
        for place, old in list(self._objects[kind.kind].items()):
            if place not in here and namespace in (None, place[0]) and _version(old) <= version:
                self._drop(place, old)
        self.version = max(self.version, version)

    def _put(self, place: Place, old: Object | None, new: Object) -> None:
        self._objects[new["kind"]][place] = new
        if old is not None and (before := _pool_of(old)) is not None and before != _pool_of(new):
            self._of_pool[before].pop(ref_to(old), None)
        if (pool := _pool_of(new)) is not None:
            self._of_pool[pool][ref_to(new)] = new
        self._on_change(old, new)

    def _drop(self, place: Place, old: Object) -> None:
        del self._objects[old["kind"]][place]
        if (pool := _pool_of(old)) is not None:
            self._of_pool[pool].pop(ref_to(old), None)
            if not self._of_pool[pool]:
                del self._of_pool[pool]
        self._on_change(old, None)


def ref_to(seen: Object) -> Ref:
    return Ref(seen["apiVersion"], seen["kind"], seen["metadata"].get("namespace", ""), seen["metadata"]["name"])


def trimmed(seen: Mapping[str, Any]) -> Object:
    """The object without what nobody here reads."""
    meta = {key: value for key, value in seen["metadata"].items() if key != "managedFields"}
    slim = {**seen, "metadata": meta}
    if seen["kind"] == POD.kind:
        slim["spec"] = {key: seen["spec"][key] for key in _POD_SPEC if key in seen.get("spec", {})}
        slim["status"] = {key: seen["status"][key] for key in _POD_STATUS if key in seen.get("status", {})}
    elif seen["kind"] == NODE.kind:
        slim["spec"] = {key: seen["spec"][key] for key in _NODE_SPEC if key in seen.get("spec", {})}
        slim["status"] = {"allocatable": seen.get("status", {}).get("allocatable", {})}
    return slim


def _pool_of(seen: Object) -> Place | None:
    labels = seen["metadata"].get("labels") or {}
    name = labels.get(POOL_LABEL) or labels.get(RAY_HEAD_LABEL)
    return (seen["metadata"].get("namespace", ""), name) if name else None


def _version(seen: Object) -> int:
    return int(seen["metadata"]["resourceVersion"])
