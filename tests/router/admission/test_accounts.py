"""Which accounts a router has."""

import pytest

from router.admission.accounts import open_accounts
from router.admission.local_accounts import LocalMoney
from router.admission.redis_accounts import RedisMoney
from router.config import BudgetSettings, ConfigError, RedisSettings


async def test_redis_is_used_where_one_is_named() -> None:
    assert isinstance(open_accounts(RedisSettings(), BudgetSettings(), {}), LocalMoney)
    named = RedisSettings(url="redis://nowhere.invalid:1/0")
    assert isinstance(open_accounts(named, BudgetSettings(), {}), RedisMoney)
    assert isinstance(open_accounts(RedisSettings(), BudgetSettings(), {"HEADGATE_REDIS_URL": "unix:///tmp/x"}), RedisMoney)


@pytest.mark.parametrize(
    "url", ["http://:swordfish@host", "redis://:swordfish@host:port/", "unix://?swordfish=1&db=x", "redis://h?swordfish=1"]
)
async def test_a_url_that_makes_no_sense_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="HEADGATE_REDIS_URL") as fault:
        open_accounts(RedisSettings(), BudgetSettings(), {"HEADGATE_REDIS_URL": url})
    assert "swordfish" not in str(fault.value)
    assert fault.value.__cause__ is None
