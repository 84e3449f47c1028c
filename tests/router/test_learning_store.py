"""What routers share through a real Redis: sums that converge, restarts, outages, damage, and steps back that hold for all."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from redis.asyncio import Redis

from router.choosing.learning.evidence import Evidence
from router.choosing.learning.learning import Learning
from router.learning_store import LearningStore, client_of, key_of
from tests.redis.server import PASSWORD, RedisServer
from tests.router.choosing.learning.given import a_context, an_occasion, floats

pytestmark = pytest.mark.requires("redis")


class Router:
    """What one router process has of learning."""

    def __init__(self, client: Redis, version: str = "v1") -> None:
        self.learning = Learning()
        self.learning.follow(version)
        self.learning.tenants(1)
        self.store = LearningStore(client, self.learning)

    def hears(self, score: float, times: int = 1, pool: str = "small") -> None:
        for _ in range(times):
            self.learning.heard(an_occasion(pool, version=self.learning.version), score, 0.0)

    def evidence(self) -> Evidence:
        return self.learning.learner.evidence()

    def weight(self, pool: str = "small") -> float:
        return self.learning.learner.weight(pool)

    def believed(self, pool: str = "small") -> float:
        return float(self.learning.belief((pool,), floats(0.7), floats(0.1), a_context()).mean[0])


@asynccontextmanager
async def client_to(server: RedisServer, timeout_s: float = 2.0) -> AsyncIterator[Redis]:
    client = client_of(server.url, PASSWORD, timeout_s)
    yield client
    await client.aclose()


def assert_same(first: Evidence, second: Evidence) -> None:
    order = [second.pools.index(pool) for pool in first.pools]
    assert sorted(first.pools) == sorted(second.pools)
    for name in ("weight", "moments", "products"):
        # Each asked a few milliseconds apart, and time fades everything.
        np.testing.assert_allclose(getattr(first, name), getattr(second, name)[order], rtol=1e-4)


async def test_two_routers_come_to_the_sums_of_both(redis_server: RedisServer) -> None:
    async with client_to(redis_server) as client:
        one, two, both = Router(client), Router(client), Router(client)
        for at in range(40):
            one.hears(at % 2, pool="small")
            two.hears(1.0, pool="large")
            two.hears(0.0, pool="small")
            for score, pool in ((at % 2, "small"), (1.0, "large"), (0.0, "small")):
                both.hears(score, pool=pool)
        assert await one.store.exchange()
        assert await two.store.exchange()
        assert await one.store.exchange()
        assert_same(one.evidence(), two.evidence())
        # In another order than one router would have heard them, so they fade a little otherwise.
        assert one.weight("large") == pytest.approx(both.weight("large"), rel=1e-3)
        assert one.weight("small") == pytest.approx(both.weight("small"), rel=0.01)
        assert one.believed("small") == pytest.approx(both.believed("small"), abs=0.02)


async def test_many_at_once_lose_nothing(redis_server: RedisServer) -> None:
    async with client_to(redis_server) as client:
        routers = [Router(client) for _ in range(4)]
        for at in range(12):
            for number, router in enumerate(routers):
                router.hears(1.0, pool=f"pool-{number}")
            await asyncio.gather(*(router.store.exchange() for router in routers[: 1 + at % 4]))
        for _ in range(2):
            for router in routers:
                assert await router.store.exchange()
        expected = sum(2.0 ** (-at / 500.0) for at in range(12))
        for number in range(4):
            assert routers[0].weight(f"pool-{number}") == pytest.approx(expected, rel=1e-4)


async def test_after_a_restart_it_is_all_there(redis_server: RedisServer) -> None:
    async with client_to(redis_server) as client:
        before = Router(client)
        before.hears(0.0, 50)
        await before.store.close()
        after = Router(client)
        assert after.believed() == 0.7
        await after.store.exchange()
        assert_same(after.evidence(), before.evidence())
        after.hears(0.0)  # and counts its own deltas anew
        await after.store.exchange()
        assert after.weight() > before.weight()


async def test_while_redis_is_away_it_goes_on_alone_and_adds_all_later(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_to(own_redis) as client:
        one, two = Router(client), Router(client)
        one.hears(0.0, 10)
        assert await one.store.exchange()
        own_redis.stop()
        with caplog.at_level(logging.INFO):
            one.hears(0.0, 10)
            assert not await one.store.exchange()
            one.hears(0.0, 10)
            assert not await one.store.exchange()
            assert not one.store.figures().connected
            alone = one.weight()
            own_redis.start()
            assert await one.store.exchange()
            assert await one.store.exchange()
        assert one.weight() == pytest.approx(alone, rel=1e-4)
        await two.store.exchange()
        assert two.weight() == pytest.approx(alone, rel=1e-4)
        assert len([line for line in caplog.messages if "stays here" in line]) == 1
        assert PASSWORD not in caplog.text


async def test_a_delta_whose_answer_was_lost_counts_once(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with client_to(redis_server) as client:
        router, other = Router(client), Router(client)
        router.hears(0.0, 10)
        whole = router.store._add

        async def and_then_the_line_breaks(version: str, delta: object) -> None:
            await whole(version, delta)  # type: ignore[arg-type]
            raise ConnectionResetError

        monkeypatch.setattr(router.store, "_add", and_then_the_line_breaks)
        assert not await router.store.exchange()
        monkeypatch.undo()
        router.hears(0.0, 5)
        expected = router.weight()
        assert await router.store.exchange()
        assert await router.store.exchange()
        assert router.weight() == pytest.approx(expected, rel=1e-4)
        await other.store.exchange()
        assert other.weight() == pytest.approx(expected, rel=1e-4)


async def test_a_redis_that_answers_nothing_costs_the_timeout_and_no_more(own_redis: RedisServer) -> None:
    async with client_to(own_redis, timeout_s=0.05) as client:
        router = Router(client)
        router.hears(0.0, 3)
        own_redis.freeze()
        assert not await router.store.exchange()
        own_redis.thaw()
        assert await router.store.exchange()
        await router.store.exchange()
        assert router.weight() == pytest.approx(3.0, abs=0.05)


async def test_an_exchange_that_was_cut_off_leaves_no_answers_for_the_next(own_redis: RedisServer) -> None:
    """Here the store's own limit ends it, in the middle of a reply that comes later."""
    async with client_to(own_redis, timeout_s=20.0) as client:
        router = Router(client)
        router.store = LearningStore(client, router.learning, timeout_s=0.05)
        router.hears(0.0, 3)
        own_redis.freeze()
        assert not await router.store.exchange()
        own_redis.thaw()
        router.store = LearningStore(client, router.learning)
        for _ in range(3):
            assert await router.store.exchange()
        assert router.weight() == pytest.approx(3.0, abs=0.05)


