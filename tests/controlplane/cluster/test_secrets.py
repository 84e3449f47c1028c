"""Secrets are read one by one, kept for a while, and leave only as digests."""

import base64
from hashlib import sha256
from typing import Any

import pytest

from controlplane.cluster.secrets import KEEP_S, Secrets
from controlplane.errors import NotFound, Unavailable
from controlplane.world import Object, Ref


class Api:
    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, str]] = {}
        self.away = False
        self.asked = 0

    async def get(self, ref: Ref) -> Object:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        if ref.name not in self.secrets:
            raise NotFound(ref.name)
        data: dict[str, Any] = {key: base64.b64encode(value.encode()).decode() for key, value in self.secrets[ref.name].items()}
        return {"data": data}


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def secrets(api: Api, now: list[float]) -> Secrets:
    return Secrets(api, clock=lambda: now[0])


async def test_white_space_around_a_key_does_not_count(api: Api, secrets: Secrets) -> None:
    api.secrets["keys"] = {"acme": "sk-1\n"}
    assert await secrets.digest("ns", "keys", "acme") == sha256(b"sk-1").digest()


@pytest.mark.parametrize("value", ["", "\n", "  "])
async def test_an_empty_value_is_no_key(api: Api, secrets: Secrets, value: str) -> None:
    api.secrets["keys"] = {"acme": value}
    assert await secrets.digest("ns", "keys", "acme") is None
    assert await secrets.missing("ns", {("keys", "acme"), ("none", "x")}) == ("keys/acme", "none/x")


async def test_it_is_read_again_only_after_a_while(api: Api, secrets: Secrets, now: list[float]) -> None:
    api.secrets["keys"] = {"a": "1", "b": "2"}
    await secrets.digest("ns", "keys", "a")
    await secrets.digest("ns", "keys", "b")
    assert api.asked == 1
    now[0] = KEEP_S
    api.secrets["keys"] = {"a": "3"}
    assert await secrets.digest("ns", "keys", "a") == sha256(b"3").digest()


async def test_while_the_api_is_away_the_last_values_stand(api: Api, secrets: Secrets, now: list[float]) -> None:
    with pytest.raises(NotFound):
        await api.get(Ref("v1", "Secret", "ns", "keys"))
    api.secrets["keys"] = {"a": "1"}
    await secrets.digest("ns", "keys", "a")
    api.away, now[0] = True, 10 * KEEP_S
    assert await secrets.digest("ns", "keys", "a") == sha256(b"1").digest()
    with pytest.raises(Unavailable):
        await secrets.digest("ns", "never-read", "a")


async def test_a_secret_that_is_gone_for_certain_is_gone(api: Api, secrets: Secrets, now: list[float]) -> None:
    api.secrets["keys"] = {"a": "1"}
    await secrets.digest("ns", "keys", "a")
    del api.secrets["keys"]
    now[0] = KEEP_S
    assert await secrets.digest("ns", "keys", "a") is None
