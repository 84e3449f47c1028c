"""`headgate budget set` on a real Redis."""

from pathlib import Path

import pytest

from cli.budget_set import budget_set
from cli.errors import CommandError
from router.admission.operating import Record, records
from router.admission.records import record_key
from router.snapshot import Budget, Tenant
from tests.redis.accounts import accounts
from tests.redis.server import RedisServer

pytestmark = pytest.mark.requires("redis")
NO_FILE = Path("nowhere.yaml")
TEAM = Tenant("te}am\n", budgets=(Budget("te}am\n", 5.0, "day", hard=True),))


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADGATE_REDIS_PASSWORD", redis_server.password)
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path))


def refused(*arguments: object) -> str:
    with pytest.raises(CommandError) as fault:
        budget_set(*arguments)  # type: ignore[arg-type]
    return str(fault.value)


async def test_the_only_record_is_set_and_routers_go_by_it(
    redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with accounts(redis_server, lease_share=0) as money:
        await money.reserve("a", TEAM, (4.0,))
        budget_set(TEAM.name, 1.25, None, redis_server.url, NO_FILE)
        assert "has spent 1.25 USD in this day" in capsys.readouterr().out
        assert (await money.look(TEAM))[0].spent_usd == 1.25
        assert (await money.reserve("b", TEAM, (3.75,))).states[0].spent_usd == 5.0


def test_a_record_that_is_gone_needs_its_window(redis_server: RedisServer) -> None:
    assert "has no record of solo" in refused("solo", 1.0, None, redis_server.url, NO_FILE)
    budget_set("solo", 1.0, "week", redis_server.url, NO_FILE)
    budget_set("solo", 2.0, "", redis_server.url, NO_FILE)
    assert records(redis_server.url, redis_server.password, "solo") == (
        Record("solo", "week", 1.0, 0.0, lost=False),
        Record("solo", "", 2.0, 0.0, lost=False),
    )
    assert "more than one record: 1.00 USD in this week; 2.00 USD in all" in refused(
        "solo", 1.0, None, redis_server.url, NO_FILE
    )


def test_a_spoilt_record_is_replaced(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        client.set(record_key("solo", "day"), "nonsense")
    budget_set("solo", 0.5, "day", redis_server.url, NO_FILE)
    assert records(redis_server.url, redis_server.password, "solo")[0].spent_usd == 0.5


@pytest.mark.parametrize("spent", [-0.01, float("nan"), float("inf"), 1e7])
def test_what_is_no_amount_is_refused(redis_server: RedisServer, spent: float) -> None:
    assert "is not an amount" in refused("solo", spent, "day", redis_server.url, NO_FILE)


def test_a_redis_that_cannot_be_asked_is_said_without_its_secrets(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_REDIS_PASSWORD", "swordfish")
    for url in (redis_server.url, "redis://:swordfish@127.0.0.1:1/0", "nonsense://swordfish"):
        text = refused("solo", 1.0, "day", url, NO_FILE)
        assert "swordfish" not in text
        assert "Redis can't be asked" in text
    assert "give --redis URL, or -f FILE (it is nowhere.yaml)" in refused("solo", 1.0, "day", None, NO_FILE)
