"""Everything this program changes in the cluster goes through here: only while leading, counted, and at once in the cache."""

import hashlib
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from controlplane.cluster.cache import Cache, ref_to
from controlplane.cluster.events import event
from controlplane.errors import ApiError, NotFound, Refused
from controlplane.manifests.superset import superset
from controlplane.names import GROUP
from controlplane.resources.kube_model import KubeModel
from controlplane.world import Note, Object, Plan, Ref, World

log = logging.getLogger(__name__)

APPLIED = f"{GROUP}/applied"


class Server(Protocol):
    """The API server, as far as it is written to."""

    async def get(self, ref: Ref) -> Object: ...
    async def apply(self, wanted: Object, part: str = "") -> Object: ...
    async def create(self, wanted: Object) -> Object: ...
    async def delete(self, ref: Ref, uid: str) -> None: ...


class Ledger(Protocol):
    def wrote(self, kind: str, what: str) -> None: ...


class Writes:
    """`may_write` raises NotLeading; it is asked right before each write. `identity` is what events name as their author."""

    def __init__(self, api: Server, cache: Cache, ledger: Ledger, may_write: Callable[[], None], identity: str) -> None:
        self._api = api
        self._cache = cache
        self._ledger = ledger
        self._may_write = may_write
        self._identity = identity

    async def foreign(self, world: World, wanted: Iterable[Object]) -> dict[Ref, Object]:
        """Objects of somebody else that have a name of ours: an apply would take them over from their owners.

        Asked only about what the cache lacks, which is what is about to be made. Raises ApiError.
        """
        found = {}
        for ref in map(ref_to, wanted):
            if ref not in world.children:
                try:
                    there = await self._api.get(ref)
                except NotFound:
                    continue
                if world.uid not in (owner["uid"] for owner in there["metadata"].get("ownerReferences") or ()):
                    found[ref] = there
        return found

    async def carry_out(self, world: World, plan: Plan) -> Refused | None:
        """Applies and deletes what is not as wanted. A refusal is returned, after the rest was done. Raises ApiError."""
        refused: Refused | None = None
        for wanted in map(marked, plan.apply):
            seen = world.children.get(ref_to(wanted))
            if seen is not None and superset(seen, wanted):
                continue
            self._may_write()
            try:
                self._cache.offer(await self._api.apply(wanted))
                self._ledger.wrote(wanted["kind"], "apply")
            except Refused as fault:
                refused = fault
        for ref in plan.delete:
            self._may_write()
            await self._api.delete(ref, world.children[ref]["metadata"]["uid"])
            self._ledger.wrote(ref.kind, "delete")
        return refused

    async def status(self, seen: Object, before: KubeModel, now: KubeModel) -> None:
        """Writes the status if it changed. With the uid: it must not land on another object that was given the same name
        meanwhile. Raises ApiError."""
        if now == before:
            return
        self._may_write()
        body: dict[str, Any] = {
            "apiVersion": seen["apiVersion"],
            "kind": seen["kind"],
            "metadata": {key: seen["metadata"][key] for key in ("name", "namespace", "uid")},
            "status": now.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        self._cache.offer(await self._api.apply(body, part="status"))
        self._ledger.wrote(seen["kind"], "status")

    async def notes(self, about: Object, notes: Iterable[Note]) -> None:
        """Records Kubernetes events. Losing one harms nobody."""
        for note in notes:
            self._may_write()
            try:
                await self._api.create(event(about, note, self._identity, datetime.now(UTC)))
            except ApiError as fault:
                log.info("event %s not recorded: %s", note.reason, fault)


def marked(wanted: Object) -> Object:
    """With a digest of itself: an object that has all that is wanted may still have what no longer is."""
    digest = hashlib.sha256(orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    meta = wanted["metadata"]
    return {**wanted, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), APPLIED: digest}}}