async def test_a_server_that_answers_nonsense_is_away(caplog: pytest.LogCaptureFixture) -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    client = client_of(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", None, 1.0)
    router = Router(client)
    router.hears(0.0, 3)
    assert not await router.store.exchange()
    assert not router.store.figures().connected
    assert router.weight() > 2.9
    await client.aclose()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("blob", [b"", b"nonsense" * 40, b"HGL1" + bytes(200)], ids=["empty", "nonsense", "half right"])
async def test_a_damaged_record_is_not_taken_and_written_anew(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture, blob: bytes
) -> None:
    async with client_to(redis_server) as client:
        await client.set(key_of("v1"), blob)
        router = Router(client)
        assert await router.store.exchange()
        router.hears(0.0, 5)
        assert await router.store.exchange()
        assert router.store.figures().refused >= 1
        assert "not taken" in caplog.text
        assert router.weight() == pytest.approx(5.0, abs=0.1)
        other = Router(client)
        await other.store.exchange()
        assert other.store.figures().refused == 0
        assert other.weight() == pytest.approx(5.0, abs=0.1)


async def test_a_key_of_another_kind_is_left_alone(redis_server: RedisServer) -> None:
    async with client_to(redis_server) as client:
        await client.lpush(key_of("v1"), "x")  # type: ignore[misc]
        router = Router(client)
        router.hears(0.0, 5)
        assert not await router.store.exchange()
        assert router.weight() > 4.9


async def test_each_artefact_has_a_record_of_its_own_that_ends_with_time(redis_server: RedisServer) -> None:
    async with client_to(redis_server) as client:
        one, other, rule = Router(client, "v1"), Router(client, "v2"), Router(client, "")
        one.hears(0.0, 5)
        rule.hears(0.0, 2)
        for router in (one, rule, other):
            await router.store.exchange()
        assert other.believed() == 0.7
        assert 0 < await client.ttl(key_of("v1")) <= 30 * 24 * 3600
        assert await client.exists(key_of(""), key_of("v2")) == 1


async def test_one_routers_step_back_is_every_routers_also_after_a_restart(redis_server: RedisServer) -> None:
    async with client_to(redis_server) as client:
        one, two = Router(client), Router(client)
        one.hears(0.0, 5)
        two.hears(0.0, 5)
        await one.store.exchange()
        one.learning.drop_learning("a test")
        await one.store.exchange()
        await two.store.exchange()
        assert two.learning.standing == "artefact"
        one.learning.drop_artefact("a test")
        one.learning.follow("v0", "previous")  # as the files answer
        await one.store.exchange()
        restarted = Router(client)
        await restarted.store.exchange()
        assert restarted.learning.standing == "rule"
        assert restarted.learning.figures().dropped["artefact_dropped"] == 1
        fresh = Router(client, "v2")
        await fresh.store.exchange()
        assert fresh.learning.standing == "learning"


async def test_an_artefact_that_comes_during_the_exchange_is_not_taught_the_olds(redis_server: RedisServer) -> None:
    async with client_to(redis_server) as client:
        router = Router(client)
        router.hears(0.0, 20)
        exchange = asyncio.create_task(router.store.exchange())
        await asyncio.sleep(0)
        router.learning.follow("v2")
        assert await exchange
        assert router.believed() == 0.7
        assert router.learning.learner.pools == ()


async def test_an_artefact_that_comes_during_the_exchange_does_not_pay_for_the_old_one(redis_server: RedisServer) -> None:
    async with client_to(redis_server) as client:
        before = Router(client)
        before.learning.drop_artefact("a test")
        before.learning.follow("v0", "previous")
        await before.store.exchange()
        router = Router(client)
        exchange = asyncio.create_task(router.store.exchange())
        await asyncio.sleep(0)
        router.learning.follow("v2")
        assert await exchange
        assert router.learning.standing == "learning"


async def test_run_exchanges_again_and_again(redis_server: RedisServer) -> None:
    async with client_to(redis_server) as client:
        router = Router(client)
        router.store = LearningStore(client, router.learning, every_s=0.001)
        task = asyncio.create_task(router.store.run())
        while router.store.figures().exchanged < 5:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert router.store.figures().connected


def test_a_url_that_makes_no_sense_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="redis://") as refused:
        client_of("redis://user:geheim@host:notaport/0", None, 1.0)
    assert "geheim" not in str(refused.value)
    assert refused.value.__suppress_context__
