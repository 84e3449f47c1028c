"""What is to be asked of Redis: questions that somebody waits for, and things that are kept until they are done."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from router.admission.records import Garbled, Word

AT_ONCE = 256
DROPPED = object()  # what `done` is told of a thing that was given up
MOST_KEPT = 100_000
MOST_FAULTS = 20


class RedisAway(Exception):
    """Redis did not answer, or not as it should. The text holds no address and no password."""


@dataclass(slots=True, eq=False)
class Asked:
    """Somebody waits for `answer`. `sent`: it may have been carried out although no answer came."""

    words: tuple[Word, ...]
    since_s: float
    answer: "asyncio.Future[Any]"
    sent: bool = False

    def refuse(self, why: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(RedisAway(why))
            self.answer.exception()  # seen: it may be that nobody waits any more


@dataclass(slots=True, eq=False)
class Kept:
    """Tried until an answer came, which goes to `done`; or given up. `faults` counts the times that Redis refused it."""

    words: tuple[Word, ...]
    done: Callable[[Any], None]
    faults: int = 0


class Work:
    """Two queues. `there` is set while there is anything in them."""

    def __init__(self) -> None:
        self.there = asyncio.Event()
        self.dropped = 0
        self._asked: deque[Asked] = deque()
        self._kept: deque[Kept] = deque()

    @property
    def kept(self) -> int:
        return len(self._kept)

    def ask(self, asked: Asked) -> None:
        self._asked.append(asked)
        self.there.set()

    def keep(self, kept: Kept) -> None:
        """The oldest goes where there are too many: what it would give back stays spent."""
        if len(self._kept) >= MOST_KEPT:
            self._drop(self._kept.popleft())
        self._kept.append(kept)
        self.there.set()

    def take(self) -> tuple[list[Asked], list[Kept]]:
        """The next batch. Who has left is left out."""
        asked = [self._asked.popleft() for _ in range(min(AT_ONCE, len(self._asked)))]
        kept = [self._kept.popleft() for _ in range(min(AT_ONCE, len(self._kept)))]
        if not self._asked and not self._kept:
            self.there.clear()
        return [each for each in asked if not each.answer.done()], kept

    def put_back(self, kept: Sequence[Kept]) -> None:
        """Before all others, in their order."""
        self._kept.extendleft(reversed(kept))
        if self._kept:
            self.there.set()

    def refused(self, kept: Kept) -> None:
        """Redis answered with an error: it is full, or a replica, or has another's script."""
        kept.faults += 1
        if kept.faults > MOST_FAULTS:
            self._drop(kept)
        else:
            self.keep(kept)

    def _drop(self, kept: Kept) -> None:
        self.dropped += 1
        kept.done(DROPPED)

    def refuse_asked(self, why: str) -> None:
        while self._asked:
            self._asked.popleft().refuse(why)


def said(fault: BaseException) -> str:
    """A fault in a word or two. Redis's own texts may repeat what they were sent: only their first word is taken."""
    if isinstance(fault, RedisAway | Garbled):
        return str(fault)
    if isinstance(fault, ResponseError):
        first = str(fault).split(" ", 1)[0]
        return first if first.isascii() and first.isupper() and len(first) < 24 else type(fault).__name__
    return "it did not answer in time" if isinstance(fault, TimeoutError) else type(fault).__name__
