"""The Redis that other tests rely on does what its methods say."""

import pytest
import redis

from tests.redis.server import RedisServer

pytestmark = pytest.mark.requires("redis")


def test_what_was_confirmed_outlives_a_kill(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.set("a", "1")
        own_redis.restart()
        assert client.get("a") == b"1"
        own_redis.lose_everything()
        assert client.get("a") is None


def test_a_frozen_server_answers_again_when_thawed(own_redis: RedisServer) -> None:
    own_redis.freeze()
    with own_redis.client(timeout_s=0.05) as impatient, pytest.raises(redis.TimeoutError):
        impatient.ping()
    own_redis.thaw()
    with own_redis.client() as client:
        assert client.ping()


def test_a_stopped_server_is_gone_and_nobody_enters_without_the_password(own_redis: RedisServer) -> None:
    own_redis.password = "another"
    with own_redis.client() as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    own_redis.stop()
    with own_redis.client() as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_each_test_finds_the_shared_server_empty(redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        assert client.dbsize() == 0
