"""Who acts: the holder of one Lease (coordination.k8s.io), as kube-controller-manager does it, with a fence around writes.

A replica holds the lease from the moment it *asked* for it (or for its renewal) and for `renew_s` of its own monotonic clock.
Others wait until they have seen the lease unchanged for `duration_s`. Every write is bounded by the API client to less than
`duration_s - renew_s`, on the server too, so a write that began while the lease was held has ended before anybody else begins.
Clocks need not agree, only run at about the same speed.

The official client's election is not used: its calls have no time limit (a renewal that hangs leaves two leaders), a lost
connection ends it, and it does not fence.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any, Protocol

from controlplane.cluster.kinds import LEASE, ref_of
from controlplane.errors import ApiError, Conflict, NotFound, NotLeading
from controlplane.world import Object, Ref

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseRule:
    """Seconds: others wait `duration_s` before they take over, we stop `renew_s` after a renewal, we renew every `retry_s`."""

    duration_s: float = 15.0
    renew_s: float = 8.0
    retry_s: float = 2.0


class Leases(Protocol):
    """What is needed of the API."""

    async def get(self, ref: Ref) -> Object: ...
    async def create(self, wanted: Object) -> Object: ...
    async def replace(self, wanted: Object) -> Object: ...


class Leader:
    """`run` takes the lease whenever it can. `leading` tells, `check` raises NotLeading: call it right before each write."""

    def __init__(
        self,
        api: Leases,
        lease: tuple[str, str],
        identity: str,
        rule: LeaseRule = LeaseRule(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace, self._name = lease
        self._identity = identity
        self._rule = rule
        self._clock = clock
        self._held_until_s = -inf
        self._seen: tuple[str, str] | None = None  # resource version and holder, since `_seen_s`
        self._seen_s = -inf
        self.begun = asyncio.Event()  # set whenever leading begins, also after a lapse of a moment

    @property
    def leading(self) -> bool:
        return self._clock() < self._held_until_s

    def check(self) -> None:
        if not self.leading:
            raise NotLeading("this replica does not hold the lease")

    async def run(self) -> None:
        """Until cancelled; gives the lease back then, so that the next need not wait."""
        was_leading = False
        try:
            while True:
                await self._turn()
                if self.leading != was_leading:
                    was_leading = self.leading
                    log.info("%s", "leading: this replica acts" if was_leading else "not leading any more")
                await asyncio.sleep(self._rule.retry_s)
        finally:
            if self.leading:
                self._held_until_s = -inf
                await asyncio.shield(self._give_back())

    async def _turn(self) -> None:
        """One attempt to take or renew. An API that does not answer leaves the lease to run out."""
        asked_s = self._clock()
        try:
            try:
                lease = await self._api.get(ref_of(LEASE, self._namespace, self._name))
            except NotFound:
                await self._api.create(self._lease(None))
            else:
                if not self._may_take(lease):
                    return
                await self._api.replace(self._lease(lease))
        except Conflict:
            self._held_until_s = -inf  # somebody else wrote it: we hold nothing
        except ApiError as fault:
            log.warning("lease: %s", fault)
        else:
            lapsed = not self.leading  # what was to be done in between was left undone
            self._held_until_s = asked_s + self._rule.renew_s
            if lapsed:
                self.begun.set()

    def _may_take(self, lease: Object) -> bool:
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        seen = (lease["metadata"]["resourceVersion"], holder)
        if seen != self._seen:
            self._seen, self._seen_s = seen, self._clock()
        if holder == self._identity or not holder:
            return True
        self._held_until_s = -inf
        patience_s = max(self._rule.duration_s, float(spec.get("leaseDurationSeconds") or 0))
        return self._clock() >= self._seen_s + patience_s

    def _lease(self, old: Object | None) -> dict[str, Any]:
        """The lease as ours; with the old one's resource version, so that only one of two takers succeeds."""
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = dict((old or {}).get("spec") or {})
        if spec.get("holderIdentity") != self._identity:
            spec |= {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (old is not None)}
        spec |= {"holderIdentity": self._identity, "renewTime": now, "leaseDurationSeconds": int(self._rule.duration_s)}
        meta = dict(old["metadata"]) if old is not None else {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": LEASE.api, "kind": LEASE.kind, "metadata": meta, "spec": spec}

    async def _give_back(self) -> None:
        try:
            lease = await self._api.get(ref_of(LEASE, self._namespace, self._name))
            if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                await self._api.replace({**lease, "spec": {**lease["spec"], "holderIdentity": ""}})
        except ApiError as fault:
            log.warning("lease: not given back: %s", fault)
