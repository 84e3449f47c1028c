"""The connection to Redis on a virtual clock: batches, limits of time, what is kept, and that nobody waits in vain."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import hiredis
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError

from router.admission import redis_work
from router.admission.redis_link import IDLE_S, RedisLink
from router.admission.redis_work import Asked, RedisAway

pytestmark = pytest.mark.looptime
TIMEOUT_S = 0.25
DIGEST = b"d" * 40


class Server:
    """Stands in for a connection and for the Redis behind it. `batches` are what was sent together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.connects = self.loads = 0
        self.refuses = self.frozen = False
        self.answer_s = 0.0
        self.faults: list[Exception] = []
        self._replies: list[Any] = []

    def __call__(self) -> "Server":
        return self

    async def connect(self) -> None:
        self.connects += 1
        if self.refuses:
            raise RedisConnectionError("redis://:swordfish@host refuses")

    async def send_packed_command(self, packed: bytes, check_health: bool = True) -> None:
        reader = hiredis.Reader()
        reader.feed(packed)
        commands = list(iter(reader.gets, False))
        self._replies += [self._reply(words) for words in commands]
        work = [int(words[-1]) for words in commands if words[0] == b"EVALSHA" and b"probe" not in words]
        if work:
            self.batches.append(work)

    async def read_response(self, disable_decoding: bool = False) -> Any:
        if self.frozen:
            await asyncio.Event().wait()
        await asyncio.sleep(self.answer_s)
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def disconnect(self, nowait: bool = False) -> None:
        self._replies.clear()

    def _reply(self, words: tuple[Any, ...]) -> Any:
        if words[0] == b"SCRIPT":
            self.loads += 1
            return DIGEST
        if words[0] == b"TIME" or b"probe" in words:
            return [b"ok", 5]
        return self.faults.pop(0) if self.faults else [b"ok", int(words[-1])]


@asynccontextmanager
async def linked(server: Server) -> AsyncIterator[RedisLink]:
    link = RedisLink(server, TIMEOUT_S, Random(1))  # type: ignore[arg-type]
    running = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        running.cancel()
        await asyncio.wait({running})


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def refused(asked: Asked) -> float:
    """How long it took to be refused."""
    began_s = now_s()
    with pytest.raises(RedisAway) as fault:
        await asked.answer
    assert "swordfish" not in str(fault.value)
    return now_s() - began_s


async def test_what_is_asked_in_one_turn_goes_out_together() -> None:
    server, done = Server(), []
    async with linked(server) as link:
        await link.ask((0,)).answer
        asked = [link.ask((number,)) for number in range(1, 51)]
        link.post((99,), done.append)
        assert [await each.answer for each in asked] == [[b"ok", number] for number in range(1, 51)]
        assert await link.drain(1.0)
    assert [len(batch) for batch in server.batches] == [1, 51]
    assert done == [[b"ok", 99]]


async def test_what_comes_while_a_batch_is_under_way_shares_the_next_one() -> None:
    server = Server()
    server.answer_s = 0.01
    async with linked(server) as link:
        first = link.ask((1,))
        await asyncio.sleep(0.035)  # two answers to say hello, then the question
        later = [link.ask((number,)) for number in range(2, 12)]
        await asyncio.gather(first.answer, *(each.answer for each in later))
    assert [len(batch) for batch in server.batches] == [1, 10]


async def test_nobody_waits_longer_than_the_limit_and_then_nobody_at_all() -> None:
    server = Server()
    async with linked(server) as link:
        await link.ask((1,)).answer
        server.frozen = True
        first, second = link.ask((2,)), link.ask((3,))
        assert await refused(first) == TIMEOUT_S
        assert await refused(second) == 0.0
        assert link.up is False
        assert first.sent
        third = link.ask((4,))
        assert await refused(third) == 0.0
        assert not third.sent  # so nothing has to be given back
        assert link.went_away == 1


async def test_a_redis_that_was_never_there_holds_the_first_request_only() -> None:
    server = Server()
    server.frozen = True
    async with linked(server) as link:
        assert link.up is None
        assert await refused(link.ask((1,))) == TIMEOUT_S
        assert await refused(link.ask((2,))) == 0.0
    server = Server()
    server.refuses = True
    async with linked(server) as link:
        assert await refused(link.ask((1,))) == 0.0


