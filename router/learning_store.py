"""Keeps what was learnt in Redis, so that a restart does not lose it and all routers learn from each other's outcomes.

Never on the request path: every few seconds the router adds what it learnt to the record of its artefact, in one optimistic
transaction, and takes over the sums. A delta has a number, so one whose answer was lost is not added twice. While Redis is away
the router goes on alone, and adds all of it later. A record that is damaged is not taken, and written anew.
"""

import asyncio
import logging
import os
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, WatchError

from router.choosing.learning.codec import (
    DROPPED_ARTEFACT,
    DROPPED_LEARNING,
    Delta,
    RecordRefused,
    Shared,
    applied,
    at,
    decode,
    encode,
    nothing_shared,
)
from router.choosing.learning.learning import Learning

log = logging.getLogger(__name__)

EVERY_S = 3.0
KEPT_S = 30 * 24 * 3600
TRIES = 8
PREFIX = "headgate:learning:"


@dataclass(frozen=True, slots=True)
class SharingFigures:
    """`connected`: the last exchange went well. Counts of exchanges, failed ones, and records refused."""

    connected: bool = False
    exchanged: int = 0
    failed: int = 0
    refused: int = 0


def client_of(url: str, password: str | None, timeout_s: float) -> Redis:
    """A client as LearningStore needs it; nothing is sent yet. Raises ValueError, without the URL, where it makes no sense."""
    never = Retry(NoBackoff(), 0)
    try:
        return Redis.from_url(
            url, password=password or None, protocol=2, retry=never, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
        )
    except Exception:  # noqa: BLE001 - whatever the library makes of the URL's options
        raise ValueError("the URL of Redis can't be used: give redis://HOST:PORT/DB, rediss://... or unix:///PATH") from None


class LearningStore:
    """`run` until cancelled, then `close`. `client` answers with bytes (not decode_responses) and is the owner's to close."""

    def __init__(self, client: Redis, learning: Learning, *, timeout_s: float = 1.0, every_s: float = EVERY_S) -> None:
        self._client: Any = client
        self._learning = learning
        self._timeout_s = timeout_s
        self._every_s = every_s
        # Of this process, not of the router's name: a restarted one must not go on with the numbers of the one before.
        self._writer = os.urandom(16)
        self._number = 1
        self._told: dict[str, int] = {}
        self._figures = SharingFigures()
        self._complaint = ""

    def figures(self) -> SharingFigures:
        return self._figures

    async def run(self) -> None:
        while True:
            await self.exchange()
            await asyncio.sleep(self._every_s)

    async def close(self) -> None:
        """Brings what is left to the others, if they can be reached within the timeout."""
        await self.exchange()

    async def exchange(self) -> bool:
        """Gives and takes once. Returns whether it went well; nothing is lost where it did not."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._tell_steps()
                await self._share()
        except Exception as fault:  # noqa: BLE001 - whatever a server says or does, the router goes on
            self._figures = replace(self._figures, connected=False, failed=self._figures.failed + 1)
            self._complain(f"what is learnt stays here for now: {type(fault).__name__}")
            return False
        self._figures = replace(self._figures, connected=True, exchanged=self._figures.exchanged + 1)
        if self._complaint:
            log.info("learning: shared again")
            self._complaint = ""
        return True

    async def _share(self) -> None:
        learning = self._learning
        version, learner = learning.version, learning.learner
        level = learning.levels.get(version, 0)
        outgoing = learner.outgoing() if learning.standing == "learning" else None
        shared = await self._add(version, Delta(self._writer, self._number, outgoing, level))
        if outgoing is not None:
            self._number += 1
        if learning.learner is not learner:  # another artefact came meanwhile, or a step back
            return
        learner.adopt(shared.evidence)
        if shared.level >= DROPPED_LEARNING:
            learning.drop_learning("another router, or this one before a restart, found it worse")
        if shared.level >= DROPPED_ARTEFACT:
            learning.drop_artefact("another router, or this one before a restart, found it worse than constants")

    async def _tell_steps(self) -> None:
        """Says of artefacts that no longer serve here why that is."""
        for version, level in list(self._learning.levels.items()):
            if version != self._learning.version and self._told.get(version, 0) < level:
                await self._add(version, Delta(self._writer, 0, None, level))
                self._told[version] = level

    async def _add(self, version: str, delta: Delta) -> Shared:
        """The record with the delta in it, as it is now in Redis. Raises RedisError."""
        key = key_of(version)
        for _ in range(TRIES):
            async with self._client.pipeline(transaction=True) as pipe:
                await pipe.watch(key)
                now_s = await self._time(pipe)
                known = self._read(await pipe.get(key), now_s)
                result = applied(known, delta, now_s)
                if delta.evidence is None and delta.level <= known.level:
                    return at(known, now_s)
                pipe.multi()
                pipe.set(key, encode(result), ex=KEPT_S)
                try:
                    await pipe.execute()
                except WatchError:
                    continue
                return result
        raise RedisError("the record is written to by too many at once")

    def _read(self, data: bytes | None, now_s: float) -> Shared:
        if data is None:
            return nothing_shared(now_s)
        try:
            return decode(data)
        except RecordRefused as fault:
            self._figures = replace(self._figures, refused=self._figures.refused + 1)
            self._complain(f"the shared record is not taken: {fault}")
            return nothing_shared(now_s)

    @staticmethod
    async def _time(pipe: Any) -> float:
        """Redis' own clock: routers' clocks differ."""
        seconds, micros = await pipe.time()
        return float(seconds) + float(micros) / 1e6

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            log.warning("learning: %s", text)
        self._complaint = text


def key_of(version: str) -> str:
    """Of the record of this artefact; a version may be any text."""
    return PREFIX + (blake2b(version.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest() if version else "rule")
