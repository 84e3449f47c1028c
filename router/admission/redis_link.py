"""The router's one connection to Redis for budgets: batches, time limits, and a circuit. Knows commands, not money.

Everything that is asked while a batch is under way goes out together in the next one. While Redis is away nobody waits for it:
a question is refused at once, what must be done is kept, and Redis is tried in the background.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from importlib.resources import files
from random import Random
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from router.admission.records import Garbled, Word, probing, understood
from router.admission.redis_work import Asked, Kept, RedisAway, Work, said
from router.fleet.backoff import Backoff

SCRIPT = files("router.admission").joinpath("budgets.lua").read_text(encoding="utf-8")
CONNECT_S = 2.0
IDLE_S = 1.0

log = logging.getLogger(__name__)


def connections(url: str, password: str | None) -> Callable[[], AbstractConnection]:
    """Makes unopened connections. A password in the URL wins. Raises ValueError, without the URL, where it makes no sense."""
    never = Retry(NoBackoff(), 0)
    try:
        # The older protocol: it needs no HELLO, and its replies have one shape on every server.
        pool = ConnectionPool.from_url(url, password=password or None, protocol=2, socket_timeout=None, retry=never)
        make: Callable[[], AbstractConnection] = pool.make_connection
        make()
    except Exception:  # noqa: BLE001 - whatever the library makes of the URL's options
        raise ValueError("the URL of Redis can't be used: give redis://HOST:PORT/DB, rediss://... or unix:///PATH") from None
    return make


class RedisLink:
    """Used on one event loop. `run` until cancelled; `drain` before. `up` is None until it is known."""

    def __init__(self, connect: Callable[[], AbstractConnection], timeout_s: float, rng: Random) -> None:
        self.up: bool | None = None
        self.went_away = 0
        self._connect = connect
        self._timeout_s = timeout_s
        self._backoff = Backoff(rng, longest_s=2.0)
        self._work = Work()
        self._under_way = 0
        self._doubt = ""
        self._digest = b""
        self._first: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How much is kept to be done."""
        return self._work.kept + self._under_way

    @property
    def dropped(self) -> int:
        """How much was kept and then given up."""
        return self._work.dropped

    def ask(self, words: tuple[Word, ...]) -> Asked:
        """Its `answer` is the reply, or RedisAway within the time limit."""
        loop = asyncio.get_running_loop()
        asked = Asked(words, loop.time(), loop.create_future())
        if self.up is False:
            asked.refuse("Redis is away")
            return asked
        if self.up is None and self._first is None:
            self._first = loop.call_later(self._timeout_s, self._not_in_time)
        self._work.ask(asked)
        return asked

    def post(self, words: tuple[Word, ...], done: Callable[[Any], None]) -> None:
        """Carries it out as soon as that can be, again until an answer came: it must do no harm twice."""
        self._work.keep(Kept(words, done))

    def distrust(self, why: str) -> None:
        """What answers is no working Redis: it counts as away until it was looked at anew."""
        self._doubt = why
        self._fell(why)
        self._work.there.set()

    async def run(self) -> None:
        while True:
            try:
                await self._serve()
            except (RedisError, OSError, TimeoutError, RedisAway, Garbled) as fault:
                self._fell(said(fault))
            except asyncio.CancelledError:  # nobody may wait for what will not be asked any more
                self.up = False
                self._work.refuse_asked("the router is shutting down")
                raise
            except Exception as fault:  # noqa: BLE001 - what a parser makes of garbage is its own affair
                self._fell(said(fault))
            await asyncio.sleep(self._backoff.next_s())

    async def drain(self, within_s: float) -> bool:
        """Waits until all that is kept is done; False where that took too long."""
        try:
            async with asyncio.timeout(within_s):
                while self.waiting:  # noqa: ASYNC110 - once in a process's life
                    await asyncio.sleep(0.005)
        except TimeoutError:
            return False
        return True

    async def _serve(self) -> None:
        """One life of the connection."""
        connection, self._doubt = self._connect(), ""
        try:
            async with asyncio.timeout(max(CONNECT_S, self._timeout_s)):
                await connection.connect()  # type: ignore[no-untyped-call]
                await self._load(connection)
                if understood(await self._one(connection, b"EVALSHA", self._digest, *probing())).code != "ok":
                    raise Garbled("it does not do what the script says")
            self._came_back()
            while True:
                await self._next(connection)
        finally:
            await connection.disconnect(nowait=True)

    async def _next(self, connection: AbstractConnection) -> None:
        """Waits for work and does a batch of it."""
        try:
            async with asyncio.timeout(IDLE_S):
                await self._work.there.wait()
        except TimeoutError:  # that a connection is dead should not come out with a request
            async with asyncio.timeout(self._timeout_s):
                await self._one(connection, b"TIME")
            return
        if self._doubt:
            raise RedisAway(self._doubt)
        asked, kept = self._work.take()
        if not asked and not kept:
            return
        now_s = asyncio.get_running_loop().time()
        oldest_s = asked[0].since_s if asked else now_s
        self._under_way = len(kept)
        try:
            # Half a limit at least: that this process was held up is no fault of Redis's.
            async with asyncio.timeout_at(max(oldest_s + self._timeout_s, now_s + self._timeout_s / 2)):
                replies = await self._exchange(connection, asked, kept)
        except BaseException:
            self._work.put_back(kept)
            for each in asked:
                each.refuse("Redis did not answer")
            raise
        finally:
            self._under_way = 0
        await self._deliver(connection, asked, kept, replies)
        self._backoff.reset()

    async def _exchange(self, connection: AbstractConnection, asked: Sequence[Asked], kept: Sequence[Kept]) -> list[Any]:
        """The replies, faults of single commands among them."""
        for each in asked:
            each.sent = True
        words = [each.words for each in asked] + [each.words for each in kept]
        # Not the connection's own packing: it is Python, and the dearest part of a request's budget.
        packed = b"".join([_packed((b"EVALSHA", self._digest, *each)) for each in words])
        await connection.send_packed_command(packed, check_health=False)
        replies: list[Any] = []
        for _ in range(len(asked) + len(kept)):
            try:
                replies.append(await connection.read_response(disable_decoding=True))
            except ResponseError as fault:
                replies.append(fault)
        return replies

    async def _deliver(
        self, connection: AbstractConnection, asked: Sequence[Asked], kept: Sequence[Kept], replies: Sequence[Any]
    ) -> None:
        """Hands the answers out. One that Redis refuses puts all in doubt: it is full, or a replica, or not the one meant."""
        refused: ResponseError | None = None
        forgotten = False
        too_late_s = asyncio.get_running_loop().time() - self._timeout_s
        for question, reply in zip(asked, replies[: len(asked)], strict=True):
            if isinstance(reply, NoScriptError) and question.since_s > too_late_s:
                forgotten = True
                self._work.ask(question)
            elif isinstance(reply, ResponseError):
                refused = reply
                question.refuse(said(reply))
            elif not question.answer.done():
                question.answer.set_result(reply)
        for thing, reply in zip(kept, replies[len(asked) :], strict=True):
            if isinstance(reply, ResponseError):
                forgotten = forgotten or isinstance(reply, NoScriptError)
                refused = refused if isinstance(reply, NoScriptError) else reply
                self._work.refused(thing)
            else:
                thing.done(reply)
        if forgotten:  # somebody emptied its memory of scripts
            async with asyncio.timeout(self._timeout_s):
                await self._load(connection)
        if refused is not None:
            raise RedisAway(said(refused))

    async def _load(self, connection: AbstractConnection) -> None:
        digest = await self._one(connection, b"SCRIPT", b"LOAD", SCRIPT)
        if not isinstance(digest, bytes) or len(digest) != 40:
            raise Garbled("SCRIPT LOAD did not answer with a digest")
        self._digest = digest

    @staticmethod
    async def _one(connection: AbstractConnection, *words: Word) -> Any:
        await connection.send_packed_command(_packed(words), check_health=False)
        return await connection.read_response(disable_decoding=True)

    def _came_back(self) -> None:
        if self.up is False:
            log.info("budgets: Redis is back; %d things were kept to be done", self.waiting)
        self.up = True
        if self._first is not None:
            self._first.cancel()
            self._first = None

    def _not_in_time(self) -> None:
        if self.up is None:
            self._fell("no connection within the time limit")

    def _fell(self, why: str) -> None:
        """From now on nobody waits for it."""
        if self.up is not False:
            log.warning("budgets: Redis is away: %s", why)
            self.went_away += 1
        self.up = False
        self._work.refuse_asked(why)


def _packed(words: tuple[Word, ...]) -> bytes:
    packed: bytes = pack_command(words)  # type: ignore[arg-type] # its types know only tuples of one
    return packed