async def test_it_is_tried_again_ever_more_rarely_and_comes_back() -> None:
    server = Server()
    server.refuses = True
    async with linked(server) as link:
        await asyncio.sleep(60)
        assert 30 < server.connects < 90  # up to two seconds apart, not thousands of times
        server.refuses = False
        await asyncio.sleep(2.1)
        assert link.up
        assert await link.ask((1,)).answer == [b"ok", 1]


async def test_what_is_kept_survives_and_is_done_in_order() -> None:
    server, done = Server(), []
    async with linked(server) as link:
        await link.ask((1,)).answer
        server.frozen = True
        for number in range(300):
            link.post((number,), done.append)
        assert not await link.drain(1.0)
        assert link.waiting == 300
        server.frozen = False
        assert await link.drain(5.0)
    assert [reply[1] for reply in done] == list(range(300))


async def test_an_idle_connection_that_died_is_noticed_without_a_request() -> None:
    server = Server()
    async with linked(server) as link:
        await link.ask((1,)).answer
        server.frozen = True
        await asyncio.sleep(IDLE_S + TIMEOUT_S + 0.01)
        assert link.up is False


async def test_scripts_that_were_forgotten_are_loaded_again_and_nobody_notices() -> None:
    server, done = Server(), []
    async with linked(server) as link:
        await link.ask((1,)).answer
        server.faults = [NoScriptError("NOSCRIPT"), NoScriptError("NOSCRIPT")]
        asked = link.ask((2,))
        link.post((3,), done.append)
        assert await asked.answer == [b"ok", 2]
        assert await link.drain(1.0)
        assert (server.loads, link.went_away, done) == (2, 0, [[b"ok", 3]])


async def test_one_that_forgets_scripts_for_ever_holds_nobody_for_ever() -> None:
    server, done = Server(), []
    server.answer_s = 0.01
    async with linked(server) as link:
        await link.ask((1,)).answer
        server.faults = [NoScriptError("NOSCRIPT") for _ in range(10_000)]
        link.post((3,), done.append)
        assert TIMEOUT_S <= await refused(link.ask((2,))) < 2 * TIMEOUT_S
        await asyncio.sleep(60)
        assert (link.waiting, link.dropped, done) == (0, 1, [redis_work.DROPPED])


async def test_a_redis_that_takes_nothing_is_away_and_in_the_end_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_work, "MOST_FAULTS", 3)
    server, done = Server(), []
    async with linked(server) as link:
        await link.ask((1,)).answer
        server.faults = [ReadOnlyError("READONLY You can't write") for _ in range(9)]
        with pytest.raises(RedisAway, match="READONLY"):
            await link.ask((2,)).answer
        assert link.up is False
        link.post((3,), done.append)
        await asyncio.sleep(30)
        assert (link.waiting, link.dropped, done) == (0, 1, [redis_work.DROPPED])


async def test_who_leaves_is_not_asked_for() -> None:
    server = Server()
    server.answer_s = 0.01
    async with linked(server) as link:
        first = link.ask((1,))
        await asyncio.sleep(0.035)
        gone = link.ask((2,))
        gone.answer.cancel()
        await first.answer
        await link.ask((3,)).answer
        assert not gone.sent
    assert [batch[0] for batch in server.batches] == [1, 3]


async def test_too_much_to_keep_drops_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_work, "MOST_KEPT", 5)
    server, done = Server(), []
    server.refuses = True
    async with linked(server) as link:
        for number in range(8):
            link.post((number,), done.append)
        assert (link.waiting, link.dropped, done) == (5, 3, [redis_work.DROPPED] * 3)
        done.clear()
        server.refuses = False
        assert await link.drain(5.0)
    assert [reply[1] for reply in done] == [3, 4, 5, 6, 7]


async def test_distrust_opens_a_new_connection() -> None:
    server = Server()
    async with linked(server) as link:
        await link.ask((1,)).answer
        link.distrust("garbage")
        assert await refused(link.ask((2,))) == 0.0
        await asyncio.sleep(1.0)
        assert (link.up, server.connects) == (True, 2)
