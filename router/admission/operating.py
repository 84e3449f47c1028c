"""What an operator does to budgets in Redis, from the command line. Synchronous; not used by the router."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from router.admission.amounts import limit_nano, to_usd
from router.admission.records import Garbled, record_key, setting, understood
from router.admission.redis_link import SCRIPT
from router.admission.redis_work import said

TIMEOUT_S = 5.0


class StoreFault(Exception):
    """The store can't be asked. The text holds no password and no address."""


@dataclass(frozen=True, slots=True)
class Record:
    """One (tenant, window) as Redis has it; `lost`: it is refused until it is set."""

    tenant: str
    window: str
    spent_usd: float
    held_usd: float
    lost: bool


def set_spent(url: str, password: str | None, tenant: str, window: str, spent_usd: float) -> float:
    """Says what the tenant has spent in the present window, in USD, and returns it as it was taken. Reservations under way stay
    within it. Raises StoreFault."""
    try:
        with _client(url, password) as client:
            digest = client.script_load(SCRIPT)
            for _ in range(3):  # a window may end in between
                now = client.time()
                words = setting(tenant, window, limit_nano(spent_usd), float(now[0]), secrets.token_hex(6))
                reply = understood(client.evalsha(digest, *words))
                if reply.code == "ok" and reply.seen and reply.seen[0] is not None:
                    return to_usd(reply.seen[0].spent_nano)
    except (redis.RedisError, OSError, Garbled) as fault:
        raise StoreFault(said(fault)) from None
    raise StoreFault("its clock jumps about")


def records(url: str, password: str | None, tenant: str) -> tuple[Record, ...]:
    """The records of one tenant, of all kinds of windows that it had a budget for lately. Raises StoreFault."""
    try:
        with _client(url, password) as client:
            return tuple(_records(client, tenant))
    except (redis.RedisError, OSError, Garbled) as fault:
        raise StoreFault(said(fault)) from None


def _records(client: "redis.Redis", tenant: str) -> Iterator[Record]:
    for window in ("hour", "day", "week", "month", ""):
        key = record_key(tenant, window)
        if client.type(key) == b"hash":
            raw = client.hmget(key, ["spent", "held", "kind"])
            spent, held = (int(each) if each is not None and each.isdigit() else 0 for each in raw[:2])
            yield Record(tenant, window, to_usd(spent), to_usd(held), raw[2] == b"lost")


def _client(url: str, password: str | None) -> "redis.Redis":
    try:
        return redis.Redis.from_url(
            url, password=password or None, protocol=2, socket_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
    except Exception:  # noqa: BLE001 - whatever the library makes of the URL's options
        raise StoreFault("the URL of Redis can't be used: give redis://HOST:PORT/DB, rediss://... or unix:///PATH") from None
