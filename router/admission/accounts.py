"""Who keeps the budgets of this router: a Redis, where one is configured, else the router itself. Composition only."""

import os
import secrets
import time
from collections.abc import Mapping
from random import Random

from router.admission.local_accounts import LocalMoney
from router.admission.redis_accounts import RedisMoney
from router.admission.redis_link import RedisLink, connections
from router.admission.redis_records import RedisRecords
from router.config import BudgetSettings, ConfigError, RedisSettings

Accounts = RedisMoney | LocalMoney


def open_accounts(redis: RedisSettings, budgets: BudgetSettings, environment: Mapping[str, str] = os.environ) -> Accounts:
    """Connects to nothing yet: its `run` does. Raises ConfigError for a URL that can't be one; the text does not repeat it."""
    url = redis.url or environment.get("HEADGATE_REDIS_URL")
    if not url:
        return LocalMoney(budgets, time.time)
    try:
        connect = connections(url, environment.get("HEADGATE_REDIS_PASSWORD"))
    except ValueError as fault:
        raise ConfigError(f"redis.url, or HEADGATE_REDIS_URL: {fault}") from None
    link = RedisLink(connect, redis.timeout_s, Random())
    # Random, since a process may get the id of one that it must not be taken for.
    return RedisMoney(RedisRecords(link, budgets.when_lost, secrets.token_hex(6), time.time()), budgets)
