"""The lease on a virtual clock and an API server of the test's: one leader at most, at every moment, whatever fails."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from controlplane.cluster.leader import Leader, LeaseRule
from controlplane.errors import Conflict, NotFound, NotLeading, Unavailable
from controlplane.world import Object, Ref

pytestmark = pytest.mark.looptime
RULE = LeaseRule(duration_s=15.0, renew_s=8.0, retry_s=2.0)
PLACE = ("system", "the-lease")


class Server:
    """Leases as the API server keeps them: a replace needs the newest resource version."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.trouble: Callable[[str], None] = lambda verb: None
        self.delay_s: Callable[[], float] = lambda: 0.0

    async def _pass(self, verb: str) -> None:
        await asyncio.sleep(self.delay_s())
        self.trouble(verb)

    def _store(self, wanted: Object) -> Object:
        self.version += 1
        self.lease = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": str(self.version)}}
        return self.lease

    async def get(self, ref: Ref) -> Object:
        await self._pass("get")
        if self.lease is None:
            raise NotFound("no lease")
        return self.lease

    async def create(self, wanted: Object) -> Object:
        await self._pass("create")
        if self.lease is not None:
            raise Conflict("exists")
        return self._store(wanted)

    async def replace(self, wanted: Object) -> Object:
        await self._pass("replace")
        if self.lease is None or wanted["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict("changed")
        return self._store(wanted)


def leader(server: Server, name: str) -> Leader:
    return Leader(server, PLACE, name, RULE, asyncio.get_running_loop().time)


async def test_the_first_leads_and_the_second_waits() -> None:
    server = Server()
    first, second = leader(server, "a"), leader(server, "b")
    one = asyncio.create_task(first.run())
    await asyncio.sleep(0.1)
    other = asyncio.create_task(second.run())
    await asyncio.sleep(100)
    assert (first.leading, second.leading) == (True, False)
    with pytest.raises(NotLeading):
        second.check()
    first.check()
    one.cancel(), other.cancel()
    await asyncio.gather(one, other, return_exceptions=True)


async def test_a_leader_that_leaves_in_order_is_replaced_at_once() -> None:
    server = Server()
    first, second = leader(server, "a"), leader(server, "b")
    one = asyncio.create_task(first.run())
    await asyncio.sleep(0.1)
    other = asyncio.create_task(second.run())
    await asyncio.sleep(5)
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    assert not first.leading
    await asyncio.sleep(RULE.retry_s + 0.1)
    assert second.leading
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_a_leader_that_dies_is_replaced_within_the_lease() -> None:
    server, loop = Server(), asyncio.get_running_loop()
    server._store({"metadata": {}, "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15}})
    second, began = leader(server, "b"), loop.time()
    other = asyncio.create_task(second.run())
    while not second.leading:
        await asyncio.sleep(0.1)
    assert RULE.duration_s <= loop.time() - began <= RULE.duration_s + RULE.retry_s + 0.2
    assert server.lease is not None
    assert server.lease["spec"]["leaseTransitions"] == 1
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)


async def test_without_the_api_leading_ends_before_anybody_else_may_begin() -> None:
    server, loop = Server(), asyncio.get_running_loop()
    first = leader(server, "a")
    one = asyncio.create_task(first.run())
    await asyncio.sleep(1)
    assert first.leading

    def away(verb: str) -> None:
        raise Unavailable("away")

    server.trouble, lost = away, loop.time()
    await asyncio.sleep(RULE.renew_s + 0.1)
    assert not first.leading
    assert loop.time() - lost < RULE.duration_s
    server.trouble = lambda verb: None
    await asyncio.sleep(RULE.retry_s + 0.1)
    assert first.leading
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)


async def test_a_lapse_between_two_renewals_is_told_too() -> None:
    """Whoever drops work while it does not lead must hear that it leads again, however short the lapse."""
    server = Server()
    first = leader(server, "a")
    one = asyncio.create_task(first.run())
    await asyncio.sleep(1)
    assert first.begun.is_set()
    first.begun.clear()
    await asyncio.sleep(20)
    assert not first.begun.is_set()  # renewals in time are no news
    server.delay_s = lambda: 5.0  # get and replace: the renewal comes 10 s after it was asked for
    await asyncio.sleep(12)
    assert not first.leading
    server.delay_s = lambda: 0.0
    await asyncio.sleep(12)
    assert first.leading
    assert first.begun.is_set()
    one.cancel()
    await asyncio.gather(one, return_exceptions=True)


@pytest.mark.parametrize("seed", range(20))
async def test_never_two_leaders(seed: int) -> None:
    """Three replicas, an API that loses requests, answers late, or does the work and then loses the answer."""
    server, rng = Server(), Random(seed)

    def trouble(verb: str) -> None:
        if rng.random() < 0.3:
            raise Unavailable("lost")

    server.trouble = trouble
    server.delay_s = lambda: rng.choice([0.0, 0.1, 1.0, 4.9])
    replicas = [leader(server, name) for name in "abc"]
    tasks = [asyncio.create_task(replica.run()) for replica in replicas]
    led = 0
    for _ in range(4000):
        await asyncio.sleep(0.05)
        leading = [replica for replica in replicas if replica.leading]
        assert len(leading) <= 1
        led += bool(leading)
    assert led > 400  # and mostly there is one
    for task in tasks:
        task.cancel()
    server.trouble = lambda verb: None
    await asyncio.gather(*tasks, return_exceptions=True)
