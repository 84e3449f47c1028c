"""Redis goes away, comes back, comes back without its memory, or is not what it should be."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.admission.accounts import open_accounts
from router.admission.operating import set_spent
from router.admission.records import record_key
from router.admission.redis_accounts import RedisMoney
from router.config import BudgetSettings, RedisSettings
from router.errors import BudgetExhausted
from router.snapshot import Budget, Tenant
from tests.redis.accounts import accounts, until
from tests.redis.server import PASSWORD, RedisServer

pytestmark = pytest.mark.requires("redis")

HARD = Tenant("team", budgets=(Budget("team", 1.0, "month", hard=True),))
SOFT = Tenant("soft", budgets=(Budget("soft", 1.0, "month"),))
KEY = record_key("team", "month")


def spent_nano(server: RedisServer, tenant: str = "team") -> int:
    with server.client() as client:
        return int(client.hget(record_key(tenant, "month"), "spent") or 0)


async def test_closed_a_lease_is_spent_and_then_nothing(own_redis: RedisServer) -> None:
    async with accounts(own_redis, lease_share=0.1) as money:
        before = await money.reserve("a", HARD, (0.2,))
        await until(lambda: money.figures().leased_usd == 0.1)
        own_redis.kill()
        await until(lambda: not money.figures().connected)
        money.settle(HARD, before, 0.05)  # kept until Redis is there
        hold = await money.reserve("b", HARD, (0.06, 0.5))
        assert hold.usd == 0.06
        with pytest.raises(BudgetExhausted, match="can't be checked now") as refused:
            await money.reserve("c", HARD, (0.06,))
        assert refused.value.retry_after_s == 5.0
        money.settle(HARD, hold, 0.04)
        money.settle(HARD, hold, 0.04)
        assert (await money.reserve("d", HARD, (0.05,))).usd == 0.05  # its rest is there again
        own_redis.start()
        await until(lambda: money.figures().connected and not money.figures().waiting)
    assert spent_nano(own_redis) == 50_000_000 + 40_000_000 + 50_000_000  # the last was never settled: spent


async def test_open_everybody_is_served_and_it_is_booked_later(own_redis: RedisServer) -> None:
    async with accounts(own_redis, when_away="open", lease_share=0) as money:
        own_redis.kill()
        await until(lambda: not money.figures().connected)
        holds = [await money.reserve("a", HARD, (0.9,)) for _ in range(3)]
        for hold in holds:
            money.settle(HARD, hold, 0.5)
            money.settle(HARD, hold, 0.5)
        assert money.figures().unbooked_usd == 1.5
        own_redis.start()
        await until(lambda: money.figures().unbooked_usd == 0)
        with pytest.raises(BudgetExhausted, match=r"1\.50 USD are spent"):
            await money.reserve("b", HARD, (0.1,))
    assert spent_nano(own_redis) == 1_500_000_000


async def test_soft_budgets_are_served_and_booked_later_either_way(own_redis: RedisServer) -> None:
    async with accounts(own_redis) as money:
        own_redis.kill()
        await until(lambda: not money.figures().connected)
        for _ in range(2):
            money.settle(SOFT, await money.reserve("a", SOFT, (5.0,)), 2.5)
        own_redis.start()
        await until(lambda: money.figures().unbooked_usd == 0)
    assert spent_nano(own_redis, "soft") == 5_000_000_000


async def test_what_was_settled_while_away_is_settled_once(own_redis: RedisServer) -> None:
    async with accounts(own_redis, lease_share=0) as money:
        holds = [await money.reserve("a", HARD, (0.01,)) for _ in range(50)]
        own_redis.kill()
        for hold in holds:
            money.settle(HARD, hold, 0.004)
        own_redis.start()
        await until(lambda: not money.figures().waiting)
    assert spent_nano(own_redis) == 50 * 4_000_000


async def test_a_frozen_redis_holds_nobody_twice_and_takes_nothing(own_redis: RedisServer) -> None:
    async with accounts(own_redis, timeout_s=0.3, lease_share=0) as money:
        own_redis.freeze()
        with pytest.raises(BudgetExhausted, match="can't be checked"):
            await money.reserve("a", HARD, (0.2,))  # waits, and its question may still be carried out
        refused = asyncio.create_task(money.reserve("b", HARD, (0.2,)))
        for _ in range(3):
            await asyncio.sleep(0)
        assert refused.done()  # without waiting for anything
        assert isinstance(refused.exception(), BudgetExhausted)
        own_redis.thaw()
        await until(lambda: money.figures().connected and not money.figures().waiting)
        assert (await money.reserve("c", HARD, (1.0,))).usd == 1.0  # the question that came through late took nothing


async def test_a_lost_record_is_refused_by_all_until_it_is_set(own_redis: RedisServer) -> None:
    async with accounts(own_redis, lease_share=0) as one:
        await one.reserve("a", HARD, (0.6,))
        own_redis.lose_everything()
        await until(lambda: one.figures().lost_records == 1)  # noticed without a request
        async with accounts(own_redis, lease_share=0) as two:
            for money in (one, two):
                with pytest.raises(BudgetExhausted, match=r"the record of the budget of team, .* was lost"):
                    await money.reserve("b", HARD, (0.1,))
            assert set_spent(own_redis.url, own_redis.password, "team", "month", 0.75) == 0.75
            for money in (one, two):
                with pytest.raises(BudgetExhausted, match=r"0\.75 USD are spent"):
                    await money.reserve("c", HARD, (0.3,))
            assert (await one.reserve("d", HARD, (0.2,))).usd == 0.2
            assert one.figures().lost_records == 0


async def test_a_record_as_an_old_replica_has_it_is_a_lost_one(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0) as money:
        await money.reserve("a", HARD, (0.1,))
        with redis_server.client() as client:
            old = client.hgetall(KEY)
            await money.reserve("b", HARD, (0.5,))
            client.hset(KEY, mapping=old)
        with pytest.raises(BudgetExhausted, match="was lost"):
            await money.reserve("c", HARD, (0.1,))


async def test_resume_goes_on_from_the_most_that_any_router_saw(redis_server: RedisServer) -> None:
    lenient = {"when_lost": "resume", "lease_share": 0}
    async with accounts(redis_server, **lenient) as one, accounts(redis_server, **lenient) as two:
        await one.reserve("a", HARD, (0.3,))
        await two.reserve("b", HARD, (0.4,))  # sees 0.7; the first saw 0.3
        with redis_server.client() as client:
            client.delete(KEY)
        await one.reserve("c", HARD, (0.1,))
        assert (await two.look(HARD))[0].spent_usd == pytest.approx(0.8)
        for money in (one, two):
            with pytest.raises(BudgetExhausted):
                await money.reserve("d", HARD, (0.3,))
        assert (await one.reserve("e", HARD, (0.2,))).states[0].spent_usd == 1.0


async def test_a_hold_of_a_lost_life_gives_nothing_back(redis_server: RedisServer) -> None:
    async with accounts(redis_server, when_lost="resume", lease_share=0) as money:
        hold = await money.reserve("a", HARD, (0.5,))
        with redis_server.client() as client:
            client.delete(KEY)
        assert (await money.look(HARD))[0].spent_usd == 0.5
        money.settle(HARD, hold, 0.0)
        await until(lambda: not money.figures().waiting)
        assert (await money.look(HARD))[0].spent_usd == 0.5


@pytest.mark.parametrize("spoil", ["SET {} nonsense", "HSET {} spent much", "HDEL {} seq", "HDEL {} epoch", "HSET {} start -"])
async def test_a_spoilt_record_is_refused_and_the_others_are_served(redis_server: RedisServer, spoil: str) -> None:
    other = Tenant("other", budgets=(Budget("other", 1.0, "month", hard=True), Budget("soft", 1.0, "month")))
    async with accounts(redis_server, lease_share=0) as money:
        await money.reserve("a", HARD, (0.1,))
        await money.reserve("a", other, (0.1,))
        with redis_server.client() as client:
            for key in (KEY, record_key("soft", "month")):
                client.execute_command(*spoil.format(key).split(" "))
        with pytest.raises(BudgetExhausted, match=r"the record of the budget of team, .* can't be read"):
            await money.reserve("b", HARD, (0.1,))
        hold = await money.reserve("b", other, (0.1,))  # a soft budget refuses nobody
        money.settle(other, hold, 0.05)
        await until(lambda: not money.figures().waiting)
        assert money.figures().connected
    assert spent_nano(redis_server, "other") == 150_000_000


async def test_emptied_scripts_are_brought_again(redis_server: RedisServer) -> None:
    async with accounts(redis_server, lease_share=0) as money:
        with redis_server.client() as client:
            client.script_flush()
        hold = await money.reserve("a", HARD, (0.1,))
        with redis_server.client() as client:
            client.script_flush()
        money.settle(HARD, hold, 0.1)
        await until(lambda: not money.figures().waiting)
        assert money.figures().went_away == 0


WORSE = {
    "replica": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    "full": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    "password": (("CONFIG", "SET", "requirepass", "other"), ("CONFIG", "SET", "requirepass", PASSWORD)),
}


@pytest.mark.parametrize(("worse", "better"), WORSE.values(), ids=WORSE.keys())
async def test_a_redis_that_takes_nothing_is_away(own_redis: RedisServer, worse: tuple[str], better: tuple[str]) -> None:
    async with accounts(own_redis, lease_share=0) as money:
        hold = await money.reserve("a", HARD, (0.1,))
        with own_redis.client() as client:
            client.execute_command(*worse)
            if "requirepass" in worse:  # holds for new connections
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await until(lambda: not money.figures().connected)
            money.settle(HARD, hold, 0.02)
            with pytest.raises(BudgetExhausted, match="can't be checked now"):
                await money.reserve("b", HARD, (0.1,))
            client.execute_command(*better)
        await until(lambda: money.figures().connected and not money.figures().waiting)
        assert (await money.reserve("c", HARD, (0.1,))).usd == 0.1
        (state,) = await money.look(HARD)
        assert state.spent_usd == pytest.approx(0.12)


async def test_a_user_needs_no_more_rights_than_the_page_says(own_redis: RedisServer) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "budgets.md").read_text()
    rights = [word for told in re.findall(r"`([^`]*[+~][^`]*)`", page) for word in told.split() if word[0] in "+~"]
    assert "~headgate:{budgets}:*" in rights
    with own_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "headgate", "on", ">swordfish", *rights)
    settings = RedisSettings(url=f"unix://headgate@{own_redis.socket}", timeout_s=2)
    money = open_accounts(settings, BudgetSettings(), {"HEADGATE_REDIS_PASSWORD": "swordfish"})
    running = asyncio.create_task(money.run())
    hold = await money.reserve("a", HARD, (0.25,))
    money.settle(HARD, hold, 0.2)
    await money.look(HARD)
    assert await money.close()
    assert money.figures().went_away == 0
    running.cancel()
    await asyncio.wait({running})
    assert spent_nano(own_redis) == 200_000_000


NOISE: dict[str, bytes | None] = {
    "http": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "ok to all": b"+OK\r\n",
    "nothing there": b"$-1\r\n",
    "number": b":1\r\n",
    "digests": b"$40\r\n" + b"a" * 40 + b"\r\n",
    "array": b"*2\r\n$2\r\nok\r\n$1\r\nx\r\n",
    "half": b"*3\r\n$2\r\nok\r\n:1",
    "huge": b"$999999999\r\nabc",
    "moved": b"-MOVED 1234 10.0.0.1:6379\r\n",
    "noise": bytes(range(256)),
    "silence": b"",
    "closes": None,
}


@pytest.fixture(params=NOISE.values(), ids=NOISE.keys())
async def liar(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The URL of something that is no Redis."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request.param is not None and await reader.read(65536):
                writer.write(request.param)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


async def test_something_else_in_redis_place_is_away(liar: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = {"HEADGATE_REDIS_PASSWORD": "swordfish"}
    money = open_accounts(RedisSettings(url=liar, timeout_s=0.2), BudgetSettings(), secret)
    assert isinstance(money, RedisMoney)
    running = asyncio.create_task(money.run())
    for _ in range(3):
        with pytest.raises(BudgetExhausted, match="can't be checked now"):
            await money.reserve("a", HARD, (0.1,))
    money.settle(SOFT, await money.reserve("a", SOFT, (0.1,)), 0.1)
    assert not running.done()
    assert not money.figures().connected
    assert not await money.close(0.05)
    running.cancel()
    await asyncio.wait({running})
    assert "swordfish" not in caplog.text
    assert "away" in caplog.text
